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


NO_GUIDANCE = (
    "the model has no class that stands for none, and cannot be guided away from it; write 'guidance: 1'"
)


def places(classes: Sequence[Content], conditions: Sequence[Content]) -> list[int]:
    """Return the index of each class, known by its name as text; None is one more than all.

    Raises:
        CollapseError: There is no such class.
    """
    known = {str(name): index for index, name in enumerate(classes)}
    for condition in conditions:
        if condition is not None and str(condition) not in known:
            raise CollapseError(
                f"the model has no class {condition!r}; known: {', '.join(map(str, classes))}"
            )
    return [len(classes) if one is None else known[str(one)] for one in conditions]


class ClassDiffusionModel(DiffusionModel):
    """A UNet2DModel with an embedding for each class, perhaps a last one for no class; or without classes."""

    def __init__(self, module: Any, scheduler: Any, classes: Sequence[Content]) -> None:
        """Take a UNet2DModel, the DDPMScheduler of its noise schedule, and its classes in their order."""
        super().__init__(module)
        self.module: Any = module
        self.scheduler = scheduler
        self.objective = NoisePrediction(scheduler)
        self.classes = list(classes)
        embedded = module.config.num_class_embeds
        self.has_classes = embedded is not None
        self.has_null = self.has_classes and embedded > len(self.classes)

    def labels(self, conditions: Sequence[Content]) -> torch.Tensor:
        """Return the indices of classes; None is the index that stands for no class.

        Raises:
            CollapseError: The model was made for other classes.
        """
        if not self.has_classes:
            return torch.zeros(len(conditions), dtype=torch.long, device=self.device)
        return torch.tensor(places(self.classes, conditions), device=self.device)

    def losses(self, examples: Sequence[Example], generator: torch.Generator) -> torch.Tensor:
        """Return the denoising loss of each image at a random time."""
        clean = to_tensor([image for _, image in examples]).to(self.device)
        return self.noise_losses(clean, self.labels([name for name, _ in examples]), generator)

    def noise_losses(
        self, clean: torch.Tensor, labels: torch.Tensor, generator: torch.Generator
    ) -> torch.Tensor:
        """Return the same of a tensor (images, channels, height, width) in [-1, 1] and of class indices."""
        task = self.objective.task(clean, generator)
        said = {"class_labels": labels} if self.has_classes else {}
        return task.losses(self.module(task.noisy, task.times, **said).sample[:, : clean.shape[1]])

    def draw(self, conditions: Sequence[Content], seeds: Sequence[int], drawing: Drawing) -> Any:
        """Draw in batches by the pipeline that is exported, too."""
        import numpy as np

        if drawing.guidance != 1 and not self.has_null:
            raise CollapseError(NO_GUIDANCE)
        scheduler = make_scheduler(drawing.scheduler or OWN_SCHEDULER, self.scheduler.config)
        pipe = pipeline.ClassConditionalPipeline(self.module.eval(), scheduler, self.has_null)
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
        pipeline.ClassConditionalPipeline(self.module, scheduler, self.has_null).save_pretrained(directory)
        shutil.copy(pipeline.__file__, directory / "pipeline.py")
        files.write_json(directory / "classes.json", self.classes)
