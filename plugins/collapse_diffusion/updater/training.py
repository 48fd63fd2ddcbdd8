"""The gradient steps of an iteration."""

from collections.abc import Sequence

import torch

from collapse_core import Iteration, Kept, Model, Prompt, derive_seed, require
from collapse_core.torch import (
    Losses,
    adamw,
    backward_weighted,
    mean_losses,
    push_away,
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
    retain_pairs = [(prompt.content, prompt.target) for prompt in retain]
    kept_batches = shuffled_passes(kept, size, derive_seed(seed, "collapse"), "pass")
    retain_batches = shuffled_passes(retain_pairs, size, derive_seed(seed, "retain"), "pass")

    def accumulate(number: int) -> Losses:
        batch, noise_seed = next(kept_batches), derive_seed(seed, "step", number)
        learned = [(one.prompt.content, one.completion.content) for one in batch]
        pushed = [(one.prompt.content, one.against) for one in batch if one.against is not None]
        return add_gradients(settings, diffusion, learned, next(retain_batches), noise_seed, pushed)

    diffusion.module.train()
    with seeded(derive_seed(seed, "dropout")):
        optimizer = diffusion.optimizer(adamw(settings.weight_decay))
        return mean_losses(train(settings, optimizer, settings.steps, accumulate, iteration))


def add_gradients(
    settings: Denoising,
    model: DiffusionModel,
    kept: Sequence[Example],
    retain: Sequence[Example],
    seed: int,
    pushed: Sequence[Example] = (),
) -> Losses:
    """Add the gradients of a batch; returns the loss of kept examples with the push, and that of retain."""
    losses = model.losses([*kept, *retain], torch.Generator().manual_seed(seed))
    kept_loss, retain_loss = _mean(losses[: len(kept)]), _mean(losses[len(kept) :])
    if settings.against_weight and pushed:

        def losses_of_pushed(any_model: Model) -> torch.Tensor:
            source = torch.Generator().manual_seed(derive_seed(seed, "against"))
            return require(any_model, DiffusionModel, "denoising").losses(pushed, source)

        push = push_away(model, losses_of_pushed, settings.against_limit)
        kept_loss = kept_loss + settings.against_weight * push
    return backward_weighted(kept_loss, retain_loss, settings.retain_weight)


def _mean(losses: torch.Tensor) -> torch.Tensor:
    """Return the mean; zero where there are none."""
    return losses.mean() if len(losses) else torch.zeros(())
