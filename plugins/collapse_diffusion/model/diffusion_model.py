"""What samplers, updaters and evaluators ask of an image diffusion model."""

import random
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch

from collapse_core import CollapseError, Content, Model, derive_seed
from collapse_core.torch import TorchModel
from collapse_diffusion.model.drawing import Drawing

Example = tuple[Content, Content]
"""A condition, such as a class or a caption, and an image."""

Batch = Sequence[Example]
"""The examples of one step."""


class DiffusionModel(TorchModel):
    """A network that takes the noise out of images, given a condition."""

    @abstractmethod
    def losses(self, examples: Sequence[Example], generator: torch.Generator) -> torch.Tensor:
        """The denoising loss of each example at a random time: the mean square error of the prediction.

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

    @abstractmethod
    def as_before(self) -> AbstractContextManager[None]:
        """Within this context the network is what it was before unlearning, also after a resumption."""


def deal(examples: Sequence[Example], num: int, size: int, seed: int) -> list[Batch]:
    """Batches from shuffled passes, so that each example is seen once before any is seen twice.

    Args:
        examples: What is dealt; of none, the batches are empty.
        num: How many batches.
        size: How many examples in each, or all of them where there are fewer.
        seed: Shuffles the passes.
    """
    size = min(size, len(examples))
    num_passes = -(-num * size // len(examples)) if examples else 0
    passes = [
        random.Random(derive_seed(seed, "pass", lap)).sample(examples, len(examples))
        for lap in range(num_passes)
    ]
    dealt = [example for whole in passes for example in whole]
    return [dealt[start : start + size] for start in range(0, num * size, size)] if size else [[]] * num


def random_streams(seeds: Sequence[int]) -> list[torch.Generator]:
    """A generator for each seed, on the CPU."""
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def require_diffusion(model: Model, part: str) -> DiffusionModel:
    """The model, known to draw images.

    Raises:
        CollapseError: The recipe pairs a part with a model that it was not made for.
    """
    if not isinstance(model, DiffusionModel):
        raise CollapseError(
            f"'{part}' works on an image diffusion model, not on {type(model).__name__}; "
            "write 'model: class-diffusion' or 'model: text-to-image'"
        )
    return model
