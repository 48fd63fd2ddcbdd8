"""Running text: books, articles, code, cut into openings that the model is to continue."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import PrivateAttr

from collapse_core import (
    CollapseError,
    Prompt,
    PromptSet,
    all_hold,
    errors,
    file_digest,
    progress,
)
from collapse_llm.data import formats, overlap, reading
from collapse_llm.data.openings import Openings
from collapse_llm.data.overlap import Compared
from collapse_llm.data.questions import first_format
from collapse_llm.data.sources import Named, Source

PROSE = (".txt", ".md")
"""How the names of files end that are one document each."""


class Passages(Openings, Compared):
    """Texts to forget, cut into openings to be continued; texts to retain are trained on as they are.

    A document is a .txt or .md file, or a row with the column `text` of the other kinds of files. It is cut
    into passages of whole words, never across documents: `opening` tokens that are shown and `continuation`
    tokens that the model is to say. Tokens are those of `tokenizer`; without one, words are counted. What is
    to be retained is cut into passages as long, and every token of them is trained on, as in pretraining.
    """

    forget: Named
    """Texts to forget."""
    retain: Named | None = None
    """Texts to retain."""
    holdout: Named | None = None
    """Texts of the same kind that the model was never trained on, for evaluators."""
    allow_overlap: bool = False
    """Whether a passage may be to forget and to retain at once."""
    _said: set[str] = PrivateAttr(default_factory=set)

    def load(self, split: str, *, targets: bool = True) -> PromptSet:
        """Load a split; without targets the continuations are dropped."""
        source = getattr(self, split) if split in ("forget", "retain", "holdout") else None
        if source is None:
            if split == "retain":
                return PromptSet(())
            raise errors.no_split(self.use, split, self.splits())
        found = self._passages(split, source)
        if split == "retain" and "both" not in self._said:
            self._said.add("both")
            sides = (
                [(p.id, overlap.compared(p)) for p in some]
                for some in (self._passages("forget", self.forget), found)
            )
            for sentence in overlap.compare(*sides, allowed=self.allow_overlap):
                progress.announce(sentence)
        return PromptSet(tuple(found)) if targets else PromptSet(tuple(found)).without_targets()

    def splits(self) -> Sequence[str]:
        """Return the splits whose source is named."""
        return [split for split in ("forget", "retain", "holdout") if getattr(self, split)]

    def provenance(self) -> Mapping[str, object]:
        """Return the digest of each file, and the commit of each data set of the hub."""
        return {split: _provenance(getattr(self, split)) for split in self.splits()}

    def _passages(self, split: str, source: Source) -> list[Prompt]:
        documents = list(_documents(source))
        found = self.cut_documents(split, documents)
        if not found:
            raise CollapseError(
                f"{source.from_} has no text of two words, one to show and one to continue it with"
            )
        if split not in self._said:
            self._said.add(split)
            passages = errors.counted(len(found), "passage")
            texts = errors.counted(len(documents), "text")
            progress.announce(
                f"{split}: {passages} of {texts} of {source.from_}, up to {self.opening} + "
                f"{self.continuation} {self.unit} each"
            )
        return found


def is_running_text(source: Source) -> bool:
    """Return whether a source holds documents, or rows whose first is a text and no question.

    Raises:
        CollapseError: It cannot be read, or its rows have no format that is known.
    """
    return bool(_prose(Path(source.from_).expanduser())) or first_format(source) == formats.TEXT


def _documents(source: Source) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each document of a source.

    Raises:
        CollapseError: It cannot be read, or its rows have no column `text`.
    """
    path = Path(os.path.expanduser(source.from_))
    if files := _prose(path):
        for file in files:
            yield file.name, reading.read_text(file, source.encoding)
        return
    column = source.columns.get("text", "text")
    where = [] if isinstance(source.where, str) else list(source.where)
    for line in reading.read_lines(source, (column,)):
        if all_hold(where, line.row):
            text = line.row.get(column)
            if not isinstance(text, str):
                raise CollapseError(
                    f"{line.where}: this row has no text in the column '{column}'; it has "
                    f"{', '.join(line.row)}; name the column, such as 'columns: {{text: <name>}}'"
                )
            yield line.where, text


def _prose(path: Path) -> list[Path]:
    found = [path] if path.is_file() else sorted(path.rglob("*")) if path.is_dir() else []
    return [file for file in found if file.suffix.lower() in PROSE and file.is_file()]


def _provenance(source: Source) -> Mapping[str, object]:
    files = _prose(Path(os.path.expanduser(source.from_)))
    return {file.name: file_digest(file) for file in files} or reading.provenance(source)
