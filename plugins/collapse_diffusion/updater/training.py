"""The gradient steps of an iteration."""

from collections.abc import Sequence

import torch

from collapse_core import Iteration, Kept, Model, Prompt, derive_seed, require
from collapse_core.torch import (
    Losses,
    adamw,
    backward_weighted,
    mean_losses,
    seeded,
    shuffled_passes,
    train,
)
from collapse_diffusion.model.diffusion_model import DiffusionModel, Example
from collapse_diffusion.updater import Denoising


def denoise_kept(
    settings: Denoising, model: Model, kept: Sequence[Kept], retain: Sequence[Prompt], iteration: Iteration
) -> dict[str, float]:
    """Train on kept and retain images; returns the mean losses for the journal."""
    diffusion = require(model, DiffusionModel, "denoising")
    if not kept and not retain:
        return {}
    seed, size = iteration.seed, settings.batch_size
    kept_pairs = [(one.prompt.content, one.completion.content) for one in kept]
    retain_pairs = [(prompt.content, prompt.target) for prompt in retain]
    kept_batches = shuffled_passes(kept_pairs, size, derive_seed(seed, "collapse"), "pass")
    retain_batches = shuffled_passes(retain_pairs, size, derive_seed(seed, "retain"), "pass")

    def accumulate(number: int) -> Losses:
        noise_seed = derive_seed(seed, "step", number)
        return add_gradients(settings, diffusion, next(kept_batches), next(retain_batches), noise_seed)

    diffusion.module.train()
    with seeded(derive_seed(seed, "dropout")):
        optimizer = diffusion.optimizer(adamw(settings.weight_decay))
        return mean_losses(train(settings, optimizer, settings.steps, accumulate, iteration))


def add_gradients(
    settings: Denoising, model: DiffusionModel, kept: Sequence[Example], retain: Sequence[Example], seed: int
) -> Losses:
    """Add the gradients of a batch in one pass; returns the loss of each half."""
    losses = model.losses([*kept, *retain], torch.Generator().manual_seed(seed))
    return backward_weighted(_mean(losses[: len(kept)]), _mean(losses[len(kept) :]), settings.retain_weight)


def _mean(losses: torch.Tensor) -> torch.Tensor:
    """Return the mean; zero where there are none."""
    return losses.mean() if len(losses) else torch.zeros(())
