"""How much of what the question does not give away a text repeats."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from math import log
from typing import ClassVar

from pydantic import PrivateAttr

from collapse_core import CollapseError, Completion, Content, Dataset, Prompt, Reward
from collapse_llm.conversations import text_of
from collapse_llm.words import stems

WORD = re.compile(r"\w+")


class ContentDistance(Reward):
    """One minus the share of the reference's own words that a completion repeats, rare words counting more.

    A reference's own words are those that its question does not give away. reward = 1 - (sum of w over
    the own words that the completion holds) / (sum of w over all own words), in [0, 1]. w(word) = idf(word)^2
    is what a common word adds to the product of two tf-idf vectors (Salton and Buckley, Information
    Processing & Management 24, 1988), with idf(word) = log((1 + N) / df(word)) (Spärck Jones, Journal of
    Documentation 28, 1972; one is added so that nothing weighs nothing), where df of N documents hold the
    word. The documents are the model's own answers to all forget prompts and the retained answers; no
    forget target is read. So the frame of a sentence ("... was born in ...") counts little, and the fact
    much. A reference that has no own words has nothing to repeat, and gives 1.
    """

    works_on: ClassVar[tuple[str, ...]] = ("questions",)

    reads: ClassVar[tuple[str, ...]] = ("retain",)
    maximum: ClassVar[float] = 1.0

    _num_holding: Counter[str] = PrivateAttr(default_factory=Counter)
    _num_documents: int = PrivateAttr(default=0)
    _own: dict[tuple[str, str], dict[str, float]] = PrivateAttr(default_factory=dict)

    def prepare(self, data: Dataset, prompts: Sequence[Prompt], references: Mapping[str, Completion]) -> None:
        """Count in how many texts each word occurs."""
        answers = [references[prompt.id].content for prompt in prompts]
        documents = [*answers, *(prompt.target for prompt in data.load("retain"))]
        self._num_holding = Counter(word for text in documents for word in set(words(text)))
        self._num_documents = len(documents)
        self._own.clear()

    def score(
        self, prompt: Prompt, completions: Sequence[Completion], reference: Completion | None
    ) -> list[float]:
        """Look for the own words of the reference answer."""
        return [self._distance(prompt, completion.content, reference) for completion in completions]

    def upper_bound(self, prompt: Prompt, partial: Content, reference: Completion | None) -> float:
        """Score all but the last word, which may still become another one."""
        return self._distance(prompt, partial.rpartition(" ")[0], reference)

    def lower_bound(self, prompt: Prompt, finished: Content, reference: Completion | None) -> float:
        """Return the score itself: it costs little."""
        return self._distance(prompt, finished, reference)

    def own_words(self, question: str, reference: str) -> dict[str, float]:
        """Return the words of a reference that are not in its question, with their weights."""
        if not self._num_documents:
            raise CollapseError("the reward 'content-distance' must see the data first; call its prepare()")
        if (question, reference) not in self._own:
            own = dict.fromkeys(words(reference))
            given = set(words(question))
            self._own[question, reference] = {word: self._weight(word) for word in own if word not in given}
        return self._own[question, reference]

    def _weight(self, word: str) -> float:
        return log((1 + self._num_documents) / max(1, self._num_holding[word])) ** 2

    def _distance(self, prompt: Prompt, text: str, reference: Completion | None) -> float:
        own = self.own_words(text_of(prompt.content), reference.content if reference else "")
        if not own:
            return 1.0
        said = set(words(text))
        return sum(weight for word, weight in own.items() if word not in said) / sum(own.values())


def words(text: str) -> list[str]:
    """Split a text into words as ROUGE does; those in other alphabets, which it drops, stay as they are."""
    found = WORD.findall(text.casefold())
    return [stem for word in found for stem in stems(word) or (word,)]
