"""The completions of a run, filtered and searched; each line is read once, and shown from its file."""

import json
import math
import re
import threading
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from collapse_core.results.formatting import plain

WAIT = 1.0
"""Seconds that a page waits for files that are still being read."""
LONGEST = 20_000
"""Of a content that is no text, more bytes than this are not searched: they are pixels, not words."""
NUM_CACHED = 32

Order = Literal["oldest", "newest", "highest", "lowest"]


class Line(NamedTuple):
    """What is held in memory of a completion; the completion itself stays in its file."""

    iteration: int
    offset: int
    size: int
    prompt: str
    reward: float
    """Not a number where it is not known."""
    kept: bool
    text: str
    """Its text, folded for the search."""


@dataclass(frozen=True)
class Query:
    """Which completions are asked for; None asks for all."""

    iteration: int | None = None
    """Counted from 0."""
    prompt: str | None = None
    low: float | None = None
    high: float | None = None
    kept: bool | None = None
    find: str = ""
    """Words, or phrases in quotes, each of which must occur in the prompt or in the answer."""
    order: Order = "oldest"


class Prompt(NamedTuple):
    """The completions of a prompt in numbers."""

    id: str
    asked: Any
    num: int
    num_kept: int
    first: float | None
    """The mean reward in the first iteration that sampled it."""
    last: float | None


class _File(NamedTuple):
    signature: tuple[int, int, int]
    lines: Sequence[Line]
    num_bad: int


