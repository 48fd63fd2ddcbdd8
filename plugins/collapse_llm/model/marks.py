"""How a module must be run, found out once and kept with the module and its copies."""

from typing import Any, Literal, TypeAlias

import torch

Decoding: TypeAlias = Literal["fast", "one-kernel", "generate"]
"""How answers are decoded: by the engine with the attention kernel for single tokens, by the engine with the
kernel that the model is trained with, or by transformers' `generate`, one prompt at a time."""

_DECODING, _UNPADDED, _HEAD_LAST = "collapse_decoding", "collapse_unpadded", "collapse_head_last"
_TOLERANCES = {torch.float32: 2e-4}


def _inner(module: Any) -> Any:
    return module.get_base_model() if hasattr(module, "get_base_model") else module


def decode_by(module: Any, way: Decoding) -> None:
    """Note how answers are decoded."""
    setattr(_inner(module), _DECODING, way)


def decoding_of(module: Any) -> Decoding | None:
    """Return how answers are decoded, or None where that is not known yet."""
    found: Decoding | None = getattr(_inner(module), _DECODING, None)
    return found


def must_not_pad(module: Any) -> None:
    """Note that padding changes what the module computes."""
    setattr(_inner(module), _UNPADDED, True)


def reads_unpadded(module: Any) -> bool:
    """Return whether padding changes what the module computes."""
    return bool(getattr(_inner(module), _UNPADDED, False))


def note_that_head_comes_last(module: Any) -> None:
    """Note that the module's logits are what its head gives, without further steps."""
    setattr(_inner(module), _HEAD_LAST, True)


def head_comes_last(module: Any) -> bool:
    """Return whether the module's logits are known to be what its head gives."""
    return bool(getattr(_inner(module), _HEAD_LAST, False))


def run_like(module: Any, other: Any) -> None:
    """Note that a module is run as another one, whose weights it has."""
    for name in (_DECODING, _UNPADDED, _HEAD_LAST):
        if hasattr(_inner(other), name):
            setattr(_inner(module), name, getattr(_inner(other), name))


def close(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Return whether two results of the same module are equal up to the rounding of their precision."""
    apart = (one - other).abs().max()
    return bool(apart <= _TOLERANCES.get(one.dtype, 6e-2) * other.abs().max().clamp(min=1.0))
