"""The noise, the loss of removing it, and drawing by removing all of it."""

import math
from collections.abc import Sequence

import torch

from collapse_core import errors
from collapse_tabular.model.codec import Codec


def signal(levels: torch.Tensor) -> torch.Tensor:
    """Return the share of the signal left at noise levels in [0, 1]: cos(pi/2 (t + 0.008) / 1.008).

    The square root of Nichol and Dhariwal's alpha-bar (arXiv 2102.09672, equation 17), up to its constant.
    """
    return torch.cos((levels + 0.008) / 1.008 * (torch.pi / 2)).clamp(min=1e-4)


def noise(levels: torch.Tensor) -> torch.Tensor:
    """Return the standard deviation of the noise at levels in [0, 1]; the variances of both sum to one."""
    return (1 - signal(levels) ** 2).sqrt()


def losses(
    network: torch.nn.Module,
    codec: Codec,
    rows: torch.Tensor,
    prompts: torch.Tensor,
    levels: torch.Tensor,
    noises: torch.Tensor,
) -> torch.Tensor:
    """Return the denoising loss of each row, the mean over its columns.

    A number costs (v - v_hat)^2 with v = signal * noise - noise * row (Salimans and Ho, arXiv 2202.00512);
    a category the cross-entropy of the clean one given the noisy row (Dieleman et al., arXiv 2211.15089).
    One that the model does not know costs as an even guess among the known ones and it.

    Args:
        network: The denoiser.
        codec: What the columns are.
        rows: Clean rows, shape (n, width).
        prompts: What is said, shape (n, columns).
        levels: Noise levels in [0, 1], shape (n,).
        noises: Standard normal draws, shape (n, width).

    Returns:
        Shape (n,).
    """
    keep, add = signal(levels)[:, None], noise(levels)[:, None]
    out = network(keep * rows + add * noises, levels, prompts)
    num = len(codec.numeric)
    wanted = keep * noises[:, :num] - add * rows[:, :num]
    total = ((out[:, :num] - wanted) ** 2).sum(dim=1)
    for logits, one_hot in _blocks(codec, out[:, num:], rows[:, num:]):
        cost = torch.nn.functional.cross_entropy(logits, one_hot.argmax(dim=1), reduction="none")
        total = total + cost.where(one_hot.any(dim=1), math.log(one_hot.shape[1] + 1))
    mean: torch.Tensor = total / len(codec.columns)
    return mean


def clean(codec: Codec, out: torch.Tensor, noisy: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
    """Return the expected clean rows, shape (n, width), from the network's output at a noise level."""
    num = len(codec.numeric)
    numbers = signal(level) * noisy[:, :num] - noise(level) * out[:, :num]
    edges = [(column.codes[0], column.codes[-1]) for column in codec.numeric]
    low, high = numbers.new_tensor(edges).reshape(-1, 2).T
    categories = [
        logits.softmax(dim=1) * codec.scale for logits in torch.split(out[:, num:], codec.widths, dim=1)
    ]
    return torch.cat([numbers.clamp(low, high), *categories], dim=1)


def denoise(
    network: torch.nn.Module,
    codec: Codec,
    prompts: torch.Tensor,
    noises: torch.Tensor,
    gumbels: torch.Tensor,
    temperature: float = 1.0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw rows from pure noise by the ancestral steps of DDPM (DDIM with eta 1, arXiv 2010.02502).

    Args:
        network: The denoiser.
        codec: What the columns are.
        prompts: What is said, shape (n, columns).
        noises: Standard normal draws, shape (1 + steps, n, width), those of a row its own.
        gumbels: Standard Gumbel draws, shape (n, all categories), for the last choice of categories.
        temperature: What all noise is multiplied by, and logits divided.

    Returns:
        Codes of numbers, shape (n, numeric columns), and indices of categories, (n, categorical columns).
    """
    num, steps = len(codec.numeric), len(noises) - 1
    times = torch.linspace(1, 0, steps + 1, dtype=noises.dtype)
    rows = noises[0] * temperature
    for step in range(steps):
        level, below = times[step], times[step + 1]
        out = network(rows, level.expand(len(rows)), prompts)
        found = clean(codec, out, rows, level)
        if step == steps - 1:
            if not (out.isfinite().all() and found.isfinite().all()):
                raise errors.outputs_not_finite("rows")
            return found[:, :num], _choose(codec, out[:, num:] / temperature, gumbels)
        toward = (rows - signal(level) * found) / noise(level)
        fresh = noise(below) / noise(level) * (1 - (signal(level) / signal(below)) ** 2).sqrt()
        rest = (noise(below) ** 2 - fresh**2).clamp(min=0).sqrt()
        rows = signal(below) * found + rest * toward + fresh * temperature * noises[step + 1]
    raise AssertionError("there is at least one step")


def _choose(codec: Codec, logits: torch.Tensor, gumbels: torch.Tensor) -> torch.Tensor:
    """Draw each category by its probability: the argmax of logits with Gumbel noise."""
    chosen = [block.argmax(dim=1) for block in torch.split(logits + gumbels, codec.widths, dim=1)]
    return torch.stack(chosen, dim=1) if chosen else logits.new_zeros((len(logits), 0), dtype=torch.long)


def _blocks(
    codec: Codec, logits: torch.Tensor, one_hot: torch.Tensor
) -> Sequence[tuple[torch.Tensor, torch.Tensor]]:
    return list(zip(*(torch.split(some, codec.widths, dim=1) for some in (logits, one_hot)), strict=True))
