"""One way of doing an iteration, measured in a process of its own; each phase is written when it is done."""

import re
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.cells import Job, write_result
from benchmarks.columns import Column
from benchmarks.gpu.shapes import random_material
from benchmarks.material import Material
from benchmarks.measure import describe, measure_sampling, measure_scoring, measure_update
from benchmarks.meter import now
from benchmarks.named_columns import make_column
from collapse_core import Completion, Kept

PEAK_SIZE = {"cuda": 8192}
"""Rows and columns of the product that the peak is measured with; on other devices a small one."""
PEAK_ROUNDS = 10
TENSOR_CORE = re.compile(r"gemm|cutlass|xmma|nvjet|wgmma|tensorop|flash|fmha", re.IGNORECASE)
NOT_TENSOR_CORE = re.compile(r"sgemm|dgemm|gemmk1|simt|splitk_?reduce", re.IGNORECASE)
"""Kernels are told apart by the names that cuBLAS, CUTLASS and flash attention give them."""


def measure_column(job: Job, device: torch.device, folder: Path) -> None:
    """Measure sampling, scoring, the update, and the share of tensor cores, in this order."""
    material = random_material(job, device)
    column = make_column(job.column, material)
    found: dict[str, Any] = {
        "kind": "gpu",
        "job": asdict(job),
        "environment": describe(material),
        "peak_flops": peak_flops(device),
        "phases": {},
    }
    kept = [Kept(prompt, Completion(prompt.target), 1.0) for prompt in material.prompts]

    def note(**phases: Mapping[str, Any]) -> None:
        found["phases"] |= phases
        write_result(folder, job.name, found)

    try:
        column.sample(material.prompts[:2], 2)  # warm up
        sampled, draws = measure_sampling(column, material, job.cell.num_completions)
        note(sampling=sampled | {"flops": flops(material, sampled["tokens"])})
        note(scoring=measure_scoring(column, material, draws)[0])
        updated = measure_update(column, material, kept)
        note(update=updated | {"flops": flops(material, updated["tokens"])})
        for phase, work in _slices(column, material, kept).items():
            note(**{phase: found["phases"][phase] | {"tensor_core_share": tensor_core_share(work, device)}})
    except torch.OutOfMemoryError:
        found["missing"] = "out of memory"
        note()


def _slices(column: Column, material: Material, kept: list[Kept]) -> dict[str, Callable[[], object]]:
    """A training batch's part of each phase, short enough to be profiled."""
    size, num = material.batch_size, material.recipe.completions_per_prompt
    column.prepare(kept[:size], material.retain[:size])
    return {
        "sampling": lambda: column.sample(material.prompts[:size], num),
        "update": lambda: column.update(kept[:size], material.retain[:size]),
    }


def peak_flops(device: torch.device) -> float:
    """Return the most floating-point operations per second of a large square product in bfloat16."""
    size = PEAK_SIZE.get(device.type, 256)
    one, other = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    torch.mm(one, other)  # the first call prepares the kernel
    least: float = float("inf")
    for _ in range(PEAK_ROUNDS):
        start = now(device)
        torch.mm(one, other)
        least = min(least, now(device) - start)
    return 2 * float(size) ** 3 / least


def flops(material: Material, tokens: Mapping[str, int]) -> float:
    """Return the floating-point operations of a phase's matrix products with weights, attention left out.

    2 per weight and position, and 4 more where a backward pass follows (Kaplan et al., arXiv 2001.08361,
    section 2.1). The vocabulary matrix counts for the positions that it is multiplied with; where a kernel of
    its own does that, for those in the loss.
    """
    module: Any = material.model.module
    head = module.get_output_embeddings()
    linear = [part for part in module.modules() if isinstance(part, torch.nn.Linear) and part is not head]
    weights = sum(part.weight.numel() for part in linear)
    positions = tokens["processed"] if "processed" in tokens else tokens["prefilled"] + tokens["fed"]
    projected = tokens["projected"] or tokens["useful"]
    backward = tokens.get("derived", 0) / max(positions, 1)
    multiplied = int(weights * positions + head.weight.numel() * projected)
    return 2.0 * (1 + 2 * backward) * multiplied


def tensor_core_share(work: Callable[[], object], device: torch.device) -> float | None:
    """Return the share of the seconds of some work in which kernels on tensor cores ran; None on a CPU."""
    on_gpu = device.type == "cuda"
    with profile(activities=[ProfilerActivity.CUDA]) if on_gpu else nullcontext() as found:
        start = now(device)
        work()
        seconds = now(device) - start
    if found is None:
        return None
    kernels = [one for one in found.key_averages() if one.device_type.name == "CUDA"]
    spent = sum(one.self_device_time_total for one in kernels if on_tensor_cores(one.key))
    return float(spent) / 1e6 / seconds


def on_tensor_cores(kernel: str) -> bool:
    """Return whether a kernel of this name computes on tensor cores."""
    return bool(TENSOR_CORE.search(kernel)) and not NOT_TENSOR_CORE.search(kernel)