class Completions:
    """The completions of one run, in memory; the files are only read."""

    def __init__(self, folder: Path) -> None:
        """Take the folder with a file for each iteration."""
        self.folder = folder
        self._files: dict[int, _File] = {}
        self._asked: dict[str, tuple[Any, str]] = {}
        """By prompt id: what is asked, and the same folded."""
        self._selected: dict[Query, Sequence[Line]] = {}
        self._prompts: Sequence[Prompt] | None = None
        self._generation = 0
        self._waiting = 0
        self._reader: threading.Thread | None = None
        self._lock = threading.Lock()

    # --- reading -----------------------------------------------------------------------------------

    def refresh(self, wait: float = WAIT) -> None:
        """Read what is new or has changed, in a thread, and wait for it for so many seconds."""
        with self._lock:
            reader = self._reader
            if reader is None or not reader.is_alive():
                reader = self._reader = threading.Thread(target=self._read, name="completions", daemon=True)
                reader.start()
        reader.join(wait)

    @property
    def num_waiting(self) -> int:
        """How many files have not been read yet."""
        return self._waiting

    @property
    def num_bad(self) -> int:
        """How many lines could not be read."""
        return sum(file.num_bad for file in list(self._files.values()))

    def _read(self) -> None:
        there = dict(self._listed())
        gone = self._files.keys() - there.keys()
        changed = [n for n, sign in there.items() if n not in self._files or self._files[n].signature != sign]
        self._waiting = len(changed)
        for number in changed:
            lines, num_bad = self._lines(number)
            self._files[number] = _File(there[number], lines, num_bad)
            self._forget_selected()
            self._waiting -= 1
        for number in gone:
            del self._files[number]
            self._forget_selected()

    def _forget_selected(self) -> None:
        with self._lock:
            self._generation += 1
            self._selected, self._prompts = {}, None

    def _listed(self) -> Iterator[tuple[int, tuple[int, int, int]]]:
        """The files by iteration, each with what changes when it is written anew."""
        for path in sorted(self.folder.glob("*.jsonl")):
            try:
                found = path.stat()
                yield int(path.stem), (found.st_mtime_ns, found.st_size, found.st_ino)
            except (OSError, ValueError):
                continue

    def _lines(self, number: int) -> tuple[list[Line], int]:
        try:
            raw = self._path(number).read_bytes()
        except OSError:
            return [], 1
        lines, num_bad, offset = [], 0, 0
        for piece in raw.split(b"\n"):
            if piece:
                try:
                    lines.append(self._line(number, offset, piece))
                except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
                    num_bad += 1
            offset += len(piece) + 1
        return lines, num_bad

    def _line(self, number: int, offset: int, raw: bytes) -> Line:
        row = json.loads(raw)
        prompt, reward = plain(row["prompt"]), row.get("reward")
        if prompt not in self._asked:
            self._asked[prompt] = row.get("asked"), fold(searched(row.get("asked"), len(raw)))
        text = fold(searched(row["answer"], len(raw)))
        number_given = isinstance(reward, int | float)
        return Line(
            number,
            offset,
            len(raw),
            prompt,
            float(reward) if number_given else math.nan,
            bool(row.get("kept")),
            text,
        )

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:05d}.jsonl"

    # --- asking ------------------------------------------------------------------------------------

    def iterations(self) -> list[int]:
        """The iterations that have been read, counted from 0."""
        return sorted(self._files)

    def select(self, query: Query) -> Sequence[Line]:
        """The completions that are asked for, in the order that is asked for."""
        with self._lock:
            generation, known = self._generation, self._selected.get(query)
        if known is not None:
            return known
        found = self._ordered(query, list(self._matching(query)))
        with self._lock:
            if generation == self._generation:
                if len(self._selected) >= NUM_CACHED:
                    self._selected.pop(next(iter(self._selected)))
                self._selected[query] = found
        return found

    def _matching(self, query: Query) -> Iterator[Line]:
        found = self._all(query.iteration)
        if query.prompt is not None:
            found = (line for line in found if line.prompt == query.prompt)
        if query.kept is not None:
            found = (line for line in found if line.kept is query.kept)
        if query.low is not None:
            found = (line for line in found if line.reward >= query.low)
        if query.high is not None:
            found = (line for line in found if line.reward <= query.high)
        for word in words_of(query.find):
            found = self._holding(fold(word), found)
        return found

    def _all(self, iteration: int | None) -> Iterator[Line]:
        files = dict(self._files)
        for number in sorted(files):
            if iteration is None or number == iteration:
                yield from files[number].lines

    def _holding(self, word: str, lines: Iterator[Line]) -> Iterator[Line]:
        asked = {prompt for prompt, (_, text) in list(self._asked.items()) if word in text}
        return (line for line in lines if word in line.text or line.prompt in asked)

    def _ordered(self, query: Query, lines: list[Line]) -> list[Line]:
        if query.order == "newest":
            lines.sort(key=lambda line: -line.iteration)
        elif query.order in ("highest", "lowest"):
            sign = -1 if query.order == "highest" else 1
            lines.sort(key=lambda line: math.inf if math.isnan(line.reward) else sign * line.reward)
        return lines

    def row(self, line: Line) -> dict[str, Any] | None:
        """The whole row of a completion; None where its file has been replaced or removed since."""
        try:
            with self._path(line.iteration).open("rb") as file:
                file.seek(line.offset)
                row = json.loads(file.read(line.size))
        except (OSError, ValueError):
            return None
        return row if isinstance(row, dict) and plain(row.get("prompt")) == line.prompt else None

    def asked(self, prompt: str) -> Any:
        """What a prompt asks; None for one that nothing was sampled for."""
        return self._asked.get(prompt, (None, ""))[0]

    def prompts(self) -> Sequence[Prompt]:
        """The prompts, in the order in which they were first asked."""
        with self._lock:
            generation, known = self._generation, self._prompts
        if known is not None:
            return known
        groups: dict[str, dict[int, list[Line]]] = {}
        for line in self._all(None):
            groups.setdefault(line.prompt, {}).setdefault(line.iteration, []).append(line)
        prompts = [_summary(prompt, self.asked(prompt), found) for prompt, found in groups.items()]
        with self._lock:
            if generation == self._generation:
                self._prompts = prompts
        return prompts


def _summary(prompt: str, asked: Any, groups: Mapping[int, Sequence[Line]]) -> Prompt:
    lines = [line for group in groups.values() for line in group]
    first, last = (_mean(groups[number]) for number in (min(groups), max(groups)))
    return Prompt(prompt, asked, len(lines), sum(line.kept for line in lines), first, last)


def _mean(lines: Sequence[Line]) -> float | None:
    known = [line.reward for line in lines if math.isfinite(line.reward)]
    return math.fsum(known) / len(known) if known else None


def words_of(find: str) -> list[str]:
    """The words and quoted phrases of what is searched for."""
    return [phrase or word for phrase, word in re.findall(r'"([^"]+)"|([^\s"]+)', find)]


def fold(text: str) -> str:
    """A text without what a search overlooks: upper and lower case, and how a letter is composed."""
    return unicodedata.normalize("NFKC", text).casefold()


def searched(content: Any, size: int) -> str:
    """The text of a content that is searched; nothing of what is large and no text."""
    if isinstance(content, str):
        return content
    return plain(content) if size <= LONGEST else ""
