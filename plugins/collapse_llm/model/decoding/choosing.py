"""Choosing the next token: exactly nucleus, top-k and min-p sampling, and no sort."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch.nn import functional

ROWS_IN_CACHE = 16
"""How many rows of logits a processor works on before it goes to the next: they fit in its cache."""
BLOCK = 256
"""How many tokens are summed before their sums are."""


class Choice(Protocol):
    """How next tokens are chosen from logits."""

    def choose(self, logits: torch.Tensor, sources: Sequence[np.random.Generator]) -> torch.Tensor:
        """Choose a token for each row.

        Args:
            logits: Of shape (rows, vocabulary), any float type.
            sources: Each row's own stream of random numbers.

        Returns:
            Token ids of shape (rows,).
        """


class Greedy:
    """The likeliest token."""

    def choose(self, logits: torch.Tensor, sources: Sequence[np.random.Generator]) -> torch.Tensor:
        """Draws nothing."""
        return logits.argmax(-1)


@dataclass(frozen=True)
class Nucleus:
    """Temperature, top-k, top-p and min-p, meaning what they mean in transformers, in that order.

    Nucleus sampling (Holtzman et al. 2020) allows a token while the mass of strictly likelier ones is
    below p. Membership of one token can be decided by summing the likelier ones, so the distribution
    is drawn from by rejection: draw from all, accept if in the nucleus, else draw again. Accepted
    draws are distributed as the restriction to the nucleus, which is the definition; a draw is
    accepted with probability at least p, and 49,152 logits need no sorting.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int | None = None
    min_p: float = 0.0

    def choose(self, logits: torch.Tensor, sources: Sequence[np.random.Generator]) -> torch.Tensor:
        """Draw a token for each row from its own random stream."""
        step = ROWS_IN_CACHE if logits.device.type == "cpu" else len(logits)
        chunks = [
            self._choose(logits[i : i + step], sources[i : i + step]) for i in range(0, len(logits), step)
        ]
        return torch.cat(chunks)

    def _choose(self, logits: torch.Tensor, sources: Sequence[np.random.Generator]) -> torch.Tensor:
        weights = (logits.float() / self.temperature).softmax(-1)
        most = weights.amax(-1)
        if self.top_k is not None and self.top_k < weights.shape[-1]:
            least = weights.topk(self.top_k).values[:, -1:]
            weights.masked_fill_(weights < least, 0.0)
        least_likely = self.min_p * most[:, None]
        drawable = _BlockCdf(weights.masked_fill(weights < least_likely, 0.0) if self.min_p else weights)
        allowed = self.top_p * weights.sum(-1)
        chosen = torch.empty(len(sources), dtype=torch.long, device=logits.device)
        open_ = torch.arange(len(sources), device=logits.device)
        while len(open_):
            chosen[open_] = drawn = drawable.invert(open_, [sources[row] for row in open_.tolist()])
            if self.top_p >= 1:
                break
            weight = weights[open_, drawn]
            doubtful = weight < most[open_]  # nothing is likelier than the likeliest: it needs no sum
            open_, weight = open_[doubtful], weight[doubtful, None]
            rows = weights[open_]
            likelier = rows.mul_(rows > weight).sum(-1)
            open_ = open_[likelier >= allowed[open_]]
        return chosen


class _BlockCdf:
    """Cumulative sums of weights in two steps, over blocks and within one, ready to be inverted."""

    def __init__(self, weights: torch.Tensor) -> None:
        """Take non-negative weights of shape (rows, vocabulary)."""
        missing = -weights.shape[-1] % BLOCK
        weights = functional.pad(weights, (0, missing)) if missing else weights
        self.blocks = weights.reshape(len(weights), -1, BLOCK)
        self.heights = self.blocks.sum(-1).cumsum(-1)

    def invert(self, rows: torch.Tensor, sources: Sequence[np.random.Generator]) -> torch.Tensor:
        """Draw once for each of some rows: the token at which a random share of the weight is passed."""
        uniform = torch.tensor([source.random() for source in sources], dtype=torch.float64)
        heights = self.heights[rows]
        points = uniform.to(heights.device, heights.dtype)[:, None] * heights[:, -1:]
        block = _passed(heights, points)
        below = heights.gather(1, block) - self.blocks[rows, block[:, 0]].sum(-1, keepdim=True)
        within = self.blocks[rows, block[:, 0]].cumsum(-1)
        return (block * BLOCK + _passed(within, (points - below).clamp(min=0)))[:, 0]


def _passed(heights: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Return the first index of each row whose height is above its point."""
    # Rounding may put a point on the very top, beyond the last index that adds anything.
    last = torch.searchsorted(heights, heights[:, -1:].contiguous())
    return torch.searchsorted(heights, points, right=True).minimum(last)
