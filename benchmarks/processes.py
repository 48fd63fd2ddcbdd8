"""`python -m benchmarks.processes`: what a second process gains in sampling and in the update of SmolLM2.

The same run on one process and on two, of one thread each, through the recipe's `launch`; the model is not
taught first, and nothing is evaluated. What two processes that know nothing of each other gain, at products
of the model's shape and at moving memory, is the most that can be had on the machine.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from benchmarks.cells import RESULTS, ROOT, write_result
from collapse_core import files

PHASES = ("sample", "update")
SETTINGS = (
    "model.teach=null",
    "evaluate.with=[]",
    "evaluate.baselines={}",
    "checkpoint.every=100",
    "filter.memory=false",
    "retain_per_iteration=20",
)
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
SECONDS_ALONE = 1.0


def main(arguments: Sequence[str] | None = None) -> None:
    """Print seconds and ratios of one run, and write processes.json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recipe", type=Path, default=ROOT / "recipes" / "llm_tofu_full.yaml")
    parser.add_argument("--set", action="append", default=[], metavar="PATH=VALUE", help="as of collapse run")
    parser.add_argument("--iterations", type=int, default=2, help="the first is not counted; default 2")
    parser.add_argument("--processes", type=int, default=2, help="default 2")
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    settings = [*SETTINGS, *given.set, f"iterations={given.iterations}"]
    found: dict[str, object] = {"kind": "processes", "settings": settings}
    with TemporaryDirectory() as folder:
        counts = (1, given.processes)
        seconds = [timed(given.recipe, settings, num, Path(folder) / str(num)) for num in counts]
    print(f"{'':28} {'one':>8} {counts[1]:>8} {'ratio':>8}")
    for phase in PHASES:
        one, more = (times[phase] for times in seconds)
        found[phase] = {"one": one, "more": more, "ratio": one / more}
        print(f"{phase + ', s per iteration':28} {one:8.2f} {more:8.2f} {one / more:8.2f}")
    for name, ratio in gains_alone(given.processes).items():
        found[name] = ratio
        print(f"{name + ', unconnected':28} {'':8} {'':8} {ratio:8.2f}")
    write_result(given.results, "processes", found)


def timed(recipe: Path, settings: list[str], num_processes: int, directory: Path) -> Mapping[str, float]:
    """Run a recipe, and return the mean seconds per iteration of each phase, without the first iteration."""
    sets = [word for one in [*settings, f"launch={{processes: {num_processes}}}"] for word in ("--set", one)]
    command = [
        sys.executable,
        "-m",
        "collapse_core.cli",
        "run",
        str(recipe),
        *sets,
        "--run-dir",
        str(directory),
    ]
    environment = os.environ | ONE_THREAD
    subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, check=True)
    return means(files.read_lines(directory / "timings.jsonl"))


def means(rows: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Return the mean seconds per iteration of each phase; the first iteration also warms up."""
    late = [row for row in rows if row["iteration"] > 0]
    return {phase: fmean(row["seconds"] for row in late if row["phase"] == phase) for phase in PHASES}


def gains_alone(num_processes: int) -> dict[str, float]:
    """Return how many times the work of one process so many do at once, by kind of work."""
    os.environ |= ONE_THREAD  # before the processes import torch
    with ProcessPoolExecutor(num_processes, mp_context=get_context("spawn")) as pool:
        list(pool.map(rate, ["products"] * num_processes, [0.1] * num_processes))  # the imports
        gains = {}
        for work in ("products", "memory"):
            alone = pool.submit(rate, work, SECONDS_ALONE).result()
            together = pool.map(rate, [work] * num_processes, [SECONDS_ALONE] * num_processes)
            gains[work] = sum(together) / alone
    return gains


def rate(work: str, seconds: float) -> float:
    """Return how often a process does some work per second."""
    import torch

    torch.set_num_threads(1)
    rows, weight = torch.ones(256, 576), torch.ones(576, 1536)
    large = torch.ones(2**25), torch.ones(2**25)  # beyond every cache
    num, start = 0, perf_counter()
    while perf_counter() - start < seconds:
        if work == "products":
            torch.mm(rows, weight)
        else:
            large[0].add_(large[1])
        num += 1
    return num / (perf_counter() - start)


if __name__ == "__main__":
    main()
