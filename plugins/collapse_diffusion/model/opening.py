"""Opening pretrained models of classes: a UNet2DModel in pixels, with classes or without, or a DiT."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import diffusers
import torch

from collapse_core import CollapseError, Content, Dataset, errors, files
from collapse_core.torch import pick_device
from collapse_diffusion.data.images import shape_name, to_array
from collapse_diffusion.model import ClassDiffusion
from collapse_diffusion.model.class_diffusion import ClassDiffusionModel
from collapse_diffusion.model.diffusion_model import DiffusionModel
from collapse_diffusion.model.dit import DitModel
from collapse_diffusion.model.objectives import NoisePrediction, objective_of
from collapse_diffusion.model.sources import local_directory, variant_of


def open_class_diffusion(loader: ClassDiffusion, data: Dataset) -> DiffusionModel:
    """Open the pipeline that a recipe names.

    Raises:
        CollapseError: It is none of these, or does not go with the data.
    """
    path = loader.path or ""
    folder = local_directory(path, "model_index.json") or _downloaded(path, loader.revision)
    index = files.read_json(folder / "model_index.json")
    kinds = {name: part[1] for name, part in index.items() if isinstance(part, list) and part[1]}
    device = pick_device(loader.device)
    if kinds.get("unet") == "UNet2DModel" and "vae" not in kinds and "vqvae" not in kinds:
        model: ClassDiffusionModel | DitModel = _unet(folder, kinds["scheduler"], loader.classes, device)
        _check_images(data, model.module.config, path)
    elif kinds.get("transformer") == "DiTTransformer2DModel":
        model = _dit(folder, loader.classes, device)
    else:
        raise CollapseError(
            f"{path} holds a {index.get('_class_name', 'pipeline')} of {', '.join(kinds.values())}; "
            "'class-diffusion' opens a UNet2DModel in pixels, such as a DDPMPipeline has, or a DiTPipeline"
        )
    model.labels(
        [prompt.content for split in ("forget", "retain") for prompt in data.load(split, targets=False)]
    )
    return model


def _downloaded(path: str, revision: str) -> Path:
    try:
        return Path(diffusers.DiffusionPipeline.download(path, revision=revision))
    except (OSError, ValueError) as error:
        raise errors.not_fetched(path, error, "model: {use: class-diffusion, path: <directory>}") from None


def _unet(
    folder: Path, scheduler_kind: str, classes: Sequence[Content] | None, device: torch.device
) -> ClassDiffusionModel:
    module: Any = _read(diffusers.UNet2DModel, folder, "unet")
    scheduler = getattr(diffusers, scheduler_kind).from_pretrained(folder, subfolder="scheduler")
    objective = objective_of(scheduler)
    if not isinstance(objective, NoisePrediction):
        raise CollapseError(
            f"{folder} was trained by flow matching ({scheduler_kind}), which 'class-diffusion' does not "
            "draw with in pixels; give a model that predicts noise"
        )
    if module.config.class_embed_type is not None:
        raise CollapseError(
            f"{folder} embeds classes by '{module.config.class_embed_type}', not by a table; give a model "
            "with 'num_class_embeds', or one without classes"
        )
    embedded = module.config.num_class_embeds
    known = [] if embedded is None else _classes(folder, classes, embedded)
    return ClassDiffusionModel(module.to(device), objective.scheduler, known)


def _classes(folder: Path, given: Sequence[Content] | None, embedded: int) -> list[Content]:
    """Return the names of the embeddings: as the recipe or the directory says, else their numbers."""
    named = folder / "classes.json"
    classes = list(given or (files.read_json(named) if named.is_file() else range(embedded)))
    if len(classes) not in (embedded, embedded - 1):
        raise CollapseError(
            f"{folder} has {embedded} class embeddings, and 'classes' names {len(classes)}; name all, "
            "or all but a last one that stands for no class"
        )
    return classes


def _dit(folder: Path, classes: Sequence[Content] | None, device: torch.device) -> DitModel:
    from diffusers import DiTPipeline

    pipeline = _read(DiTPipeline, folder, None)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.to(device)
    embedded = pipeline.transformer.config.num_embeds_ada_norm
    by_number = files.read_json(folder / "model_index.json").get("id2label") or {}
    said = [str(by_number.get(str(place), place)).split(",")[0] for place in range(embedded)]
    named = folder / "classes.json"
    return DitModel(pipeline, list(classes or (files.read_json(named) if named.is_file() else said)))


def _read(kind: Any, folder: Path, subfolder: str | None) -> Any:
    inside = {"subfolder": subfolder} if subfolder else {}
    try:
        return kind.from_pretrained(folder, variant=variant_of(folder), local_files_only=True, **inside)
    except (OSError, ValueError) as error:
        raise CollapseError(f"{folder}: cannot be opened: {' '.join(str(error).split())[:200]}") from None


def _check_images(data: Dataset, config: Any, path: str) -> None:
    """Refuse data whose images are not of the model's size."""
    size = config.sample_size
    wanted = (*((size, size) if isinstance(size, int) else size), config.in_channels)
    for prompt in data.load("retain"):
        if (found := to_array(prompt.target).shape) != wanted:
            raise CollapseError(
                f"the model {path} draws {shape_name(wanted)}, and the data set '{data.use}' has "
                f"{shape_name(found)}; set its 'size' and 'color', or choose another"
            )
