"""Kills runs at random moments, resumes them, and compares them with a run that nobody disturbed.

    python tests/e2e/random_kills.py --num 1000 --seed 1 --keep FOLDER [RECIPE...]

By default the recipes are the toys and those of recipes/smoke; each gets the same time, so the toys take
most kills. The processes are forks of this one, which has imported what a run imports; a killed fork dies as
any process does: nothing is flushed, no `finally` runs. Prints what it found; keeps the directories of runs
that went wrong.
"""

import argparse
import importlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from collapse_core.cli.__main__ import entry
from collapse_core.report.report import measured, panels, section
from collapse_core.results.results import load_results
from collapse_core.run.directory import is_finished

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
MEMORY = Path("/dev/shm")
"""Where syncing a file costs nothing: it is done ten thousand times here."""
KILLED = -signal.SIGKILL
WARM = ("numpy", "matplotlib.figure", "matplotlib.backends.backend_svg", "jinja2", "collapse_core.cli.run")
SAME = ("journal.jsonl", "evaluations.jsonl", "completions/", "model/", "checkpoints/", ".")
"""How the names of files begin that must not depend on what happened on the way."""
BEGUN, AGAIN, COLD = 0.4, 0.4, 0.15
"""How often the time is counted from the first iteration; how often a run is killed
once more while it is resumed; how often it has an empty cache."""


@dataclass
class Case:
    """A recipe, and what an undisturbed run of it leaves."""

    recipe: Path
    home: Path
    seconds: float = 0.0
    """How long an undisturbed run takes, and how long one that must first teach its model."""
    cold_seconds: float = 0.0
    left: dict[str, str] = field(default_factory=dict)
    reported: str = ""
    spent: float = 0.0
    trials: int = 0
    kills: int = 0
    lines: list[int] = field(default_factory=list)
    """How many lines the journal had after each first kill."""

    @property
    def cache(self) -> Path:
        return self.home / "cache"


def in_fork(log: Path, cache: Path, *arguments: object, modules: Path | None = None) -> int:
    """Start the command line in a process of its own; gives its id. `modules` takes what it has imported."""
    if child := os.fork():
        return child
    code = 77
    try:
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, 1)
        os.dup2(file, 2)
        os.environ |= {"XDG_CACHE_HOME": str(cache), "NO_COLOR": "1", "COLUMNS": "80"}
        sys.argv = ["collapse", *map(str, arguments)]
        entry()
    except SystemExit as stopped:
        code = int(stopped.code or 0)
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
            if modules:
                modules.write_text(json.dumps([*sys.modules]))
        os._exit(code)


