"""What samplers, updaters and evaluators ask of an image diffusion model."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch

from collapse_core import Content
from collapse_core.torch import TorchModel
from collapse_diffusion.model.drawing import Drawing

Example = tuple[Content, Content]
"""A condition, such as a class or a caption, and an image."""


class DiffusionModel(TorchModel):
    """A network that takes the noise out of images, given a condition."""

    @abstractmethod
    def losses(self, examples: Sequence[Example], generator: torch.Generator) -> torch.Tensor:
        """Compute the denoising loss of each example at a random time: the prediction's mean square error.

        Args:
            examples: Conditions and images.
            generator: Draws times and noise; on the CPU.

        Returns:
            A float32 tensor of shape (examples,), with a graph behind it.
        """

    @abstractmethod
    def draw(self, conditions: Sequence[Content], seeds: Sequence[int], drawing: Drawing) -> Any:
        """Draw an image for each condition, from a random stream of its own.

        Returns:
            A float array of shape (images, height, width, channels) in [0, 1].
        """


def random_streams(seeds: Sequence[int]) -> list[torch.Generator]:
    """Return a generator for each seed, on the CPU."""
    return [torch.Generator().manual_seed(seed) for seed in seeds]
