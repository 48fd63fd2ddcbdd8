"""Several processes, joined through accelerate: gloo between CPUs, nccl between GPUs."""

import os
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import InitProcessGroupKwargs, gather_object

from collapse_core.errors import CollapseError
from collapse_core.runtime.processes import Processes, set_joined
from collapse_core.torch.sharding import asks_for_fsdp

Item = TypeVar("Item")

PATIENCE = timedelta(days=7)
"""How long a process waits for another: the main one may teach or measure for hours."""


class AcceleratedProcesses(Processes):
    """The processes that accelerate's launcher, or torchrun, has started."""

    def __init__(self, state: PartialState) -> None:
        """Take what accelerate knows of them."""
        self.index = state.process_index
        self.count = state.num_processes

    def exchange(self, value: Item) -> list[Item]:
        """Send a value to all; it is pickled between these processes only.

        Raises:
            CollapseError: Another process is gone.
        """
        try:
            gathered: list[Any] = gather_object([value])
        except RuntimeError as error:  # a DistBackendError, or gloo's plain one
            raise self.lost() from error
        return gathered


def _unsupported(how: str) -> CollapseError:
    return CollapseError(
        f"{how} is not supported; use FSDP version 2 (fsdp_version: 2 in accelerate's config file), "
        "or no sharding at all"
    )


@cache
def join() -> Processes:
    """Join the other processes, once; `processes.current()` gives them from then on.

    Raises:
        CollapseError: The launcher asks for DeepSpeed or another way that is not supported.
    """
    if os.environ.get("ACCELERATE_USE_DEEPSPEED", "false").lower() == "true":
        raise _unsupported("DeepSpeed")
    if os.environ.get("ACCELERATE_USE_MEGATRON_LM", "false").lower() == "true":
        raise _unsupported("Megatron-LM")
    if asks_for_fsdp() and os.environ.get("FSDP_VERSION", "1") != "2":
        raise _unsupported("FSDP version 1")
    if asks_for_fsdp() and os.environ.get("FSDP_OFFLOAD_PARAMS", "false").lower() == "true":
        raise _unsupported("FSDP's offloading of parameters")
    # Each process needs the whole model to sample from, so none may begin with an empty one.
    os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] = "false"
    on_cpu = os.environ.get("ACCELERATE_USE_CPU", "false").lower() == "true"
    patient = InitProcessGroupKwargs(timeout=PATIENCE).to_kwargs()
    state = PartialState(cpu=on_cpu or not torch.accelerator.is_available(), **patient)
    set_joined(joined := AcceleratedProcesses(state))
    return joined
