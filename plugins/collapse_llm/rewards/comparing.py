"""How alike two texts are: by their words, or by where an embedder places them."""

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import SerializeAsAny

from collapse_core import Completion, Dataset, Features, Prompt, Reward, part
from collapse_llm.rewards.embedding import SentenceEmbedding
from collapse_llm.rewards.rouge import rouge_f1

Space = Annotated[SerializeAsAny[Features], part("features")]

MINILM = SentenceEmbedding(use="sentence-embedding")


class Comparing(Reward):
    """A reward that compares texts."""

    reads: ClassVar[tuple[str, ...]] = ("retain",)

    by: Literal["rouge", "embedding"] = "rouge"
    """What is compared: words in their order (ROUGE-L F1), or places (the cosine, where it is above 0)."""
    features: Space = MINILM
    """The space for `by: embedding`."""

    def prepare(self, data: Dataset, prompts: Sequence[Prompt], references: Mapping[str, Completion]) -> None:
        """Prepare the features, if they are asked."""
        if self.by == "embedding":
            self.features.prepare(data)

    def similarities(self, texts: Sequence[str], others: Sequence[str]) -> list[list[float]]:
        """Return how alike each text and each of the others are, in [0, 1]; one row per text."""
        if self.by == "rouge":
            return [[rouge_f1(other, text) for other in others] for text in texts]
        rows = self.features.extract([*texts, *others]) if texts and others else []
        return cosines(rows[: len(texts)], rows[len(texts) :])


def cosines(some: Sequence[Sequence[float]], others: Sequence[Sequence[float]]) -> list[list[float]]:
    """Return the cosine of the angle between each two rows, 0 where it is negative; one row each."""
    import numpy as np

    if not len(some) or not len(others):
        return [[] for _ in some]
    one, other = (np.asarray(rows, dtype=np.float64) for rows in (some, others))
    lengths = np.linalg.norm(one, axis=1)[:, None] * np.linalg.norm(other, axis=1)[None, :]
    found = (one @ other.T) / np.where(lengths > 0, lengths, 1.0)
    rows: list[list[float]] = found.clip(0.0, 1.0).tolist()
    return rows
