"""Gradients summed over processes, and parameters of which each process holds a part."""

import os
from collections.abc import Iterable, Sequence
from typing import Any

import torch

from collapse_core.runtime import processes

SMALL = 2**16
"""Gradients of fewer numbers are summed over processes together; larger ones in place, without a copy."""


def all_reduce(optimizer: torch.optim.Optimizer, *losses: float) -> tuple[float, ...]:
    """Sum the gradients, and losses, over the processes that have shared out a batch; call it before `step`.

    An updater that takes `processes.current().share(rows)` of each batch, and divides its losses by what the
    whole batch holds, needs no more than this to make the same step on many processes as on one. Alone, it
    changes nothing.

    Args:
        optimizer: Its parameters' gradients become their sums; where no process has one, there is none.
        *losses: This process's part of numbers for the journal.

    Returns:
        The losses of the whole batch, the same on all processes.

    Raises:
        CollapseError: Another process is gone.
    """
    if processes.current().count == 1:
        return losses
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    whole_ones = [p for p in parameters if not _is_part(p)]  # `reduce_to_shards` has summed the parts
    present = [float(p.grad is not None) for p in whole_ones]
    sums = _sums([*losses, *present], parameters[0].device)
    _sum_gradients([p for p, num in zip(whole_ones, sums[len(losses) :], strict=True) if num])
    return tuple(sums[: len(losses)])


def _sums(numbers: Sequence[float], device: torch.device) -> list[float]:
    found: list[float] = _sum(torch.tensor(numbers, dtype=torch.float64, device=device)).tolist()
    return found


def _sum_gradients(parameters: Iterable[torch.Tensor]) -> None:
    small = []
    for parameter in parameters:
        gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        parameter.grad = gradient.contiguous()
        if gradient.numel() < SMALL:
            small.append(parameter.grad)
        else:
            _sum(parameter.grad)
    if small:
        flat = _sum(torch.cat([gradient.flatten() for gradient in small]))
        for gradient, piece in zip(small, torch.split(flat, [one.numel() for one in small]), strict=True):
            gradient.copy_(piece.view_as(gradient))


def _sum(tensor: torch.Tensor) -> torch.Tensor:
    """Replace a tensor by its sum over all processes, and return it."""
    try:
        torch.distributed.all_reduce(tensor)
    except RuntimeError as error:
        raise processes.current().lost() from error
    return tensor


# --- parts -----------------------------------------------------------------------------------------


def asks_for_shards() -> bool:
    """Return whether there are several processes, and their launcher asks for FSDP."""
    return processes.current().count > 1 and asks_for_fsdp()


def asks_for_fsdp() -> bool:
    """Whether accelerate's settings, which its launcher passes on in the environment, ask for FSDP."""
    return os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"


def shard_(module: torch.nn.Module, device: torch.device) -> None:
    """Leave each process its part of every parameter, as torch's FSDP2 cuts them.

    The module is a store from then on: its forward pass would gather parameters for all processes at once,
    but they decode different numbers of tokens. A whole working copy computes.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    fully_shard(module, mesh=init_device_mesh(device.type, (processes.current().count,)))


def _is_part(tensor: torch.Tensor) -> bool:
    return hasattr(tensor, "full_tensor")


def full_tensor(tensor: Any) -> torch.Tensor:
    """Join the parts of a tensor, which all processes must ask for; return others as they are."""
    found: torch.Tensor = tensor.full_tensor() if _is_part(tensor) else tensor
    return found


def as_part_of(tensor: torch.Tensor, like: Any) -> torch.Tensor:
    """Return a whole tensor that all processes have, cut and placed as another one is."""
    tensor = tensor.to(like.device)
    if not _is_part(like):
        return tensor
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(tensor, like.device_mesh, like.placements, src_data_rank=None)


def reduce_to_shards(working: torch.nn.Module, module: torch.nn.Module) -> None:
    """Add a working copy's gradients, summed over all processes, to those of the sharded module."""
    pairs = list(zip(working.parameters(), module.parameters(), strict=True))
    present = _sums([float(its.grad is not None) for its, _ in pairs], pairs[0][0].device)
    for (its, mine), num in zip(pairs, present, strict=True):
        if num:
            gradient = torch.zeros_like(its) if its.grad is None else its.grad
            part = as_part_of(_sum(gradient.float().contiguous()), mine)
            mine.grad = part if mine.grad is None else mine.grad + part
        its.grad = None
