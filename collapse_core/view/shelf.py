"""The runs below some directories: found anew when asked, and read anew only where a file has changed."""

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from collapse_core.errors import CollapseError
from collapse_core.results.results import Results, load_results
from collapse_core.runtime.digests import text_digest
from collapse_core.view.completions import Completions
from collapse_core.view.standing import standing

DEEPEST = 4
"""How many directories below a given one a run may lie."""
RESCAN = 2.0
"""Seconds for which the list of runs is taken to be what it was."""
MARKS = ("resolved.json", "status.json", "journal.jsonl")
"""Files that make a directory a run, be it a broken one."""
READ = (
    "resolved.json",
    "status.json",
    "environment.json",
    "journal.jsonl",
    "evaluations.jsonl",
    "timings.jsonl",
)
NUM_INDEXED, NUM_READ = 4, 256
"""Of how many runs completions, and results, are held in memory."""

T = TypeVar("T")


@dataclass(frozen=True)
class Entry:
    """A run on the shelf."""

    key: str
    """What it is called in addresses."""
    directory: Path
    label: str
    """What it is called on pages."""


class Latest(Generic[T]):
    """The values of the last few keys, each made anew when its version changes."""

    def __init__(self, most: int) -> None:
        """Take how many are kept."""
        self._most = most
        self._kept: OrderedDict[str, tuple[str, T]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str, version: str, make: Callable[[], T]) -> T:
        """The value of a key at a version."""
        with self._lock:
            known = self._kept.get(key)
            if known and known[0] == version:
                self._kept.move_to_end(key)
                return known[1]
        made = make()
        with self._lock:
            self._kept[key] = version, made
            self._kept.move_to_end(key)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return made


class Shelf:
    """Some directories, and the runs in them."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """Take run directories, or directories that hold some; none of them is ever written to."""
        self.paths = list({path.resolve(): path for path in paths}.values())
        self._results: Latest[Results] = Latest(NUM_READ)
        self._completions: Latest[Completions] = Latest(NUM_INDEXED)
        self._found: tuple[float, dict[str, Entry]] = (-RESCAN, {})

    def entries(self) -> list[Entry]:
        """The runs that are there now, in the order of their paths."""
        scanned, found = self._found
        if time.monotonic() - scanned > RESCAN:
            found = {entry.key: entry for path in self.paths for entry in _entries(path)}
            self._found = time.monotonic(), found
        return list(found.values())

    def entry(self, key: str) -> Entry:
        """A run by its key.

        Raises:
            CollapseError: There is none.
        """
        for entry in self.entries():
            if entry.key == key:
                return entry
        raise CollapseError("no such run is there (any more); the list of runs shows those that are")

    def results(self, entry: Entry) -> Results:
        """What a run has recorded so far.

        Raises:
            CollapseError: It is broken.
        """
        return self._results.get(entry.key, signature(entry.directory), lambda: load_results(entry.directory))

    def completions(self, entry: Entry) -> Completions:
        """What a run has sampled so far."""
        return self._completions.get(entry.key, "", lambda: Completions(entry.directory / "completions"))

    def version(self, entries: Sequence[Entry]) -> str:
        """A text that changes when anything that is shown of these runs does."""
        seen = [(e.key, signature(e.directory), standing(e.directory).state) for e in entries]
        return text_digest(repr(seen))[:16]


def signature(directory: Path) -> str:
    """A text that changes with the files of a run."""
    return repr([_stat(directory / name) for name in (*READ, "completions")])


def _stat(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _entries(path: Path) -> Iterator[Entry]:
    found = list(_runs(path))
    for directory in found or [path]:
        inside = directory.relative_to(path).as_posix()
        label = f"{path.resolve().name}/{inside}" if inside != "." else path.resolve().name
        yield Entry(text_digest(str(directory.resolve()))[:12], directory, label)


def _runs(path: Path) -> Iterator[Path]:
    """The run directories at or below a path; what lies within a run is no run."""
    for place, folders, names in os.walk(path):
        here = Path(place)
        if not set(MARKS).isdisjoint(names) or {"checkpoints", "completions"} <= set(folders):
            yield here
            folders.clear()
        deep = len(here.relative_to(path).parts)
        folders[:] = sorted(name for name in folders if deep < DEEPEST and not name.startswith("."))
