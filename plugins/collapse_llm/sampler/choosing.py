"""Choosing the next token: exactly nucleus, top-k and min-p sampling, and no sort."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch


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
        scaled = logits.float() / self.temperature
        if self.top_k is not None and self.top_k < scaled.shape[-1]:
            least = scaled.topk(self.top_k).values[:, -1:]
            scaled = scaled.masked_fill(scaled < least, float("-inf"))
        mass = scaled.softmax(-1)
        drawable = mass
        if self.min_p > 0:
            drawable = mass.masked_fill(mass < self.min_p * mass.amax(-1, keepdim=True), 0.0)
        heights = drawable.cumsum(-1)
        chosen = torch.empty(len(sources), dtype=torch.long, device=logits.device)
        open_ = torch.arange(len(sources), device=logits.device)
        while len(open_):
            drawn = _invert(heights[open_], [sources[row] for row in open_.tolist()])
            chosen[open_] = drawn
            if self.top_p >= 1:
                break
            rows = mass[open_]
            likelier = rows.masked_fill(rows <= rows.gather(1, drawn[:, None]), 0.0).sum(-1)
            open_ = open_[likelier >= self.top_p]
        return chosen


def _invert(heights: torch.Tensor, sources: Sequence[np.random.Generator]) -> torch.Tensor:
    """One draw a row by inverting its cumulative sums, which need not end at one."""
    uniform = torch.tensor([source.random() for source in sources], dtype=torch.float64)
    points = uniform.to(heights.device, torch.float32)[:, None] * heights[:, -1:]
    # Rounding may put a point on the very top, beyond the last token that has any mass.
    last = torch.searchsorted(heights, heights[:, -1:].contiguous())
    return torch.searchsorted(heights, points, right=True).minimum(last)[:, 0]
