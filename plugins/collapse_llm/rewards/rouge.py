"""How unlike the reference answer a text is, by the longest common subsequence of words."""

from collections.abc import Sequence
from math import exp
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge

from collapse_core import Completion, Content, Prompt, Reward
from collapse_llm.words import stems


class RougeDistance(Reward):
    """One minus the ROUGE-L overlap with the reference, with stemming: the paper's reward.

    reward = 1 - min(1, overlap + penalty), in [0, 1]. The overlap is the recall LCS(reference, completion) /
    |reference|, as in the paper, or the F1 of recall and precision, 2 LCS / (|reference| + |completion|)
    (Lin 2004, section 3.1, with beta 1). The penalty is exp(-number of words) for completions of fewer
    than `min_len` words (arXiv 2507.04219, and its public implementation for `min_len`).
    """

    works_on: ClassVar[tuple[str, ...]] = ("questions",)

    maximum: ClassVar[float] = 1.0

    measure: Literal["recall", "f1"] = "recall"
    """Which overlap; with "f1" a completion also gets away by saying more besides."""
    min_len: Annotated[int, Ge(0)] = 0
    """Completions of fewer words, split at single spaces, are penalized; 0 penalizes none."""

    def score(
        self, prompt: Prompt, completions: Sequence[Completion], reference: Completion | None
    ) -> list[float]:
        """Compare each completion with the reference answer."""
        usual = reference.content if reference else ""
        return [1.0 - self.overlap(usual, completion.content) for completion in completions]

    def overlap(self, reference: str, text: str) -> float:
        """Return how much of the reference a text repeats, in [0, 1], the length penalty included."""
        num_words = len(text.split(" "))
        penalty = exp(-num_words) if num_words < self.min_len else 0.0
        repeated = rouge_recall(reference, text) if self.measure == "recall" else rouge_f1(reference, text)
        return min(1.0, repeated + penalty)

    def upper_bound(self, prompt: Prompt, partial: Content, reference: Completion | None) -> float:
        """Recall can only grow as text is added, but the last word may still become another one.

        F1 can always be lowered by going on for long enough, so that nothing is known of it.
        """
        if self.measure == "f1":
            return self.maximum
        whole_words, _, _ = partial.rpartition(" ")
        return 1.0 - rouge_recall(reference.content if reference else "", whole_words)

    def lower_bound(self, prompt: Prompt, finished: Content, reference: Completion | None) -> float:
        """Return the score itself: it costs little."""
        return 1.0 - self.overlap(reference.content if reference else "", finished)


def rouge_recall(reference: str, text: str) -> float:
    """Compute ROUGE-L recall with Porter stemming: LCS(reference, text) / |reference|, in [0, 1].

    The tokens are those of the rouge-score package (Lin 2004), and words of scripts other than Latin; an
    empty reference gives 0.
    """
    wanted = stems(reference)
    return _common(wanted, text)[-1] / len(wanted) if wanted else 0.0


def rouge_f1(reference: str, text: str) -> float:
    """ROUGE-L F1 with Porter stemming: 2 LCS(reference, text) / (|reference| + |text|), in [0, 1].

    It is the same both ways round (Lin 2004, section 3.1); where nothing is in common it is 0.
    """
    wanted = stems(reference)
    common = _common(wanted, text)[-1]
    return 2 * common / (len(wanted) + len(stems(text))) if common else 0.0


def _common(wanted: tuple[str, ...], text: str) -> tuple[int, ...]:
    """Return the longest common subsequence of the text with each beginning of what is wanted.

    A text that is one word longer than one asked for before costs that word: samplers ask as it grows.
    """
    row = _remembered.get((wanted, text))
    if row is None:
        before, _, word = text.rpartition(" ")
        row = _remembered.get((wanted, before))
        row, words = ((0,) * (len(wanted) + 1), stems(text)) if row is None else (row, stems(word))
        for stem in words:
            row = _with_word(row, wanted, stem)
        if len(_remembered) >= MOST_REMEMBERED:
            _remembered.clear()
        _remembered[wanted, text] = row
    return row


_remembered: dict[tuple[tuple[str, ...], str], tuple[int, ...]] = {}
MOST_REMEMBERED = 100_000


def _with_word(row: tuple[int, ...], wanted: tuple[str, ...], word: str) -> tuple[int, ...]:
    """Return the next row of the usual table for the longest common subsequence."""
    longer = [0]
    for i, other in enumerate(wanted, start=1):
        longer.append(row[i - 1] + 1 if word == other else max(row[i], longer[-1]))
    return tuple(longer)
