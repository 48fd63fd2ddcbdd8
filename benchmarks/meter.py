"""Counting the tokens that a model is given, the seconds that pass and the memory that is taken."""

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

KIBI = 1024


@dataclass
class Meter:
    """Counts at the two ends of a model, for any caller: its embeddings and its vocabulary matrix."""

    prefilled: int = 0
    """Tokens read several a row: prompts, and examples in training; padding included."""
    decoded: int = 0
    """Tokens read one a row: what decoding feeds back."""
    derived: int = 0
    """Of both, those read where gradients are recorded."""
    projected: int = 0
    """Positions that were multiplied by the vocabulary matrix as the model itself does it."""

    @contextmanager
    def watching(self, module: Any) -> Iterator[None]:
        """Count while the block runs."""
        handles = [
            module.get_input_embeddings().register_forward_pre_hook(self._embed),
            module.get_output_embeddings().register_forward_pre_hook(self._project),
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _embed(self, _: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        ids = inputs[0]
        if ids.shape[-1] == 1:
            self.decoded += ids.numel()
        else:
            self.prefilled += ids.numel()
        if torch.is_grad_enabled():
            self.derived += ids.numel()

    def _project(self, _: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        self.projected += inputs[0].shape[:-1].numel()


@dataclass
class Measured:
    """What a block took."""

    seconds: float = 0.0
    peak_bytes: int = 0
    """The most memory in use at once, by the process (and apart from it, on the GPU)."""
    peak_gpu_bytes: int = 0


@contextmanager
def measured(device: torch.device) -> Iterator[Measured]:
    """Time a block and note the highest memory of it."""
    found = Measured()
    _reset_peaks(device)
    start = now(device)
    yield found
    found.seconds = now(device) - start
    found.peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIBI
    if device.type == "cuda":
        found.peak_gpu_bytes = torch.cuda.max_memory_allocated(device)


def now(device: torch.device) -> float:
    """The clock, once the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _reset_peaks(device: torch.device) -> None:
    """Forget the peaks of earlier phases; where the kernel cannot, they stay those of the process."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
