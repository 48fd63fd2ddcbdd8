"""Measuring one column after the other within a time budget, each in a process of its own."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.cells import ROOT, Job
from benchmarks.running import trl_installed
from collapse_core import files

OUT_OF_TIME = "out of time"
LEAST_SECONDS = 5.0
"""A process that has less left is not started: it would not get beyond its imports."""


def measure_all(
    jobs: Sequence[Job], device: str, end: float, folder: Path, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Measure columns, each for at most its part of the time that is left.

    Args:
        jobs: What to measure, in this order.
        device: The torch device.
        end: When all must be done, on the clock of `time.monotonic`.
        folder: Where each process writes what it has measured.
        say: Called with what happens.

    Returns:
        The result of each job; under "missing" why a part of it was not measured.
    """
    results = []
    for number, job in enumerate(jobs):
        seconds = (end - time.monotonic()) / (len(jobs) - number)
        say(f"{job.cell.model}, {job.column}: measuring, for at most {max(0.0, seconds):.0f} s")
        missing = _measure(job, device, seconds, folder)
        path = folder / f"{job.name}.json"
        result = files.read_json(path) if path.exists() else {"job": {"column": job.column}, "phases": {}}
        result["shape"] = job.cell.model
        if missing:
            say(f"{job.cell.model}, {job.column}: not all measured, {missing}")
            result["missing"] = missing
        results.append(result)
    return results


def _measure(job: Job, device: str, seconds: float, folder: Path) -> str | None:
    """Measure one column; returns why it did not come to its end, if it did not."""
    if job.column == "trl" and not trl_installed():
        return "trl is not installed"
    if seconds < LEAST_SECONDS:
        return OUT_OF_TIME
    command = [sys.executable, "-m", "benchmarks.gpu", "measure", job.to_json(), device, str(folder)]
    quiet = os.environ | {"HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=quiet, stdout=subprocess.DEVNULL, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return OUT_OF_TIME
    return f"exit code {done.returncode}" if done.returncode else None
