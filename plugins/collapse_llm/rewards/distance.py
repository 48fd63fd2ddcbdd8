"""How far the meaning of a text is from what the model used to answer."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from collapse_core import Completion, Content, Dataset, Prompt, Reward
from collapse_llm.rewards.comparing import MINILM, Space, cosines


class EmbeddingDistance(Reward):
    """One minus the cosine of completion and reference in the space of a sentence embedder.

    reward = 1 - max(0, cos(e(completion), e(reference))), in [0, 1] (the similarity of Sentence-BERT,
    Reimers and Gurevych, arXiv 1908.10084, section 3). A cosine below 0 counts as 0: pointing away is no
    better forgotten than having nothing to do with it, and a reward of 1 can be reached.
    """

    works_on: ClassVar[tuple[str, ...]] = ("questions",)

    reads: ClassVar[tuple[str, ...]] = ("retain",)
    maximum: ClassVar[float] = 1.0

    features: Space = MINILM
    """The space in which the angle is taken."""

    def prepare(self, data: Dataset, prompts: Sequence[Prompt], references: Mapping[str, Completion]) -> None:
        """Prepare the features."""
        self.features.prepare(data)

    def score(
        self, prompt: Prompt, completions: Sequence[Completion], reference: Completion | None
    ) -> list[float]:
        """Embed the completions and the reference answer."""
        if not completions:
            return []
        texts = [reference.content if reference else "", *(one.content for one in completions)]
        rows = self.features.extract(texts)
        return [1.0 - cosine for [cosine] in cosines(rows[1:], rows[:1])]

    def lower_bound(self, prompt: Prompt, finished: Content, reference: Completion | None) -> float:
        """Nothing below zero; to embed each completion apart would cost too much."""
        return 0.0
