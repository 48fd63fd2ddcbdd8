"""A text-to-image pipeline whose denoising network is trained by adapters, in latent space."""

import copy
import inspect
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch

from collapse_core import CollapseError, Content, derive_seed, errors, progress
from collapse_core.torch import pick_device, seeded
from collapse_diffusion.data.images import height_and_width
from collapse_diffusion.model import Lora, TextToImage
from collapse_diffusion.model.diffusion_model import (
    DiffusionModel,
    Example,
    random_streams,
)
from collapse_diffusion.model.drawing import Drawing
from collapse_diffusion.model.latents import check_latents, encode
from collapse_diffusion.model.objectives import make_scheduler, objective_of
from collapse_diffusion.model.resizing import resized
from collapse_diffusion.model.sources import local_directory, variant_of

NETWORKS = ("unet", "transformer")
"""What pipelines call their denoising network."""
MOST_TRIES = 5
"""How often an image that the safety checker blackens is drawn again."""


class TextToImageModel(DiffusionModel):
    """A pipeline of diffusers: captions to images; `module` is its denoising network with adapters."""

    def __init__(
        self,
        pipeline: Any,
        network: str,
        size: tuple[int, int] | None,
        fit: Literal["crop", "stretch"] = "crop",
        *,
        asks_checker: bool = True,
    ) -> None:
        """Take a pipeline whose denoising network, of this name, has adapters already.

        Args:
            pipeline: The pipeline.
            network: What it calls its denoising network.
            size: Height and width of the images; by default what the network was made for.
            fit: How images of another shape are brought to it.
            asks_checker: Whether the pipeline's safety checker, if it has one, is asked.
        """
        super().__init__(getattr(pipeline, network))
        self.module: Any = getattr(pipeline, network)
        self.pipeline = pipeline
        self.network = network
        self.size, self.fit, self.asks_checker = size, fit, asks_checker
        self.scheduler = pipeline.scheduler
        self.objective = objective_of(pipeline.scheduler)

    def losses(self, examples: Sequence[Example], generator: torch.Generator) -> torch.Tensor:
        """Return the denoising loss in latent space of each image with its caption, at a random time."""
        images = resized([image for _, image in examples], self.size or native_size(self.pipeline), self.fit)
        clean = encode(self.pipeline.vae, images.to(self.device), generator)
        task = self.objective.task(clean, generator)
        conditions = self._conditions([str(caption) for caption, _ in examples])
        prediction = self.module(task.noisy, timestep=task.times, **conditions).sample
        return task.losses(prediction[:, : clean.shape[1]])

    @torch.no_grad()
    def _conditions(self, captions: list[str]) -> dict[str, Any]:
        """Return the network's inputs that come from captions, by their names."""
        device = self.device
        encode = self.pipeline.encode_prompt
        unused = {n: None for n in ("prompt_2", "prompt_3") if n in inspect.signature(encode).parameters}
        encoded = encode(
            captions, device=device, num_images_per_prompt=1, do_classifier_free_guidance=False, **unused
        )
        conditions: dict[str, Any] = {"encoder_hidden_states": encoded[0]}
        if self.network == "transformer":  # as in Stable Diffusion 3
            conditions["pooled_projections"] = encoded[2]
        elif len(encoded) == 4:  # Stable Diffusion XL: also a pooled embedding, and the sizes of the image
            height, width = self.size or native_size(self.pipeline)
            sizes = torch.tensor([[height, width, 0, 0, height, width]] * len(captions), device=device)
            conditions["added_cond_kwargs"] = {"text_embeds": encoded[2], "time_ids": sizes.to(encoded[2])}
        return conditions

    @torch.no_grad()
    def draw(self, conditions: Sequence[Content], seeds: Sequence[int], drawing: Drawing) -> Any:
        """Call the pipeline in batches, each image with a generator of its own.

        What the pipeline's safety checker blackens is drawn again from other noise, and counted.
        """
        self.module.eval()
        self.pipeline.scheduler = self.scheduler
        if drawing.scheduler:
            self.pipeline.scheduler = make_scheduler(drawing.scheduler, self.scheduler.config)
        images, black = self._drawn(conditions, seeds, drawing)
        left = black.nonzero()[0]
        for number in range(MOST_TRIES):
            if not len(left):
                break
            other = [derive_seed(seeds[place], "again", number) for place in left]
            images[left], again = self._drawn([conditions[place] for place in left], other, drawing)
            left = left[again]
        if len(left):
            raise CollapseError(
                f"the pipeline's safety checker blackened {len(left)} of {len(images)} images, and "
                f"{MOST_TRIES} further draws of each; write 'safety_checker: false' under model: to see "
                "what is drawn"
            )
        if black.any():
            what = (
                f"the safety checker blackened {black.sum()} of {len(images)} images, which were drawn again"
            )
            warnings.warn(what, stacklevel=2)
        return images

    def _drawn(
        self, conditions: Sequence[Content], seeds: Sequence[int], drawing: Drawing
    ) -> tuple[Any, Any]:
        """Return images, and for each whether the safety checker has blackened it."""
        import numpy as np

        pipeline, size = self.pipeline, drawing.batch_size
        accepted = inspect.signature(pipeline.__call__).parameters
        height, width = self.size or native_size(pipeline)
        wanted = {"eta": drawing.eta, "height": height, "width": width}
        options = {key: value for key, value in wanted.items() if key in accepted}
        batches: list[Any] = []
        black: list[bool] = []
        for start in progress.track(range(0, len(conditions), size), "draw"):
            captions = [str(caption) for caption in conditions[start : start + size]]
            with self._checker():
                found = pipeline(
                    prompt=captions,
                    num_inference_steps=drawing.steps,
                    guidance_scale=drawing.guidance,
                    generator=random_streams(seeds[start : start + size]),
                    output_type="np",
                    **options,
                )
            batches.append(found.images)
            black += getattr(found, "nsfw_content_detected", None) or [False] * len(captions)
        return np.concatenate(batches), np.asarray(black, dtype=bool)

    @contextmanager
    def _checker(self) -> Iterator[None]:
        """Leave the safety checker out for a while, if it is not to be asked; it stays with the pipeline."""
        checker = getattr(self.pipeline, "safety_checker", None)
        if checker is None or self.asks_checker:
            yield
            return
        self.pipeline.safety_checker = None
        try:
            yield
        finally:
            self.pipeline.safety_checker = checker

    @contextmanager
    def reference(self) -> Iterator["TextToImageModel"]:
        """This model with its adapters switched off."""
        self.module.disable_adapters()
        try:
            yield self
        finally:
            self.module.enable_adapters()

    def export(self, directory: Path) -> None:
        """Write the whole pipeline with the adapters merged in, and the adapters alone."""
        self.module.save_lora_adapter(directory / "adapters")
        self.pipeline.scheduler = self.scheduler
        merged = copy.deepcopy(self.module)
        merged.fuse_lora()
        merged.unload_lora()
        setattr(self.pipeline, self.network, merged)
        self.pipeline.save_pretrained(directory)
        setattr(self.pipeline, self.network, self.module)


