"""The network that removes noise from rows."""

import math
from collections.abc import Sequence

import torch
from torch import nn


class Denoiser(nn.Module):
    """A residual multilayer perceptron, given the noise level and what the prompt says.

    Args:
        row_width: Numbers per row.
        said: How many values each column of a prompt can have; one more stands for a column left out.
        width: The width of the layers.
        depth: How many residual blocks there are.
    """

    def __init__(self, row_width: int, said: Sequence[int], width: int, depth: int) -> None:
        """Make it, at random; its last layer begins at zero."""
        super().__init__()
        self.width = width
        self.enter = nn.Linear(row_width, width)
        self.level = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.said = nn.ModuleList(nn.Embedding(1 + num, width) for num in said)
        self.blocks = nn.ModuleList(Block(width) for _ in range(depth))
        last = nn.Linear(width, row_width)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.leave = nn.Sequential(nn.LayerNorm(width), last)

    def forward(self, rows: torch.Tensor, levels: torch.Tensor, prompts: torch.Tensor) -> torch.Tensor:
        """Return what the clean rows are, or the way to them.

        Args:
            rows: Noisy rows, shape (n, row_width).
            levels: Noise levels in [0, 1], shape (n,).
            prompts: Indices of what is said, shape (n, number of columns); 0 is a column left out.

        Returns:
            Shape (n, row_width): velocities of numbers, logits of categories.
        """
        given = self.level(_waves(levels, self.width))
        for place, embedding in enumerate(self.said):
            given = given + embedding(prompts[:, place])
        state = self.enter(rows)
        for block in self.blocks:
            state = block(state, given)
        out: torch.Tensor = self.leave(state)
        return out


class Block(nn.Module):
    """state + MLP(norm(state) scaled and shifted by what is given)."""

    def __init__(self, width: int) -> None:
        """Make it, at random."""
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.modulate = nn.Linear(width, 2 * width)
        self.inner = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, state: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
        """Return the next state, shape (n, width) as both arguments."""
        scale, shift = self.modulate(nn.functional.silu(given)).chunk(2, dim=1)
        out: torch.Tensor = state + self.inner(self.norm(state) * (1 + scale) + shift)
        return out


def _waves(levels: torch.Tensor, width: int) -> torch.Tensor:
    """Sines and cosines of rising frequency, shape (n, width)."""
    half = width // 2
    rates = torch.exp(torch.arange(half, dtype=levels.dtype, device=levels.device) * (math.log(1000) / half))
    angles = levels[:, None] * rates * math.tau
    waves = torch.cat([angles.sin(), angles.cos()], dim=1)
    return nn.functional.pad(waves, (0, width - waves.shape[1]))
