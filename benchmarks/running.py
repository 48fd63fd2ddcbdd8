"""Starting each measurement in a process of its own, and leaving out what has been measured."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.cells import DTYPES, ROOT, Job

Say = Callable[[str], None]


def run_missing(jobs: Sequence[Job], folder: Path, say: Say) -> int:
    """Measure what has no result yet; returns how many measurements failed."""
    failures = 0
    for job in jobs:
        if (folder / f"{job.name}.json").exists() and (folder / f"{job.update_name}.json").exists():
            say(f"{job.name}: is there")
        elif job.column == "trl" and not trl_installed():
            say(f"{job.name}: left out, since trl is not installed; pip install 'collapse-unlearning[bench]'")
        else:
            failures += _start("measure", job, job.name, folder, say)
    return failures


def run_profiles(jobs: Sequence[Job], folder: Path, say: Say) -> int:
    """Profile our columns of each job's cell."""
    wanted = {f"{job.name}-profile": job for job in jobs if job.column.startswith("ours")}
    missing = {name: job for name, job in wanted.items() if not (folder / f"{name}.json").exists()}
    return sum(_start("profile", job, name, folder, say) for name, job in missing.items())


def run_rates(jobs: Sequence[Job], folder: Path, say: Say) -> int:
    """Measure decoding against prefill, for each model in each precision."""
    wanted = {
        f"{job.cell.model}-rates-{dtype}": replace(job, column="ours", dtype=dtype)
        for job in jobs
        for dtype in DTYPES
    }
    missing = {name: job for name, job in wanted.items() if not (folder / f"{name}.json").exists()}
    return sum(_start("rates", job, name, folder, say) for name, job in missing.items())


def trl_installed() -> bool:
    """Whether the column "trl" can be measured."""
    return importlib.util.find_spec("trl") is not None


def _start(what: str, job: Job, name: str, folder: Path, say: Say) -> bool:
    """Run one measurement to its end; True when it failed."""
    say(f"{name}: measuring")
    command = [sys.executable, "-m", "benchmarks", what, job.to_json(), str(folder.resolve())]
    environment = os.environ | {"HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False)
    if done.returncode:
        say(f"{name}: FAILED with exit code {done.returncode}")
    return bool(done.returncode)
