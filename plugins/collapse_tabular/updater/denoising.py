"""The gradient steps of an iteration."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from collapse_core import Iteration, Kept, Model, Prompt, derive_seed, require
from collapse_core.torch import Losses, adamw, backward_weighted, mean_losses, seeded, train
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

    def accumulate(_: int) -> Losses:
        kept_loss = _loss(rows_model, kept_rows, settings.batch_size)
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
    chosen = torch.multinomial(some.weights, batch_size, replacement=True)
    return denoising_loss(model, some.rows[chosen], some.prompts[chosen], some.condition_dropout)
