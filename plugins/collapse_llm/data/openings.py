"""Running text, cut into openings to be continued and their continuations, in whole words."""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Annotated, Any

from annotated_types import Ge

from collapse_core import Component, Prompt, errors
from collapse_llm.conversations import CONTINUE
from collapse_llm.model.weights import locate
from collapse_llm.words import spans


class Openings(Component):
    """How texts are cut into passages: an opening that is shown, and what the model is to say after it."""

    opening: Annotated[int, Ge(1)] = 32
    """How many tokens of a passage are shown."""
    continuation: Annotated[int, Ge(1)] = 64
    """How many tokens follow them."""
    tokenizer: str | None = None
    """Whose tokens are counted: the `path` of a causal-lm; by default words are."""

    @property
    def cuts_texts(self) -> bool:
        """Whether rows are running texts that are cut."""
        return True

    @property
    def unit(self) -> str:
        """What is counted, for people to read."""
        return f"tokens of {self.tokenizer}" if self.tokenizer else "words"

    def cut_documents(self, split: str, documents: Iterable[tuple[str, str]]) -> list[Prompt]:
        """Return the passages of named texts; of what is to be retained, every token is trained on."""
        return [
            _passage(split, f"{number}.{place}", name, shown, said)
            for number, (name, text) in enumerate(documents, start=1)
            for place, (shown, said) in enumerate(self._cut(text), start=1)
        ]

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

        from collapse_llm.model.loading import unpacked_files
    except ImportError:
        raise errors.missing_extra("transformers", "llm", "counting tokens") from None
    source = locate(name, "main")
    try:
        return AutoTokenizer.from_pretrained(unpacked_files(source), revision=source.revision)
    except (OSError, ValueError) as error:
        raise errors.not_fetched(name, error, "data: {tokenizer: <directory>}") from None
