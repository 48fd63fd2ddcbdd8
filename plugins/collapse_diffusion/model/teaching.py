"""Teaching a class-conditional model by the denoising loss."""

import copy

import torch

from collapse_core import derive_seed
from collapse_core.torch import adamw, backward, descend, falling_rate
from collapse_diffusion.model import TeachImages
from collapse_diffusion.model.class_diffusion import ClassDiffusionModel


def teach(
    model: ClassDiffusionModel,
    images: torch.Tensor,
    labels: torch.Tensor,
    settings: TeachImages,
    seed: int,
) -> None:
    """Train on random batches, and leave the moving average of the weights in the model.

    Args:
        model: The model, which is changed.
        images: Of shape (images, channels, height, width) in [-1, 1].
        labels: Their class indices.
        settings: How.
        seed: Draws batches, times, noise, and which classes are withheld.
    """
    average = copy.deepcopy(model.module)
    no_class = len(model.classes)

    def accumulate(number: int) -> float:
        source = torch.Generator().manual_seed(derive_seed(seed, number))
        batch = torch.randint(len(images), (settings.batch_size,), generator=source)
        withheld = torch.rand(settings.batch_size, generator=source) < settings.null_share
        shown = labels[batch.to(labels.device)].masked_fill(withheld.to(labels.device), no_class)
        return backward(model.noise_losses(images[batch].to(model.device), shown, source).mean())

    model.module.train()
    rate = falling_rate(settings.learning_rate, settings.warmup * settings.steps, settings.steps)
    for _ in descend(model.optimizer(adamw()), settings.steps, accumulate, rate):
        _follow(average, model.module, settings.average)
    model.module.load_state_dict(average.state_dict())


@torch.no_grad()
def _follow(average: torch.nn.Module, module: torch.nn.Module, decay: float) -> None:
    for its, new in zip(average.parameters(), module.parameters(), strict=True):
        its.lerp_(new, 1.0 - decay)
