"""Gradient steps: the optimizer, batches from shuffled passes, and steps at a scheduled rate."""

import random
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from statistics import fmean
from typing import TypeVar

import torch

from collapse_core.contracts.interfaces import Model
from collapse_core.contracts.kinds import require
from collapse_core.contracts.seeds import derive_seed
from collapse_core.contracts.training import TrainingSettings
from collapse_core.contracts.types import Iteration
from collapse_core.errors import CollapseError
from collapse_core.runtime import progress
from collapse_core.torch.model import DivergedError, MakeOptimizer, TorchModel, scheduled_rate, step

Item = TypeVar("Item")

Losses = tuple[float, float]
"""The loss on kept completions, and that on retain examples."""


def adamw(weight_decay: float = 0.0, *, fused: bool | None = True) -> MakeOptimizer:
    """Return what makes an AdamW of parameters; `step` sets its learning rate.

    Args:
        weight_decay: AdamW's weight decay.
        fused: Whether it is torch's fused implementation; None lets torch choose.
    """
    return partial(torch.optim.AdamW, lr=0.0, weight_decay=weight_decay, fused=fused)


def shuffled_passes(items: Sequence[Item], size: int, seed: int, *names: str) -> Iterator[list[Item]]:
    """Yield batches without end, so that each item is seen once before any is seen twice.

    Args:
        items: What the batches are made of; of none, the batches are empty.
        size: How many items a batch has; all of them where there are fewer.
        seed: Shuffles each pass, together with its number.
        *names: Set the shuffles apart from other uses of the seed.
    """
    size = min(size, len(items))
    waiting: list[Item] = []
    number = 0
    while True:
        while len(waiting) < size:
            shuffled = random.Random(derive_seed(seed, *names, number))
            waiting += shuffled.sample(list(items), len(items))
            number += 1
        yield waiting[:size]
        waiting = waiting[size:]


def backward(loss: torch.Tensor) -> float:
    """Add a loss's gradients to those of the parameters, and return the loss as a number."""
    torch.autograd.backward(loss)
    return loss.item()


def backward_weighted(kept: torch.Tensor, retain: torch.Tensor, retain_weight: float) -> Losses:
    """Add the gradients of kept + retain_weight * retain, and return the two losses as numbers."""
    backward(kept + retain_weight * retain)
    return kept.item(), retain.item()


def push_away(model: TorchModel, losses: Callable[[Model], torch.Tensor], limit: float) -> torch.Tensor:
    """Return the mean of max(0, limit * reference - loss), which falls as losses rise, to zero at the limit.

    Args:
        model: The trained model, which knows its reference model.
        losses: Given a model, returns its losses of what is pushed away, of shape (losses,), at least one. It
            must draw the same noise for either model.
        limit: How many times the reference model's loss is far enough.

    Returns:
        A scalar, with a graph behind it that leads to the trained model alone.
    """
    with torch.random.fork_rng(), model.reference() as reference, torch.no_grad():  # it may be loaded now
        module = require(reference, TorchModel, "against_weight").module
        was_training = module.training
        module.eval()
        far_enough = limit * losses(reference)
        module.train(was_training)
    return (far_enough - losses(model)).clamp(min=0).mean()


def train(
    settings: TrainingSettings,
    optimizer: torch.optim.Optimizer,
    num_steps: int,
    accumulate: Callable[[int], Losses],
    iteration: Iteration,
) -> list[Losses]:
    """Take the optimizer steps of an iteration, each at its scheduled rate.

    Args:
        settings: The learning rate, its schedule, the largest norm, and the weight of the retain loss.
        optimizer: It has no gradients yet.
        num_steps: How many steps.
        accumulate: Given the number of a step, adds the gradients of its batch and returns its two losses.
            Where processes have shared out the batch, it ends with `all_reduce`.
        iteration: The iteration that the steps belong to.

    Returns:
        The two losses of each step.

    Raises:
        CollapseError: A loss is not finite.
    """
    losses = []
    for number in progress.track(range(num_steps), "update"):
        kept, retain = accumulate(number)
        moment = iteration.number + (number + 0.5) / num_steps
        rate = scheduled_rate(
            settings.learning_rate, settings.schedule, settings.warmup, moment, iteration.total
        )
        step(optimizer, kept + settings.retain_weight * retain, rate, settings.max_grad_norm, iteration)
        losses.append((kept, retain))
    return losses


def mean_losses(losses: Sequence[Losses], kept: str = "collapse_loss") -> dict[str, float]:
    """Return the means over an iteration's steps for the journal, under `kept` and "retain_loss"."""
    if not losses:
        return {}
    return {kept: fmean(loss for loss, _ in losses), "retain_loss": fmean(loss for _, loss in losses)}


def descend(
    optimizer: torch.optim.Optimizer,
    num_steps: int,
    accumulate: Callable[[int], float],
    rate: Callable[[int], float],
    max_grad_norm: float | None = 1.0,
) -> Iterator[int]:
    """Take optimizer steps outside of the loop, to teach a model or a copy; yield how many are done.

    Args:
        optimizer: It has no gradients yet.
        num_steps: How many steps.
        accumulate: Given the number of a step, adds the gradients of its batch and returns its loss.
        rate: Given the number of a step, returns its learning rate.
        max_grad_norm: Gradients with a larger norm are scaled down to this norm.

    Raises:
        CollapseError: A loss or a gradient is not finite.
    """
    for number in progress.track(range(num_steps), "teach"):
        loss = accumulate(number)
        try:
            step(optimizer, loss, rate(number), max_grad_norm, Iteration(number, num_steps, 0))
        except DivergedError:
            raise CollapseError(
                f"the loss became {float(loss)}, or its gradient infinite, in step {number + 1} of "
                f"{num_steps}; lower the learning_rate of this teaching or attack"
            ) from None
        yield number + 1


def falling_rate(learning_rate: float, warmup: float, num_steps: int) -> Callable[[int], float]:
    """Return the rate of each of `num_steps` steps: it rises for `warmup` steps, then falls to zero."""
    return lambda number: scheduled_rate(learning_rate, "linear", warmup, number + 0.5, num_steps)
