"""Rewards on categories and on numbers."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

from annotated_types import Gt

from collapse_core import Completion, Prompt, Reward


class NotAmong(Reward):
    """One for a category that is not among those to forget, else zero."""

    secret_fields: ClassVar[tuple[str, ...]] = ("categories",)
    works_on: ClassVar[tuple[str, ...]] = ("categories",)

    maximum: ClassVar[float] = 1.0

    categories: list[str]
    """The categories to forget."""

    def score(
        self, prompt: Prompt, completions: Sequence[Completion], reference: Completion | None
    ) -> list[float]:
        """Compare each completion with the categories."""
        return [float(completion.content not in self.categories) for completion in completions]


class CategoryWorth(Reward):
    """What each category is worth, said outright: any ranking, with ties."""

    works_on: ClassVar[tuple[str, ...]] = ("categories",)

    worth: dict[str, float]
    """The reward by category; a category that is not named is worth nothing."""

    def score(
        self, prompt: Prompt, completions: Sequence[Completion], reference: Completion | None
    ) -> list[float]:
        """Look each completion up."""
        return [self.worth.get(completion.content, 0.0) for completion in completions]


class Larger(Reward):
    """The number itself: the larger, the better."""

    works_on: ClassVar[tuple[str, ...]] = ("numbers",)

    def score(
        self, prompt: Prompt, completions: Sequence[Completion], reference: Completion | None
    ) -> list[float]:
        """Read each number."""
        return [completion.content for completion in completions]


class Near(Reward):
    """The closer to a number, the better: -(x - target)^2 / (2 width^2)."""

    works_on: ClassVar[tuple[str, ...]] = ("numbers",)

    maximum: ClassVar[float] = 0.0

    target: float
    """The best number."""
    width: Annotated[float, Gt(0)] = 1.0
    """At this distance the reward has fallen to -1/2."""

    def score(
        self, prompt: Prompt, completions: Sequence[Completion], reference: Completion | None
    ) -> list[float]:
        """Measure how far each number is off."""
        return [-(((completion.content - self.target) / self.width) ** 2) / 2 for completion in completions]
