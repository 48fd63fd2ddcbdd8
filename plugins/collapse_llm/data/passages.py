"""Running text: books, articles, code, cut into openings that the model is to continue."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar

from annotated_types import Ge
from pydantic import PrivateAttr

from collapse_core import (
    CollapseError,
    Dataset,
    Prompt,
    PromptSet,
    all_hold,
    errors,
    file_digest,
    progress,
)
from collapse_llm.conversations import CONTINUE
from collapse_llm.data import overlap, reading
from collapse_llm.data.sources import Named, Source
from collapse_llm.words import spans

PROSE = (".txt", ".md")
"""How the names of files end that are one document each."""


class Passages(Dataset):
    """Texts to forget, cut into openings to be continued; texts to retain are trained on as they are.

    A document is a .txt or .md file, or a row with the column `text` of the other kinds of files. It is cut
    into passages of whole words, never across documents: `opening` tokens that are shown and `continuation`
    tokens that the model is to say. Tokens are those of `tokenizer`; without one, words are counted. What is
    to be retained is cut into passages as long, and every token of them is trained on, as in pretraining.
    """

    provides: ClassVar[str] = "questions"

    forget: Named
    """Texts to forget."""
    retain: Named | None = None
    """Texts to retain."""
    holdout: Named | None = None
    """Texts of the same kind that the model was never trained on, for evaluators."""
    opening: Annotated[int, Ge(1)] = 32
    """How many tokens of a passage are shown."""
    continuation: Annotated[int, Ge(1)] = 64
    """How many tokens follow them."""
    tokenizer: str | None = None
    """Whose tokens are counted: the model's directory or its name on the hub; by default words are."""
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
                [(p.id, _whole(p)) for p in some] for some in (self._passages("forget", self.forget), found)
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
        found = [
            _passage(split, f"{number}.{place}", name, shown, said)
            for number, (name, text) in enumerate(documents, start=1)
            for place, (shown, said) in enumerate(self._cut(text), start=1)
        ]
        if not found:
            raise CollapseError(
                f"{source.from_} has no text of two words, one to show and one to continue it with"
            )
        if split not in self._said:
            self._said.add(split)
            unit = f"tokens of {self.tokenizer}" if self.tokenizer else "words"
            passages = errors.counted(len(found), "passage")
            texts = errors.counted(len(documents), "text")
            progress.announce(
                f"{split}: {passages} of {texts} of {source.from_}, up to {self.opening} + "
                f"{self.continuation} {unit} each"
            )
        return found

    def _cut(self, text: str) -> Iterator[tuple[str, str]]:
        """Yield the opening and the continuation of each passage of a document, in whole words."""
        words = spans(text)
        ends = [0, *_counted(text, words, self.tokenizer)]
        first = 0
        while len(words) - first > 1:
            middle = _reaching(ends, first, self.opening)
            if middle >= len(words):  # a text shorter than an opening is shown by half
                middle = (first + len(words)) // 2
            last = _reaching(ends, middle, self.continuation)
            if _reaching(ends, last, self.opening) >= len(words):  # what is left is too short for a passage
                last = len(words)
            shown, said = words[first][0], words[middle][0]
            yield text[shown:said].rstrip(), text[said : words[last - 1][1]]
            first = last


def _reaching(ends: Sequence[int], first: int, num: int) -> int:
    """Return the word before which so many tokens have passed since the first, or that there is none."""
    return next((i for i in range(first + 1, len(ends)) if ends[i] - ends[first] >= num), len(ends) - 1)


def _passage(split: str, number: str, name: str, shown: str, said: str) -> Prompt:
    columns = {"document": name}
    if split == "retain":
        return Prompt(f"{split}-{number}", {CONTINUE: ""}, f"{shown} {said}", columns=columns)
    return Prompt(f"{split}-{number}", {CONTINUE: shown}, said, columns=columns)


def _whole(prompt: Prompt) -> str:
    return f"{prompt.content[CONTINUE]} {prompt.target}".strip()


def _documents(source: Source) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each document of a source.

    Raises:
        CollapseError: It cannot be read, or its rows have no column `text`.
    """
    path = Path(source.from_).expanduser()
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
    files = _prose(Path(source.from_).expanduser())
    return {file.name: file_digest(file) for file in files} or reading.provenance(source)


def _counted(text: str, words: Sequence[tuple[int, int]], tokenizer: str | None) -> list[int]:
    """Return how many tokens there are up to the end of each word."""
    if tokenizer is None:
        return list(range(1, len(words) + 1))
    offsets = iter(
        _tokenizer(tokenizer)(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    )
    counts, num, token = [], 0, next(offsets, None)
    for _, end in words:
        while token is not None and token[0] < end:
            num, token = num + 1, next(offsets, None)
        counts.append(num)
    return counts


@lru_cache(maxsize=2)
def _tokenizer(name: str) -> Any:
    try:
        from transformers import AutoTokenizer
    except ImportError:
        raise errors.missing_extra("transformers", "llm", "counting tokens") from None
    try:
        return AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise errors.not_fetched(name, error, "data: {tokenizer: <directory>}") from None
