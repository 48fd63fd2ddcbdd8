"""What every test may use: the command line, here or in a process of its own, and toy recipes."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).parent.parent
COLLAPSE = str(Path(sys.executable).with_name("collapse"))
PLAIN = {"NO_COLOR": "1", "COLUMNS": "80", "PYTHONDONTWRITEBYTECODE": "1"}

settings.register_profile("quick", max_examples=40)
settings.register_profile("thorough", max_examples=500, deadline=None)  # as 'make test-slow' says
settings.load_profile("quick")

COSTS = {
    "e2e": "process",
    "third_party": "process",
    "unit/diffusion": "model",
    "unit/graph": "model",
    "unit/llm": "model",
    "unit/tabular": "model",
}
"""The markers of whole folders."""

TOY = """\
version: 1
name: toy
data: {use: cities, num_draws: 8}
model: {use: categorical}
sampler: {use: categorical-draws}
rewards:
  - {use: not-among, categories: [Toronto, Montreal, Vancouver]}
filter: {use: best-of-n}
updater: {use: categorical-mle}
iterations: 4
completions_per_prompt: 2
evaluate: {every: 2, with: [category-shares]}
checkpoint: {every: 2, keep: 2}
"""


@dataclass(frozen=True)
class Outcome:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--golden", action="store_true", help="write the golden texts instead of comparing")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What a test costs is said by its folder, or by a marker of its own."""
    folders = {f"{Path(__file__).parent / folder}{os.sep}": marker for folder, marker in COSTS.items()}
    for item in items:
        for folder, marker in folders.items():
            if str(item.path).startswith(folder):
                item.add_marker(marker)


@pytest.fixture(scope="session", autouse=True)
def shared_cache(tmp_path_factory):
    """One cache for all tests and workers: a model is taught once, and none comes from an earlier session."""
    home = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        home = home.parent
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(home / "cache"))
        patch.setenv("MPLCONFIGDIR", str(home / "cache" / "matplotlib"))  # fonts are listed once
        yield


@pytest.fixture(scope="session")
def collapse_here() -> Callable[..., Outcome]:
    """Runs the command line within this process, which is quick."""
    from collapse_core.cli.__main__ import entry

    def run(*arguments: object) -> Outcome:
        out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.setattr(sys, "argv", ["collapse", *map(str, arguments)])
            for key, value in PLAIN.items():
                patch.setenv(key, value)
            with pytest.raises(SystemExit) as stopped:
                entry()
        printed = (stream.buffer.getvalue().decode() for stream in (out, err))
        return Outcome(stopped.value.code or 0, *printed)

    return run


@pytest.fixture(scope="session")
def warm_collapse() -> Iterator[subprocess.Popen[str]]:
    """A process from which those of `collapse` are forked."""
    program = [sys.executable, str(Path(__file__).with_name("warm_collapse.py"))]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.communicate()


@pytest.fixture
def collapse(warm_collapse, tmp_path_factory) -> Callable[..., Outcome]:
    """Runs the command line in a process of its own."""

    def run(*arguments: object, **options) -> Outcome:
        out, err = (tmp_path_factory.mktemp("printed") / name for name in ("out", "err"))
        command = {
            "arguments": [*map(str, arguments)],
            "environment": os.environ | PLAIN | options.get("env", {}),
            "directory": str(options.get("cwd") or Path.cwd()),
            "out": str(out),
            "err": str(err),
            "seconds": options.get("timeout", 60),
        }
        warm_collapse.stdin.write(json.dumps(command) + "\n")
        warm_collapse.stdin.flush()
        code = json.loads(warm_collapse.stdout.readline())
        assert code is not None, f"{arguments} did not end within {command['seconds']} seconds"
        return Outcome(code, out.read_text(), err.read_text())

    return run


@pytest.fixture
def toy(tmp_path) -> Callable[..., Path]:
    """Writes a toy recipe of four iterations, with lines replaced: `toy(iterations="iterations: 8")`."""

    def write(name: str = "toy.yaml", more: str = "", **lines: str) -> Path:
        text = TOY
        for key, line in lines.items():
            before = [old for old in text.splitlines() if old.startswith(f"{key}:")]
            assert before, key
            text = text.replace(before[0], line)
        path = tmp_path / name
        path.write_text(text + more)
        return path

    return write
