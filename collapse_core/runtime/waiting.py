"""How long this process waits for processors that other programs use."""

import os
import time
from pathlib import Path


def clock() -> float:
    """Seconds on a clock that stands still while this thread waits for a processor.

    Where the system does not say how long it waits (it is Linux that does), the clock does not stand still.
    """
    return time.perf_counter() - _seconds("thread-self")[1]


def slowdown() -> float:
    """Return how many times as long as alone this process has taken so far; 1 where that is not known."""
    ran, waited = _seconds("self")
    return 1.0 + waited / ran if ran else 1.0


def num_threads() -> int:
    """Return how many threads a computation has: as OMP_NUM_THREADS says, else one for each processor."""
    said = os.environ.get("OMP_NUM_THREADS", "")
    if said.isdecimal() and int(said):
        return int(said)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _seconds(task: str) -> tuple[float, float]:
    """Return how long a task has run, and how long it has waited while it could have run."""
    try:
        ran, waited, *_ = Path(f"/proc/{task}/schedstat").read_text(encoding="ascii").split()
        return int(ran) / 1e9, int(waited) / 1e9
    except (OSError, ValueError):
        return 0.0, 0.0
