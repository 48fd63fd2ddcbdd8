"""Benchmarks of the field, from the hub or from the same files in a directory."""

import os
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from collapse_core import CollapseError, Prompt, PromptSet, errors
from collapse_llm.data import formats, reading
from collapse_llm.data.overlap import Compared
from collapse_llm.data.questions import prompt_of
from collapse_llm.data.reading import Line
from collapse_llm.data.sources import Source


class Part(NamedTuple):
    """Where the rows of a split are."""

    hub: str
    """The id of a data set on the hub."""
    config: str | None
    """Its configuration."""
    split: str
    """The split of it."""

    @property
    def folder(self) -> str:
        """What its folder in a directory is called: the configuration, or the data set where it has one."""
        return self.config or self.hub.rpartition("/")[2]


class Benchmark(Compared):
    """A benchmark that the hub has, for a model to forget and for evaluators to measure."""

    path: str | None = None
    """A directory that holds a folder per configuration of the hub's data set, and in it a file per split,
    such as knowmem/forget_qa.jsonl; without it they are fetched from the hub."""
    revisions: dict[str, str] = {}
    """By the id of a data set on the hub, its branch, tag or commit; the newest is taken of others. The
    manifest of a run names the commit of each."""

    @abstractmethod
    def parts(self) -> Mapping[str, Sequence[Part]]:
        """Return where the rows of each split are; the first is the split itself."""

    @abstractmethod
    def load_with_answers(self, split: str) -> PromptSet:
        """Load a split with its true answers."""

    def load(self, split: str, *, targets: bool = True) -> PromptSet:
        """Load a split; without targets the answers are dropped."""
        if split not in self.parts():
            raise errors.no_split(self.use, split, list(self.parts()))
        found = self.load_with_answers(split)
        return found if targets else found.without_targets()

    def splits(self) -> Sequence[str] | None:
        """Return the splits that there are: of the hub all, of a directory those with files."""
        if self.path is not None and not Path(os.path.expanduser(self.path)).is_dir():
            return None
        return [split for split, parts in self.parts().items() if all(map(self._is_there, parts))]

    def provenance(self) -> Mapping[str, object]:
        """Return the digest of each local file, or the commit of each data set of the hub."""
        if self.path is not None:
            return reading.provenance(Source(from_=self.path))
        first = {part.hub: part for parts in self.parts().values() for part in parts}
        return {hub: reading.provenance(self._source(part)) for hub, part in first.items()}

    def rows(self, part: Part, *columns: str) -> list[Line]:
        """Return the rows of a part, each of which has these columns.

        Raises:
            CollapseError: They cannot be read, or one lacks a column.
        """
        lines = list(reading.read_lines(self._source(part), columns))
        for line in lines:
            if lack := [column for column in columns if column not in line.row]:
                raise CollapseError(
                    f"{line.where}: this row has no '{lack[0]}'; rows of {part.hub}, {part.folder}, have "
                    f"{', '.join(columns)}, and this one has {', '.join(line.row)}"
                )
        return lines

    def choices(self, split: str, part: Part, **columns: Any) -> list[Prompt]:
        """Return rows of multiple choice as prompts, with further columns for each."""
        lines = self.rows(part, "question", "choices", "answer")
        lines = [Line(line.where, line.number, {**line.row, **columns}) for line in lines]
        form = formats.recognized(lines, part.hub)
        return [prompt_of(split, line, formats.asked(line, form), True) for line in lines]

    def _source(self, part: Part) -> Source:
        if self.path is not None:
            return Source(from_=str(Path(os.path.expanduser(self.path)) / part.folder), split=part.split)
        revision = self.revisions.get(part.hub)
        return Source(from_=part.hub, config=part.config, split=part.split, revision=revision)

    def _is_there(self, part: Part) -> bool:
        if self.path is None:
            return True
        return reading.has_split(Path(os.path.expanduser(self.path)) / part.folder, part.split)
