"""Numbers that are no numbers: no answer, loss or metric is made of them."""

from typing import Any

import torch

from collapse_core import CollapseError, errors


def check_weights(module: Any) -> None:
    """Refuse a module with a weight that is not finite.

    Raises:
        CollapseError: It names the weight.
    """
    for name, tensor in module.named_parameters():
        if not torch.isfinite(tensor).all():
            raise errors.not_finite(name)


def not_finite(module: Any) -> CollapseError:
    """The error of a module whose logits are not finite; it names the weight, if it is one's fault."""
    try:
        check_weights(module)
    except CollapseError as error:
        return error
    return CollapseError(
        "the model gives logits that are not finite, although its weights are; set model.compute to float32"
    )
