"""A class-conditional diffusion transformer in latent space (Peebles and Xie, DiT, 2023)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from collapse_core import CollapseError, Content, files, progress
from collapse_diffusion.model.class_diffusion import NO_GUIDANCE, places
from collapse_diffusion.model.diffusion_model import DiffusionModel, Example, random_streams
from collapse_diffusion.model.drawing import Drawing
from collapse_diffusion.model.latents import check_latents, encode
from collapse_diffusion.model.objectives import make_scheduler, objective_of
from collapse_diffusion.model.resizing import resized

NULL = 1000
"""The class that the pipeline takes for none, whatever the model has."""


class DitModel(DiffusionModel):
    """A DiTPipeline of diffusers; `module` is its transformer, all of whose weights are trained."""

    def __init__(self, pipeline: Any, classes: Sequence[Content]) -> None:
        """Take the pipeline, and its classes in the order of their embeddings."""
        super().__init__(pipeline.transformer)
        self.module: Any = pipeline.transformer
        self.pipeline, self.scheduler = pipeline, pipeline.scheduler
        self.classes = list(classes)
        self.objective = objective_of(pipeline.scheduler)
        self.has_null = self.module.config.num_embeds_ada_norm == NULL
        pipeline.vae.requires_grad_(False).eval()
        check_latents(
            pipeline.vae, "the DiT", network_channels=self.module.config.in_channels, takes_mean=False
        )

    def labels(self, conditions: Sequence[Content]) -> list[int]:
        """Return the indices of classes.

        Raises:
            CollapseError: The model was made for other classes.
        """
        aliases: dict[Content, int] = self.pipeline.labels  # a class may have several names
        return [aliases[c] if c in aliases else places(self.classes, [c])[0] for c in conditions]

    def losses(self, examples: Sequence[Example], generator: torch.Generator) -> torch.Tensor:
        """Return the denoising loss in latent space of each image with its class, at a random time."""
        side = self.module.config.sample_size * 2 ** (len(self.pipeline.vae.config.block_out_channels) - 1)
        images = resized([image for _, image in examples], (side, side), "crop")
        clean = encode(self.pipeline.vae, images, generator)
        task = self.objective.task(clean, generator)
        labels = torch.tensor(self.labels([name for name, _ in examples]), device=self.device)
        prediction = self.module(task.noisy, timestep=task.times, class_labels=labels).sample
        return task.losses(prediction[:, : clean.shape[1]])

    @torch.no_grad()
    def draw(self, conditions: Sequence[Content], seeds: Sequence[int], drawing: Drawing) -> Any:
        """Call the pipeline in batches, each image with a generator of its own."""
        import numpy as np

        if drawing.guidance != 1 and not self.has_null:
            raise CollapseError(NO_GUIDANCE)
        if drawing.guidance < 1:
            raise CollapseError("a DiT cannot be guided by less than 1, which is no guidance")
        self.module.eval()
        self.pipeline.scheduler = self.scheduler
        if drawing.scheduler:
            self.pipeline.scheduler = make_scheduler(drawing.scheduler, self.scheduler.config)
        labels, size = self.labels(conditions), drawing.batch_size
        return np.concatenate(
            [
                self.pipeline(
                    labels[start : start + size],
                    guidance_scale=drawing.guidance,
                    generator=random_streams(seeds[start : start + size]),
                    num_inference_steps=drawing.steps,
                    output_type="np",
                ).images
                for start in progress.track(range(0, len(labels), size), "draw")
            ]
        )

    def export(self, directory: Path) -> None:
        """Write the pipeline as diffusers does, and the classes."""
        self.pipeline.scheduler = self.scheduler
        self.pipeline.save_pretrained(directory)
        files.write_json(directory / "classes.json", self.classes)
