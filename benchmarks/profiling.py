"""Where the time of our sampling and update goes, by torch's profiler."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from benchmarks.cells import Job, write_result
from benchmarks.columns import Column, Draws
from benchmarks.material import load_material
from benchmarks.measure import describe
from benchmarks.meter import now
from benchmarks.named_columns import make_column

NUM_QUESTIONS = 20
"""At most so many are profiled: each operator is an event that stays in memory."""

FORWARD = "model forward"
MATMULS = ("mm", "addmm", "linear", "matmul")
ATTENTION = ("scaled_dot_product", "flash_attention", "softmax", "bmm", "baddbmm")
COPIES = ("copy", "cat", "clone", "index", "slice_scatter")
"""Of rows and columns; a change of precision is a copy as well, and counts as elementwise."""
CASTS = ("_to_copy",)
CHOOSING, LOSS = "choosing tokens and bookkeeping", "loss and bookkeeping"


def measure_profile(job: Job, folder: Path) -> None:
    """Profile one sampling and one update, and write the seconds of each group of operators."""
    material = load_material(job)
    column = make_column(job.column, material)
    device = material.model.device
    prompts, retain = material.prompts[:NUM_QUESTIONS], material.retain[:NUM_QUESTIONS]
    column.sample(prompts[:2], 2)  # warm up
    drawn: list[Draws] = []
    num = job.cell.num_completions
    sampled = _profiled(column, lambda: drawn.extend(column.sample(prompts, num)), device, CHOOSING)
    kept = column.score(drawn)
    column.update(kept[: material.batch_size], retain[: material.batch_size])
    updated = _profiled(column, lambda: column.update(kept, retain), device, LOSS)
    result = {
        "kind": "profile",
        "job": asdict(job),
        "environment": describe(material),
        "num_questions": len(prompts),
        "sample": sampled,
        "update": updated,
    }
    write_result(folder, f"{job.name}-profile", result)


def _profiled(
    column: Column, work: Callable[[], object], device: torch.device, outside: str
) -> dict[str, float]:
    """Seconds by group; on a GPU those of its kernels, with all else as the last group."""
    on_gpu = device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with column.running() as module, _marked(module), profile(activities=activities) as found:
        start = now(device)
        work()
        seconds = now(device) - start
    spent: Counter[str] = Counter()
    for event in found.events() or ():
        own = event.self_device_time_total if on_gpu else event.self_cpu_time_total
        if event.name.startswith("aten::"):
            spent[group_of(event.name.removeprefix("aten::"), list(_above(event)), outside)] += own / 1e6
    other = max(0.0, seconds - sum(spent.values()))
    return dict(spent.most_common()) | {"Python and other": other, "all": seconds}


@contextmanager
def _marked(module: torch.nn.Module) -> Iterator[None]:
    """Have the profiler know which operators belong to the model's forward pass."""
    open_: list[record_function] = []

    def enter(*_: object) -> None:
        open_.append(record_function(FORWARD))
        open_[-1].__enter__()  # type: ignore[no-untyped-call]

    def leave(*_: object) -> None:
        open_.pop().__exit__(None, None, None)

    whole: Any = module
    parts = [whole, whole.base_model, whole.get_output_embeddings()]
    handles = [part.register_forward_pre_hook(enter) for part in parts]
    handles += [part.register_forward_hook(leave) for part in parts]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _above(event: Any) -> Iterator[str]:
    """The names of what called an operator, innermost first."""
    while (event := event.cpu_parent) is not None:
        yield event.name


def group_of(operator: str, above: Sequence[str], outside: str) -> str:
    """What an operator is for, by its name and by what called it.

    Args:
        operator: Its name, without the namespace.
        above: The names of what called it, innermost first.
        outside: What is done outside of the model's passes forward and backward.
    """
    in_forward = FORWARD in above
    if "adam" in operator or any(name.startswith("Optimizer.") for name in above):
        return "optimizer"
    if not in_forward and not any(name.startswith("autograd::") for name in above):
        return outside
    if any(part in operator for part in ATTENTION):
        return "attention"
    if "linear" in operator or operator in MATMULS:
        return "matrix products"
    if in_forward and any(part in operator for part in COPIES) and not _is_cast(above):
        return "cache copies"
    return "normalization and elementwise"


def _is_cast(above: Sequence[str]) -> bool:
    return bool(above) and above[0].removeprefix("aten::") in CASTS