def load_text_to_image(loader: TextToImage, seed: int) -> TextToImageModel:
    """Open the pipeline that a recipe names, freeze it, and add adapters to its denoising network.

    Raises:
        CollapseError: It could not be loaded, or lacks what is needed of it.
    """
    from diffusers import DiffusionPipeline

    folder = local_directory(loader.path, "model_index.json")
    where = {"local_files_only": True} if folder else {"revision": loader.revision}
    variant = loader.variant or (variant_of(folder) if folder else None)
    try:
        pipeline = DiffusionPipeline.from_pretrained(
            folder or loader.path, dtype=getattr(torch, loader.compute), variant=variant, **where
        )
    except (OSError, ValueError) as error:
        if folder:
            what = " ".join(str(error).split())[:300]
            raise CollapseError(f"the pipeline {folder} cannot be opened: {what}") from None
        advice = "model: {use: text-to-image, path: <directory>}"
        raise errors.not_fetched(loader.path, error, advice) from None
    network = _network(pipeline, loader.path)
    size = height_and_width(loader.size)
    _check_size(pipeline, size or native_size(pipeline), loader.path)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.to(pick_device(loader.device))
    for part in pipeline.components.values():
        if isinstance(part, torch.nn.Module):
            part.requires_grad_(False).eval()
    module = getattr(pipeline, network)
    _adapt(module, loader.lora, derive_seed(seed, "adapters"))
    if loader.gradient_checkpointing:
        module.enable_gradient_checkpointing()
    return TextToImageModel(pipeline, network, size, loader.fit, asks_checker=loader.safety_checker)


def _network(pipeline: Any, path: str) -> str:
    """Return the name of the denoising network, once the pipeline has all that is needed of it."""
    found = next((name for name in NETWORKS if getattr(pipeline, name, None) is not None), None)
    needed = ("vae", "scheduler", "encode_prompt")
    missing = [name for name in needed if getattr(pipeline, name, None) is None]
    if found is None or missing:
        lacks = ", ".join([*missing, *([] if found else [" or ".join(NETWORKS)])])
        raise CollapseError(
            f"the pipeline {path} ({type(pipeline).__name__}) has no {lacks}; "
            "give one that is built like Stable Diffusion"
        )
    accepted = inspect.signature(getattr(pipeline, found).forward).parameters
    if found == "transformer" and ("pooled_projections" not in accepted or "img_ids" in accepted):
        raise CollapseError(
            f"the pipeline {path} ({type(pipeline).__name__}) has a transformer that is not called as "
            "that of Stable Diffusion 3; give a pipeline like Stable Diffusion 1, 2, XL or 3"
        )
    channels = getattr(pipeline, found).config.in_channels
    takes_mean = found == "unet" and getattr(pipeline, "text_encoder_2", None) is not None
    check_latents(pipeline.vae, path, network_channels=channels, takes_mean=takes_mean)
    return found


def native_size(pipeline: Any) -> tuple[int, int]:
    """Return the height and width in pixels that a pipeline was made for."""
    network = next(getattr(pipeline, name) for name in NETWORKS if getattr(pipeline, name, None) is not None)
    sample = network.config.sample_size
    height, width = (sample, sample) if isinstance(sample, int) else sample
    return int(height * pipeline.vae_scale_factor), int(width * pipeline.vae_scale_factor)


def _check_size(pipeline: Any, size: tuple[int, int], path: str) -> None:
    """Refuse sides that the pipeline cannot draw."""
    step = pipeline.vae_scale_factor * int(getattr(pipeline, "patch_size", 1) or 1)
    if any(side % step for side in size):
        raise CollapseError(
            f"'size' is {size[0]} high and {size[1]} wide, but the pipeline {path} draws "
            f"multiples of {step} pixels"
        )


def _adapt(module: Any, lora: Lora, seed: int) -> None:
    from peft import LoraConfig

    config = LoraConfig(r=lora.rank, lora_alpha=lora.alpha, target_modules=lora.targets)
    with seeded(seed):
        module.add_adapter(config)
    for parameter in module.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
