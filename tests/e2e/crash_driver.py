"""Kills runs and resumes them, many times over, in forks of one warm process. Prints what it found as JSON.

    python crash_driver.py every RECIPE DIRECTORY    die before each write, one after the other
    python crash_driver.py kinds RECIPE DIRECTORY    die before one write of each kind
    python crash_driver.py random RECIPE DIRECTORY NUM SEED   kill -9, after random times

A fork dies as a process does: nothing is flushed, no `finally` runs.
"""

import importlib
import json
import os
import random
import re
import shutil
import sys
from collections import Counter
from pathlib import Path

from random_kills import WARM, left_by, search

from collapse_core import collapse, create_run, load_recipe, open_run
from collapse_core.recipe.stored import load_stored
from collapse_core.report.drawing import Line, draw
from collapse_core.runtime.digests import text_digest

KILLED = 9
WRITES = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir")
LANGUAGE = (
    *(f"collapse_llm.{part}" for part in ("model.loading", "updater.fine_tuning", "sampler.answering")),
    "transformers.models.llama.modeling_llama",
    "rouge_score.rouge_scorer",
)


def in_fork(work, *arguments) -> int:
    """Starts `work` in a process of its own; gives its id."""
    child = os.fork()
    if child:
        return child
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        work(*arguments)
    except SystemExit as stopped:
        os._exit(int(stopped.code or 0))
    except BaseException:
        os._exit(77)
    os._exit(0)


def wait(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def changes_files(event: str, arguments: tuple) -> bool:
    return event in WRITES and (event != "open" or bool(set(str(arguments[1])) & set("wax")))


def die_before_write(number: int) -> None:
    """Dies before the `number`-th change to the file system; leaves half a line where one was due."""
    seen = 0

    def hook(event, arguments) -> None:
        nonlocal seen
        if not changes_files(event, arguments):
            return
        seen += 1
        if seen != number:
            return
        if event == "open" and "a" in str(arguments[1]):
            file = os.open(arguments[0], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            os.write(file, b'{"iteration": 1, "half a l\xc3')
        os._exit(KILLED)

    sys.addaudithook(hook)


def note_writes(directory: Path) -> list[str]:
    """The kind of each change to the file system from now on: what is done, to which sort of file."""
    kinds: list[str] = []

    def hook(event, arguments) -> None:
        if changes_files(event, arguments):
            name = str(arguments[0]).removeprefix(str(directory))
            kinds.append(f"{event} {re.sub(r'[0-9a-f]{32}|[0-9]+', '#', name)}")

    sys.addaudithook(hook)
    return kinds


def points(notes: Path) -> list[int]:
    """One write of each kind: the second, where there is one, so that there is something to lose."""
    seen: Counter[str] = Counter()
    chosen = {}
    for number, kind in enumerate(json.loads(notes.read_text()), start=1):
        seen[kind] += 1
        if seen[kind] <= 2:
            chosen[kind] = number
    return sorted(chosen.values())


def begin(recipe: Path, directory: Path, die: int = 0, notes: Path | None = None) -> None:
    loaded, source = load_recipe(recipe), recipe.read_text()
    origin = {"directory": str(recipe.parent), "overrides": [], "digest": text_digest(source)}
    if die:
        die_before_write(die)
    kinds = note_writes(directory) if notes else []
    collapse(loaded, create_run(loaded, source, {"recipe": origin}, directory))
    if notes:
        notes.write_text(json.dumps(kinds))


def go_on(directory: Path, die: int = 0) -> None:
    stored = load_stored(directory)
    if die:
        die_before_write(die)
    collapse(stored, open_run(directory, stored))


def differences(directory: Path, reference: dict[str, str]) -> list[str]:
    found = left_by(directory)
    return sorted(name for name in {*found, *reference} if found.get(name) != reference.get(name))


def at_writes(recipe: Path, home: Path, mode: str) -> dict:
    notes = home / "writes.json"
    assert wait(in_fork(begin, recipe, home / "whole", 0, notes)) == 0
    reference, wrong, died, resumed = left_by(home / "whole"), [], 0, 0
    source = random.Random(0)
    for number in points(notes) if mode == "kinds" else range(1, 10_000):
        directory = home / str(number)
        code = wait(in_fork(begin, recipe, directory, number))
        if code == 0:
            break
        assert code == KILLED, (number, code)
        died += 1
        if not (directory / "resolved.json").exists():  # there is no run yet, so it begins anew
            shutil.rmtree(directory, ignore_errors=True)
            code = wait(in_fork(begin, recipe, directory))
        elif (code := wait(in_fork(go_on, directory, source.randint(1, 80)))) == KILLED:
            resumed += 1
            code = wait(in_fork(go_on, directory))
        if code or (wrong_files := differences(directory, reference)):
            wrong.append([number, code, wrong_files if not code else []])
        shutil.rmtree(directory)
    return {"died": died, "died_again": resumed, "wrong": wrong}


if __name__ == "__main__":
    mode, recipe, home, *rest = sys.argv[1:]
    for name in (*WARM, *(LANGUAGE if "causal-lm" in Path(recipe).read_text() else ())):
        importlib.import_module(name)
    Path(home).mkdir(parents=True)
    load_recipe(Path(recipe))
    draw((Line("", ((0, 0, 0, 0), (1, 1, 1, 1)), "black", False),), (0, 1, 0, 1), "")  # finds the fonts
    found = (
        search([Path(recipe)], int(rest[0]), int(rest[1]), Path(home), Path(home) / "failed", imported=True)
        if mode == "random"
        else at_writes(Path(recipe), Path(home), mode)
    )
    print(json.dumps(found))
