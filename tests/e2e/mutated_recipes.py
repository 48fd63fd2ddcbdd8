"""Mutates the shipped recipes and checks what comes of each. Prints what it found; keeps what failed.

    python tests/e2e/mutated_recipes.py --num 3000 --seed 1 --keep FOLDER

Each mutated recipe is valid, or is refused with one sentence for each problem that names file and line. Those
that are valid and a toy are also run for two iterations.
"""

import argparse
import importlib
import io
import json
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mutations import mutate, places, write_odd_files
from random_kills import WARM
from ruamel.yaml import YAML

from collapse_core import load_recipe
from collapse_core.cli.__main__ import entry

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
LIMIT_S, RUN_LIMIT_S, WAITING = 5.0, 20.0, 20
"""How long a recipe is checked and a toy runs, on the processor; how many times as long by the clock."""
LONGEST, MOST_LINES = 2_000, 21
"""The most characters of a line of an error, and the most lines."""
TOYS = 0.3
"""The share of toys, which can also be run."""
CHEAP = 1_000
"""The largest number in a recipe that is run: more is asked for than a check has time for."""
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


class Hangs(BaseException):
    """The time is over."""


@dataclass
class Found:
    """What came of the mutated recipes."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


@contextmanager
def within(seconds: float) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise Hangs

    timers = ((signal.ITIMER_PROF, signal.SIGPROF, 1), (signal.ITIMER_REAL, signal.SIGALRM, WAITING))
    before = [signal.signal(number, stop) for _, number, _ in timers]
    for timer, _, times in timers:
        signal.setitimer(timer, times * seconds)
    try:
        yield
    finally:
        for (timer, number, _), handler in zip(timers, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(number, handler)


def said_by(seconds: float, *arguments: object) -> Said:
    """What a command says and its exit code, within this process; 124 where it hangs."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    before, code = sys.argv, 0
    sys.argv = ["collapse", *map(str, arguments)]
    try:
        with redirect_stdout(out), redirect_stderr(err), warnings.catch_warnings(), within(seconds):
            entry()
    except SystemExit as stopped:
        code = int(stopped.code or 0)
    except Hangs:
        code = 124
    except BaseException as error:
        print(f"Traceback: {type(error).__name__}: {error}", file=err)
        code = 1
    finally:
        sys.argv = before
    return Said(code, *(one.buffer.getvalue().decode("utf-8", "replace") for one in (out, err)))


def fault(said: Said, codes: tuple[int, ...]) -> str:
    """What must not be in what any command says."""
    if said.code == 124:
        return "hangs"
    for sign in ("Traceback", "shows the traceback", "it cannot be parsed ("):
        if sign in said.err:
            return "an error that is not the project's own"
    if said.code not in codes:
        return f"exit code {said.code}"
    if found := CONTROL.search(said.err + said.out):
        return f"a control character is sent: {found[0]!r}"
    lines = said.err.splitlines()
    if len(lines) > MOST_LINES or max(map(len, lines), default=0) > LONGEST:
        return f"an error of {len(lines)} lines and {len(said.err)} characters"
    return ""


def fault_of_validation(said: Said, home: Path) -> str:
    """What is wrong with what `validate` said of a mutated recipe; "" where all is right."""
    if found := fault(said, (0, 2, 3)):
        return found
    if said.code == 0:
        return "" if said.out.endswith(": ok\n") else "it is not said to be valid"
    for line in said.err.splitlines():
        place = re.match(rf"{re.escape(str(home))}/[^:]*(:\d+:\d+)?: .", line)
        if not place:
            return "a line of the error names no file"
        if not place[1] and not re.search(r"cannot be read|: \d+ more problems?$", line):
            return "a line of the error names no line of the file"
    return ""


def is_cheap_toy(path: Path) -> bool:
    """Whether a valid recipe is a toy that runs at once."""
    recipe = load_recipe(path)
    numbers = [node[key] for node, key in places(recipe.resolved()) if type(node[key]) in (int, float)]
    large = [number for number in numbers if abs(number) > CHEAP]
    alone = recipe.launch.processes == 1 and not recipe.launch.config and not recipe.track
    return recipe.data.use in ("cities", "numbers") and alone and len(large) == 0


def run(path: Path, home: Path) -> str:
    """What is wrong with a run of a valid recipe; "" where it ended, or failed with one sentence."""
    shutil.rmtree(home / "run", ignore_errors=True)
    few = ("iterations=2", "completions_per_prompt=2")
    arguments = [one for key in few for one in ("--set", key)]
    said = said_by(RUN_LIMIT_S, "run", path, "--run-dir", home / "run", *arguments)
    if found := fault(said, (0, 1, 2)):
        return f"run: {found}: {said.err[-600:]}"
    if said.code == 0 and not (home / "run" / "report.html").exists():
        return "run: no report"
    with suppress(FileNotFoundError):
        for file in (home / "run").rglob("*.json*"):
            for line in file.read_text().splitlines() if file.suffix == ".jsonl" else [file.read_text()]:
                json.loads(line, parse_constant=lambda name: (_ for _ in ()).throw(ValueError(name)))
    return ""


def check(
    num: int, seed: int, home: Path, keep: Path, only: str = "", say: Callable[[str], None] = print
) -> Found:
    """Mutate and check `num` recipes.

    Args:
        num: How many.
        seed: What all is drawn from; the i-th recipe depends on `seed` and i alone.
        home: An empty directory.
        keep: Where mutated recipes that fail are copied to.
        only: A part of the path of the recipes to take; by default all are.
        say: Takes each failure as a line.
    """
    for name in WARM:  # the first import of a library is not the recipe's
        importlib.import_module(name)
    shutil.copytree(RECIPES, home / "recipes")
    originals = sorted(path for path in (home / "recipes").rglob("*.yaml") if only in str(path))
    texts = {path: path.read_text() for path in originals}
    toys = [path for path in originals if path.parent.name == "toy"]
    others = [YAML(typ="safe", pure=True).load(text) for text in texts.values()]
    for folder in {path.parent for path in originals}:
        write_odd_files(folder)
    found = Found()
    for number in range(num):
        source = random.Random(f"{seed}/{number}")
        original = source.choice(toys if toys and source.random() < TOYS else originals)
        path = original.with_name("mutated.yaml")
        path.write_bytes(mutate(source, texts[original], others))
        said = said_by(LIMIT_S, "validate", path)
        wrong = fault_of_validation(said, home)
        found.counts["valid" if said.code == 0 else "refused"] += 1
        if said.code == 0 and not wrong and is_cheap_toy(path):
            found.counts["run"] += 1
            wrong = run(path, home)
        if wrong:
            keep.mkdir(parents=True, exist_ok=True)
            kept = keep / f"{seed}-{number}.yaml"
            shutil.copyfile(path, kept)
            failure = {
                "seed": seed,
                "number": number,
                "of": original.name,
                "wrong": wrong,
                "said": said.err[:900],
            }
            found.failures.append(failure)
            say(json.dumps(failure))
        path.unlink()
    return found


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--num", type=int, default=3_000)
    options.add_argument("--seed", type=int, default=time.time_ns() % 10**9)
    options.add_argument(
        "--keep", type=Path, default=Path("nightly"), help="where failing recipes are copied to"
    )
    given = options.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    print(f"{given.num} mutated recipes, seed {given.seed}", flush=True)
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as home:
        found = check(given.num, given.seed, Path(home).resolve(), given.keep)
    print(dict(found.counts), f"{len(found.failures)} failed")
    sys.exit(bool(found.failures))


if __name__ == "__main__":
    main()