def wait(child: int, seconds: float) -> int | None:
    """The exit code; None where it has not ended after so many seconds, and is killed."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def kill_after(child: int, seconds: float, once: Path | None = None, most: float = 0) -> bool:
    """Kill a process after a time; False where it had ended by then.

    The time is counted from when the file `once` is there, if one is given, or `most` seconds are over.
    """
    end = time.monotonic() + most
    while once and not once.exists() and time.monotonic() < end:
        time.sleep(0.002)
    time.sleep(seconds)
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == KILLED


def left_by(directory: Path) -> dict[str, str]:
    files = {str(path.relative_to(directory)): path for path in directory.rglob("*") if path.is_file()}
    return {
        name: path.read_bytes().hex()
        for name, path in sorted(files.items())
        if name.startswith(SAME) and name != ".lock"
    }


def reported(directory: Path) -> str:
    """All that the report shows but times, what the run is called, and what is in the cache just now."""
    run = load_results(directory)
    shown = section(run) | {"label": "", "times": [], "provenance": [], "documents": [], "copies": []}
    table = measured([run])
    for column in table["columns"]:
        column["label"] = ""
    return repr([shown, table, panels([run])]).replace(f"/{directory.name}", "")


def begin(case: Case, imported: bool) -> str:
    """Run a recipe undisturbed, import here what it imports, note what it leaves; gives why that fails."""
    case.home.mkdir(parents=True)
    modules = case.home / "modules.json"
    for name in ("first", "cold", "whole")[imported:]:  # first it imports, then teaches, then does neither
        began, log = time.monotonic(), case.home / "log"
        child = in_fork(log, case.cache, "run", case.recipe, "--run-dir", case.home / name, modules=modules)
        if code := wait(child, 900):
            return f"exit code {code}: {' '.join(log.read_text().split())[-300:]}"
        case.seconds = time.monotonic() - began
        if name == "first":
            for module in json.loads(modules.read_text()):
                with suppress(Exception):
                    importlib.import_module(module)
            shutil.rmtree(case.cache, ignore_errors=True)
        elif name == "cold":
            case.cold_seconds = case.seconds
    case.left, case.reported = left_by(case.home / "whole"), reported(case.home / "whole")
    return ""


def differences(case: Case, run: Path) -> list[str]:
    found = left_by(run)
    wrong = sorted(name for name in {*found, *case.left} if found.get(name) != case.left.get(name))
    if not (run / "report.html").exists():
        wrong.append("no report")
    elif reported(run) != case.reported:
        wrong.append("what the report shows")
    return wrong + [f"left behind: {path.name}" for path in run.rglob("*.draft")]


def trial(case: Case, source: random.Random, run: Path) -> list[str]:
    """Kill a run, perhaps more than once, and let it end; gives what is wrong then."""
    log, cache = run.with_name("log"), case.cache
    log.unlink(missing_ok=True)
    whole = case.seconds
    if case.cache.exists() and source.random() < COLD:
        cache, whole = run.with_name("empty-cache"), case.cold_seconds
        shutil.rmtree(cache, ignore_errors=True)
    start = ("run", case.recipe, "--run-dir", run)
    journal = run / "journal.jsonl"
    begun, share = source.random() < BEGUN, source.random()
    child = in_fork(log, cache, *start)
    if begun:
        killed = kill_after(child, share * case.seconds / 4, journal, whole)
    else:
        killed = kill_after(child, share * whole)
    case.kills += killed
    case.lines += [journal.read_bytes().count(b"\n") if journal.exists() else 0] if killed else []
    while killed and source.random() < AGAIN and (run / "resolved.json").exists():
        killed = kill_after(in_fork(log, cache, "resume", run), source.uniform(0, whole))
        case.kills += killed
    ended = is_finished(run) and (run / "report.html").exists()
    if not (run / "resolved.json").exists():  # there is no run yet, so it begins anew
        shutil.rmtree(run, ignore_errors=True)
        code = wait(in_fork(log, cache, *start), 20 * case.cold_seconds + 60)
    elif not ended:
        code = wait(in_fork(log, cache, "resume", run), 20 * case.cold_seconds + 60)
    else:
        code = 0
    wrong = [] if code == 0 else ["hangs" if code is None else f"exit code {code}"]
    said = log.read_text(errors="replace") if log.exists() else ""
    wrong += [sign for sign in ("Traceback", "shows the traceback") if sign in said]
    wrong += [f"left in the cache: {path.name}" for path in cache.rglob("*.draft")]
    return wrong + (differences(case, run) if code == 0 else [])


def search(
    recipes: list[Path], num: int, seed: int, home: Path, keep: Path,
    say: Callable[[str], None] = lambda line: None, minutes: float = 1e9, imported: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Kill runs of some recipes until there were `num` kills, or the time is over.

    Args:
        recipes: Their files.
        num: How many processes are to be killed.
        seed: What the moments are drawn from.
        home: An empty directory.
        keep: Where directories of runs that went wrong are moved to.
        say: Takes a line for each recipe that is left out and for each failure.
        minutes: When to stop.
        imported: Whether this process has imported already what they import.
    """
    for name in WARM:
        importlib.import_module(name)
    cases, failures, left_out = [], [], {}
    end = time.monotonic() + 60 * minutes
    for recipe in recipes:
        case = Case(recipe, home / f"{recipe.parent.name}-{recipe.stem}")
        if why := begin(case, imported):
            left_out[recipe.name] = why
            say(f"{recipe.name} is left out: {why}")
        else:
            cases.append(case)
            say(f"{recipe.name}: {case.seconds:.1f} s, with an empty cache {case.cold_seconds:.1f} s")
    while cases and sum(case.kills for case in cases) < num and time.monotonic() < end:
        case = min(cases, key=lambda one: one.spent)
        run, began = case.home / f"trial-{case.trials}", time.monotonic()
        wrong = trial(case, random.Random(f"{seed}/{case.recipe.name}/{case.trials}"), run)
        case.spent += time.monotonic() - began
        if wrong:
            failures.append({"recipe": case.recipe.name, "trial": case.trials, "wrong": wrong[:20]})
            say(json.dumps(failures[-1]))
            keep.mkdir(parents=True, exist_ok=True)
            shutil.copytree(run, keep / f"{case.home.name}-{seed}-{case.trials}", dirs_exist_ok=True)
            shutil.copy(run.with_name("log"), keep / f"{case.home.name}-{seed}-{case.trials}")
        shutil.rmtree(run, ignore_errors=True)
        case.trials += 1
    counts = {one.home.name: {"trials": one.trials, "kills": one.kills} for one in cases}
    lines = [line for case in cases for line in case.lines]
    kills = sum(case.kills for case in cases)
    return {"kills": kills, "of": counts, "lines": lines, "failures": failures, "left_out": left_out}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("recipes", nargs="*", type=Path)
    options.add_argument("--num", type=int, default=1_000)
    options.add_argument("--seed", type=int, default=time.time_ns() % 10**9)
    options.add_argument("--minutes", type=float, default=600)
    options.add_argument("--keep", type=Path, default=Path("nightly"), help="where failed runs are copied to")
    given = options.parse_args()
    recipes = given.recipes or [*sorted(RECIPES.glob("toy/*.yaml")), *sorted(RECIPES.glob("smoke/*.yaml"))]
    print(f"{given.num} kills, seed {given.seed}", flush=True)
    with tempfile.TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else None) as home:
        found = search(
            [path.resolve() for path in recipes], given.num, given.seed, Path(home).resolve(),
            given.keep, lambda line: print(line, flush=True), given.minutes,
        )  # fmt: skip
    print(json.dumps({key: found[key] for key in ("kills", "of", "left_out")}))
    print(f"{len(found['failures'])} failed")
    sys.exit(bool(found["failures"]))


if __name__ == "__main__":
    main()
