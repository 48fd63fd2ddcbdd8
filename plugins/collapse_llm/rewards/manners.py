"""How a text is said: as a refusal, at some length, without repeating itself, unlike its siblings."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Annotated, ClassVar

from annotated_types import Ge
from pydantic import PrivateAttr

from collapse_core import Completion, Content, Dataset, Prompt, Reward
from collapse_llm.rewards.comparing import Comparing
from collapse_llm.sentences import Sentences, read_sentences


class RefusalLikeness(Comparing):
    """How much a completion is like the refusal that it is most like.

    reward = max over refusals r of sim(r, completion), in [0, 1]: 1 for a refusal of the list, word for word.
    sim is ROUGE-L F1 (Lin 2004) or the cosine of sentence embeddings (arXiv 1908.10084). With a negative
    weight it keeps a model from refusing.
    """

    works_on: ClassVar[tuple[str, ...]] = ("questions",)

    maximum: ClassVar[float] = 1.0

    refusals: Sentences = "refusals"
    """Sentences, a text file of one per line, or "refusals" for the thirty that come with the plugin."""

    _refusals: list[str] = PrivateAttr(default_factory=list)

    def prepare(self, data: Dataset, prompts: Sequence[Prompt], references: Mapping[str, Completion]) -> None:
        """Read the refusals."""
        super().prepare(data, prompts, references)
        self._refusals = read_sentences(self.refusals)

    def score(
        self, prompt: Prompt, completions: Sequence[Completion], reference: Completion | None
    ) -> list[float]:
        """Compare each with all refusals."""
        refusals = self._refusals or read_sentences(self.refusals)
        return [max(row) for row in self.similarities([one.content for one in completions], refusals)]

    def lower_bound(self, prompt: Prompt, finished: Content, reference: Completion | None) -> float:
        """Return the score where words are compared; to embed each completion apart would cost too much."""
        if self.by == "embedding":
            return 0.0
        return self.score(prompt, [Completion(finished)], reference)[0]


class MinimumLength(Reward):
    """One for a completion of enough words, and less in proportion for a shorter one.

    reward = min(1, number of words / min_words), in [0, 1]; words are split at white space. Where the
    `min_len` of `rouge-distance` takes from the overlap, this has a weight of its own.
    """

    works_on: ClassVar[tuple[str, ...]] = ("questions",)

    maximum: ClassVar[float] = 1.0

    min_words: Annotated[int, Ge(1)] = 5
    """How many words are enough."""

    def score(
        self, prompt: Prompt, completions: Sequence[Completion], reference: Completion | None
    ) -> list[float]:
        """Count."""
        return [min(1.0, len(one.content.split()) / self.min_words) for one in completions]

    def lower_bound(self, prompt: Prompt, finished: Content, reference: Completion | None) -> float:
        """Return the score itself."""
        return min(1.0, len(finished.split()) / self.min_words)


class Repetition(Reward):
    """The share of a completion's n-grams that it has not said before: low for one that repeats itself.

    reward = number of different n-grams / number of n-grams, in (0, 1], of lower-cased words split at white
    space; 1 where there are none. It is distinct-n of one text (Li et al., arXiv 1510.03055, section 5)
    and 1 - seq-rep-n (Welleck et al., arXiv 1908.04319, section 6).
    """

    works_on: ClassVar[tuple[str, ...]] = ("questions",)

    maximum: ClassVar[float] = 1.0

    n: Annotated[int, Ge(1)] = 2
    """How many words an n-gram has."""

    def score(
        self, prompt: Prompt, completions: Sequence[Completion], reference: Completion | None
    ) -> list[float]:
        """Count."""
        return [self._share_of_new(one.content) for one in completions]

    def lower_bound(self, prompt: Prompt, finished: Content, reference: Completion | None) -> float:
        """Return the score itself."""
        return self._share_of_new(finished)

    def _share_of_new(self, text: str) -> float:
        words = text.casefold().split()
        grams = [tuple(words[i : i + self.n]) for i in range(len(words) - self.n + 1)]
        return len(set(grams)) / len(grams) if grams else 1.0


class Diversity(Comparing):
    """How unlike the other completions of its group a completion is.

    reward = 1 - mean over the siblings s of sim(s, completion), in [0, 1], with ROUGE-L F1 (Lin 2004) or the
    cosine of sentence embeddings (arXiv 1908.10084) for sim; Self-BLEU (Zhu et al., arXiv 1802.01886,
    section 3.3) is the same idea. It abstains from an only completion, which has none to differ from.
    """

    works_on: ClassVar[tuple[str, ...]] = ("questions",)

    maximum: ClassVar[float] = 1.0

    def score(
        self, prompt: Prompt, completions: Sequence[Completion], reference: Completion | None
    ) -> list[float | None]:
        """Compare each with all others."""
        if len(completions) < 2:
            return [None] * len(completions)
        texts = [one.content for one in completions]
        alike = self.similarities(texts, texts)
        return [1.0 - fmean([*row[:i], *row[i + 1 :]]) for i, row in enumerate(alike)]

    def upper_bound(self, prompt: Prompt, partial: Content, reference: Completion | None) -> float:
        """No bound at all: a completion that was dropped half-way would change its siblings' scores."""
        return math.inf

    def lower_bound(self, prompt: Prompt, finished: Content, reference: Completion | None) -> float:
        """Nothing below zero, for any siblings."""
        return 0.0
