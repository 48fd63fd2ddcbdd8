"""The precision of matrix products: as a recipe says, or as a timed product of the model's shape says."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

from collapse_core import Decision, decided

MARGIN = 0.8
"""bfloat16 is taken where it needs at most this share of float32's time: a near tie gives float32."""

ROWS = 256
WIDEST = 1536
"""Rows and columns of the timed product; of a wider layer only a part is timed."""

PROBE = (64, 256, 256)
HOPELESS = 3.0
"""Where bfloat16 needs more than so many times float32's time for a small product, no other is timed:
emulation can take a hundred times as long, and more for each column."""

BUDGET, LEAST_ROUNDS = 0.2, 3
"""Seconds of timing, but at least so many rounds: one alone may be interrupted by other work."""


def resolve_precision(name: str, config: Any, device: torch.device) -> str:
    """Return "float32" or "bfloat16": `name` itself, or for "auto" the one that is faster here.

    A GPU is asked whether it has bfloat16 units. On a CPU both are timed on the products of a feed-forward
    layer, forward and backward, because many processors support bfloat16 and emulate it slowly. A run
    records the decision, and a resumed run takes it from there.

    Args:
        name: "float32", "bfloat16" or "auto".
        config: The transformers configuration, which says how wide the model is.
        device: Where the model computes.
    """
    if name != "auto":
        return name
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    if device.type != "cpu":
        return "float32"
    width, inner = layer_shape(config)
    question = f"precision of {width}x{inner} products on {device.type}"
    return decided(question, lambda: _decision(time_products(width, inner)))


def layer_shape(config: Any) -> tuple[int, int]:
    """Return the width of the model and of its feed-forward layers."""
    text = config.get_text_config()
    inner = getattr(text, "intermediate_size", None) or 4 * text.hidden_size
    return text.hidden_size, inner


def time_products(width: int, inner: int) -> dict[str, float]:
    """Time a linear layer's three products (output, both gradients) in each precision.

    Returns:
        Seconds by precision.
    """
    probed = _time(*PROBE)
    if probed["bfloat16"] > HOPELESS * probed["float32"]:
        return probed
    return _time(ROWS, min(width, WIDEST), min(inner, WIDEST))


def _time(num_rows: int, width: int, inner: int) -> dict[str, float]:
    """The least seconds of a few rounds; the precisions take turns, so that other work slows both."""
    rounds = {name: _products(num_rows, width, inner, name) for name in ("float32", "bfloat16")}
    for multiply in rounds.values():
        multiply()  # the first call prepares the kernel
    least = dict.fromkeys(rounds, float("inf"))
    end = time.perf_counter() + BUDGET
    num_rounds = 0
    while num_rounds < LEAST_ROUNDS or time.perf_counter() < end:
        num_rounds += 1
        for name, multiply in rounds.items():
            began = time.perf_counter()
            multiply()
            least[name] = min(least[name], time.perf_counter() - began)
    return least


def _products(num_rows: int, width: int, inner: int, precision: str) -> Callable[[], object]:
    dtype: torch.dtype = getattr(torch, precision)
    shapes = (num_rows, width), (inner, width), (num_rows, inner)
    rows, weight, gradient = (torch.full(shape, 0.5, dtype=dtype) for shape in shapes)
    return lambda: (rows @ weight.T, gradient @ weight, gradient.T @ rows)


def _decision(seconds: Mapping[str, float]) -> Decision:
    faster = seconds["bfloat16"] <= MARGIN * seconds["float32"]
    milliseconds = {f"{name} ms": round(1000 * took, 3) for name, took in seconds.items()}
    return Decision("bfloat16" if faster else "float32", milliseconds)
