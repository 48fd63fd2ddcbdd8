"""A class-conditional diffusion model in pixels."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from collapse_core import CollapseError, Content, files, progress
from collapse_diffusion.data.images import to_tensor
from collapse_diffusion.model import pipeline
from collapse_diffusion.model.diffusion_model import (
    DiffusionModel,
    Example,
    random_streams,
)
from collapse_diffusion.model.drawing import Drawing
from collapse_diffusion.model.objectives import NoisePrediction, make_scheduler

OWN_SCHEDULER = "DDIMScheduler"
"""What draws unless a recipe says otherwise, and what is exported."""


class ClassDiffusionModel(DiffusionModel):
    """A UNet2DModel with an embedding for each class, and a last one for no class."""

    def __init__(self, module: Any, scheduler: Any, classes: Sequence[Content]) -> None:
        """Take a UNet2DModel, the DDPMScheduler of its noise schedule, and its classes in their order."""
        super().__init__(module)
        self.module: Any = module
        self.scheduler = scheduler
        self.objective = NoisePrediction(scheduler)
        self.classes = list(classes)

    def labels(self, conditions: Sequence[Content]) -> torch.Tensor:
        """Return the indices of classes; None is the index that stands for no class.

        Raises:
            CollapseError: The model was made for other classes.
        """
        known = {name: index for index, name in enumerate([*self.classes, None])}
        for condition in conditions:
            if condition not in known:
                raise CollapseError(
                    f"the model has no class {condition!r}; known: {', '.join(map(str, self.classes))}"
                )
        return torch.tensor([known[condition] for condition in conditions], device=self.device)

    def losses(self, examples: Sequence[Example], generator: torch.Generator) -> torch.Tensor:
        """Return the denoising loss of each image at a random time."""
        clean = to_tensor([image for _, image in examples]).to(self.device)
        return self.noise_losses(clean, self.labels([name for name, _ in examples]), generator)

    def noise_losses(
        self, clean: torch.Tensor, labels: torch.Tensor, generator: torch.Generator
    ) -> torch.Tensor:
        """Return the same of a tensor (images, channels, height, width) in [-1, 1] and of class indices."""
        task = self.objective.task(clean, generator)
        return task.losses(self.module(task.noisy, task.times, class_labels=labels).sample)

    def draw(self, conditions: Sequence[Content], seeds: Sequence[int], drawing: Drawing) -> Any:
        """Draw in batches by the pipeline that is exported, too."""
        import numpy as np

        scheduler = make_scheduler(drawing.scheduler or OWN_SCHEDULER, self.scheduler.config)
        pipe = pipeline.ClassConditionalPipeline(self.module.eval(), scheduler)
        pipe.set_progress_bar_config(disable=True)
        labels, size = self.labels(conditions), drawing.batch_size
        return np.concatenate(
            [
                pipe(
                    labels[start : start + size],
                    drawing.steps,
                    drawing.guidance,
                    drawing.eta,
                    random_streams(seeds[start : start + size]),
                    "np",
                ).images
                for start in progress.track(range(0, len(labels), size), "draw")
            ]
        )

    def export(self, directory: Path) -> None:
        """Write a pipeline directory of diffusers, with the code of the pipeline and the classes."""
        scheduler = make_scheduler(OWN_SCHEDULER, self.scheduler.config)
        pipeline.ClassConditionalPipeline(self.module, scheduler).save_pretrained(directory)
        shutil.copy(pipeline.__file__, directory / "pipeline.py")
        files.write_json(directory / "classes.json", self.classes)
