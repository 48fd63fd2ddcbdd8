"""Rewards on categories."""

from collections.abc import Sequence
from typing import ClassVar

from collapse_core import Completion, Prompt, Reward


class NotAmong(Reward):
    """One for a category that is not among those to forget, else zero."""

    maximum: ClassVar[float] = 1.0

    categories: list[str]
    """The categories to forget."""

    def score(
        self, prompt: Prompt, completions: Sequence[Completion], reference: Completion | None
    ) -> list[float]:
        """Compare each completion with the categories."""
        return [float(completion.content not in self.categories) for completion in completions]
