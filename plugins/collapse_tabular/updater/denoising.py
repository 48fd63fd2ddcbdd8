"""The gradient steps of an iteration."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from collapse_core import Iteration, Kept, Model, Prompt, derive_seed, require
from collapse_core.torch import Losses, adamw, backward_weighted, mean_losses, push_away, seeded, train
from collapse_tabular.model.diffusion import losses
from collapse_tabular.model.row_model import RowModel
from collapse_tabular.model.training import denoising_loss
from collapse_tabular.updater import RowDenoising


@dataclass(frozen=True)
class Examples:
    """Rows to be drawn from, with what their prompts say."""

    rows: torch.Tensor
    prompts: torch.Tensor
    weights: torch.Tensor
    """The probability of drawing each."""
    condition_dropout: float
    """How often each column of a prompt is left out."""

    def draw(self, batch_size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return random rows, shape (batch_size, width), with their prompts, (batch_size, columns)."""
        chosen = torch.multinomial(self.weights, batch_size, replacement=True)
        return self.rows[chosen], self.prompts[chosen]


def fit_rows(
    settings: RowDenoising, model: Model, kept: Sequence[Kept], retain: Sequence[Prompt], iteration: Iteration
) -> dict[str, float]:
    """Train the model on an iteration's rows; returns the mean losses for the journal.

    What was kept answers its whole prompt: said in part, it would replace what that part alone asks for.
    """
    rows_model = require(model, RowModel, "row-denoising")
    kept_rows = _encode(rows_model, [(k.prompt.content, k.completion.content) for k in kept], 0.0, 0.0)
    retain_rows = _encode(
        rows_model, [(p.content, p.target) for p in retain], settings.even, rows_model.condition_dropout
    )
    if kept_rows is None and retain_rows is None:
        return {}
    pushed = [
        (k.prompt.content, k.against) for k in kept if settings.against_weight and k.against is not None
    ]
    pushed_rows = _encode(rows_model, pushed, 0.0, 0.0)

    def accumulate(_: int) -> Losses:
        kept_loss = _loss(rows_model, kept_rows, settings.batch_size)
        if pushed_rows is not None:
            push = _push(rows_model, pushed_rows, settings)
            kept_loss = kept_loss + settings.against_weight * push
        retain_loss = _loss(rows_model, retain_rows, settings.batch_size)
        return backward_weighted(kept_loss, retain_loss, settings.retain_weight)

    with seeded(derive_seed(iteration.seed, "update")):
        optimizer = rows_model.optimizer(adamw(settings.weight_decay))
        return mean_losses(train(settings, optimizer, settings.steps, accumulate, iteration))


def _encode(
    model: RowModel, pairs: Sequence[tuple[Any, Any]], even: float, condition_dropout: float
) -> Examples | None:
    if not pairs:
        return None
    rows = model.codec.encode([row for _, row in pairs]).to(model.device)
    prompts = model.codec.prompts([content for content, _ in pairs]).to(model.device)
    return Examples(rows, prompts, even_weights(prompts, even), condition_dropout)


def even_weights(prompts: torch.Tensor, even: float) -> torch.Tensor:
    """Return the probability of drawing each row: a share of all draws even over prompts, the rest over rows.

    Args:
        prompts: What is said of each row, shape (n, columns).
        even: The share that is even over prompts.

    Returns:
        Shape (n,), summing to one.
    """
    some = torch.nn.functional.pad(prompts, (0, 1))  # prompts that say nothing have no column to compare
    _, which, counts = torch.unique(some, dim=0, return_inverse=True, return_counts=True)
    weights: torch.Tensor = (1 - even) / len(prompts) + even / (len(counts) * counts[which])
    return weights


def _loss(model: RowModel, some: Examples | None, batch_size: int) -> torch.Tensor:
    """Return the mean loss over a random batch; zero where there is nothing to draw from."""
    if some is None:
        return torch.zeros((), device=model.device)
    return denoising_loss(model, *some.draw(batch_size), some.condition_dropout)


def _push(model: RowModel, some: Examples, settings: RowDenoising) -> torch.Tensor:
    """Return the push on a random batch, under its whole prompts."""
    rows, prompts = some.draw(settings.batch_size)
    levels, noises = torch.rand(len(rows), device=rows.device), torch.randn_like(rows)

    def losses_of_pushed(any_model: Model) -> torch.Tensor:
        module = require(any_model, RowModel, "row-denoising").module
        return losses(module, model.codec, rows, prompts, levels, noises)

    return push_away(model, losses_of_pushed, settings.against_limit)
