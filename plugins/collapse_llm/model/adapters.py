"""Adapters merged into the weights below them, to sample from and to score with."""

import copy
from typing import Any

import torch


def is_peft(module: Any) -> bool:
    """Return whether a module has adapters of peft."""
    return hasattr(module, "merge_and_unload")


class MergedAdapters:
    """A module without adapters that computes what one with adapters computes, and faster.

    What no adapter changes is shared with the module. The other weights are merged (W + alpha / rank BA,
    Hu et al. 2021) into copies, which are dropped before the module is trained.
    """

    def __init__(self, module: Any, dtype: torch.dtype) -> None:
        """Take a peft module and the precision to compute in."""
        self._module = module
        self._dtype = dtype
        self._merged: Any = None
        self._adapters: list[torch.Tensor] = []

    def current(self) -> Any:
        """Return the merged module; it is made anew where the adapters have changed."""
        adapters = [weight.detach() for weight in self._module.parameters() if weight.requires_grad]
        if self._merged is None or not all(map(torch.equal, adapters, self._adapters)):
            self.drop()
            self._merged = _merge(self._module, self._dtype)
            self._adapters = [adapter.clone() for adapter in adapters]
        return self._merged

    def drop(self) -> None:
        """Give up the copies."""
        self._merged, self._adapters = None, []


def can_merge(module: Any) -> bool:
    """Return whether merging is exact: weights of few bits would be rounded to them again."""
    return not getattr(module.get_base_model(), "is_quantized", False)


def _merge(module: Any, dtype: torch.dtype) -> Any:
    frozen = {id(one): torch.nn.Parameter(one.detach(), requires_grad=False) for one in module.parameters()}
    # `safe_merge` adds to a copy of each weight, so that those below the adapters stay as they are.
    own = copy.deepcopy(module, frozen)
    return own.merge_and_unload(safe_merge=True).to(dtype)
