"""A text-to-image pipeline whose denoising network is trained by adapters, in latent space."""

import copy
import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from collapse_core import CollapseError, Content, derive_seed, errors, progress
from collapse_core.torch import pick_device, seeded
from collapse_diffusion.data.images import to_tensor
from collapse_diffusion.model import Lora, TextToImage
from collapse_diffusion.model.diffusion_model import (
    DiffusionModel,
    Example,
    random_streams,
)
from collapse_diffusion.model.drawing import Drawing
from collapse_diffusion.model.objectives import make_scheduler, objective_of
from collapse_diffusion.model.sources import local_directory

NETWORKS = ("unet", "transformer")
"""What pipelines call their denoising network."""


class TextToImageModel(DiffusionModel):
    """A pipeline of diffusers: captions to images; `module` is its denoising network with adapters."""

    def __init__(self, pipeline: Any, network: str, size: int | None) -> None:
        """Take a pipeline whose denoising network, of this name, has adapters already."""
        super().__init__(getattr(pipeline, network))
        self.module: Any = getattr(pipeline, network)
        self.pipeline = pipeline
        self.network = network
        self.size = size
        self.scheduler = pipeline.scheduler
        self.objective = objective_of(pipeline.scheduler)

    def losses(self, examples: Sequence[Example], generator: torch.Generator) -> torch.Tensor:
        """Return the denoising loss in latent space of each image with its caption, at a random time."""
        clean = self._latents(to_tensor([image for _, image in examples]), generator)
        task = self.objective.task(clean, generator)
        conditions = self._conditions([str(caption) for caption, _ in examples])
        prediction = self.module(task.noisy, timestep=task.times, **conditions).sample
        return task.losses(prediction[:, : clean.shape[1]])

    @torch.no_grad()
    def _latents(self, images: torch.Tensor, generator: torch.Generator) -> Any:
        """Return what the autoencoder makes of images, shifted and scaled as the network expects it."""
        vae = self.pipeline.vae
        size = self.size or self._native_size()
        images = torch.nn.functional.interpolate(images, (size, size), mode="bilinear", antialias=True)
        found = vae.encode(images.expand(-1, 3, -1, -1).to(self.device, vae.dtype)).latent_dist
        noise = torch.randn(found.mean.shape, generator=generator).to(found.mean)
        latents = found.mean + found.std * noise - (getattr(vae.config, "shift_factor", None) or 0.0)
        return latents * vae.config.scaling_factor

    def _native_size(self) -> int:
        return int(self.module.config.sample_size * self.pipeline.vae_scale_factor)

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
            size = self.size or self._native_size()
            sizes = torch.tensor([[size, size, 0, 0, size, size]] * len(captions), device=device)
            conditions["added_cond_kwargs"] = {"text_embeds": encoded[2], "time_ids": sizes.to(encoded[2])}
        return conditions

    @torch.no_grad()
    def draw(self, conditions: Sequence[Content], seeds: Sequence[int], drawing: Drawing) -> Any:
        """Call the pipeline in batches, each image with a generator of its own."""
        import numpy as np

        self.module.eval()
        pipeline, size = self.pipeline, drawing.batch_size
        pipeline.scheduler = self.scheduler
        if drawing.scheduler:
            pipeline.scheduler = make_scheduler(drawing.scheduler, self.scheduler.config)
        accepted = inspect.signature(pipeline.__call__).parameters
        wanted = {"eta": drawing.eta, "height": self.size, "width": self.size}
        options = {key: value for key, value in wanted.items() if key in accepted and value is not None}
        batches = []
        for start in progress.track(range(0, len(conditions), size), "draw"):
            batches.append(
                pipeline(
                    prompt=[str(caption) for caption in conditions[start : start + size]],
                    num_inference_steps=drawing.steps,
                    guidance_scale=drawing.guidance,
                    generator=random_streams(seeds[start : start + size]),
                    output_type="np",
                    **options,
                ).images
            )
        return np.concatenate(batches)

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
    try:
        pipeline = DiffusionPipeline.from_pretrained(
            folder or loader.path, dtype=getattr(torch, loader.compute), **where
        )
    except OSError as error:
        advice = "model: {use: text-to-image, path: <directory>}"
        raise errors.not_fetched(loader.path, error, advice) from None
    network = _network(pipeline, loader.path)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.to(pick_device(loader.device))
    for part in pipeline.components.values():
        if isinstance(part, torch.nn.Module):
            part.requires_grad_(False).eval()
    module = getattr(pipeline, network)
    _adapt(module, loader.lora, derive_seed(seed, "adapters"))
    if loader.gradient_checkpointing:
        module.enable_gradient_checkpointing()
    return TextToImageModel(pipeline, network, loader.size)


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
    return found


def _adapt(module: Any, lora: Lora, seed: int) -> None:
    from peft import LoraConfig

    config = LoraConfig(r=lora.rank, lora_alpha=lora.alpha, target_modules=lora.targets)
    with seeded(seed):
        module.add_adapter(config)
    for parameter in module.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
