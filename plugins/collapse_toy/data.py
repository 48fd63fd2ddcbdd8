"""What the toys draw from: the ten categories of the paper's figures, and numbers on a line."""

import random
from collections.abc import Sequence
from math import fsum, sqrt
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt
from pydantic import model_validator

from collapse_core import Dataset, Prompt, PromptSet, derive_seed, errors

SPLITS = ("forget", "retain", "full")

COUNTS = {
    "Toronto": 5,
    "Montreal": 10,
    "Vancouver": 20,
    "Ottawa": 15,
    "Calgary": 10,
    "Edmonton": 10,
    "Winnipeg": 5,
    "Quebec": 10,
    "Hamilton": 10,
    "Kitchener": 5,
}
"""How often each category occurs among 100 (authors' ICLR 2026 slides 4-8)."""

FORGET = ["Toronto", "Montreal", "Vancouver"]
"""What the paper's third figure forgets (the same slides): 35 balls of 100."""


class Cities(Dataset):
    """Balls of ten colors, or cities: a prompt is one draw, the answer a city.

    Splits: "forget", the draws to be made; "retain", one ball for each count of a city that is kept;
    "full", all balls.
    """

    secret_fields: ClassVar[tuple[str, ...]] = ("forget",)
    provides: ClassVar[str] = "categories"

    counts: dict[str, Annotated[int, Ge(0)]] = COUNTS
    """How many balls there are of each city."""
    forget: list[str] = FORGET
    """The cities whose balls are not put back."""
    num_draws: Annotated[int, Ge(1)] = 100
    """How many balls are drawn per iteration."""

    @model_validator(mode="after")
    def _only_known_cities(self) -> "Cities":
        """Return a misspelled city would be forgotten without effect."""
        unknown = [city for city in self.forget if city not in self.counts]
        if unknown:
            raise ValueError(f"no balls of {', '.join(unknown)}; known: {', '.join(self.counts)}")
        if not any(self.counts.values()):
            raise ValueError("there must be at least one ball")
        return self

    def splits(self) -> Sequence[str]:
        """All splits."""
        return SPLITS

    def load(self, split: str, *, targets: bool = True) -> PromptSet:
        """Load a split; the draws of "forget" have no true answer."""
        _check(split, "cities")
        if split == "forget":
            return _draws(self.num_draws)
        balls = [
            Prompt(f"{city}-{i}", "draw", city if targets else None)
            for city, count in self.counts.items()
            for i in range(count)
            if split == "full" or city not in self.forget
        ]
        return PromptSet(tuple(balls))


class Numbers(Dataset):
    """Real numbers from a Gaussian: a prompt is one draw, the answer a number.

    Splits: "forget", the draws to be made; "retain" and "full", the real numbers. These are shifted and
    scaled so that their own mean and standard deviation are exactly those asked for: the model fitted
    to them starts where the closed forms start.
    """

    provides: ClassVar[str] = "numbers"

    mean: float = 0.0
    """The mean of the real numbers."""
    sd: Annotated[float, Gt(0)] = 1.0
    """Their standard deviation, with divisor `num_real`."""
    num_real: Annotated[int, Ge(2)] = 1000
    """How many real numbers there are."""
    num_draws: Annotated[int, Ge(1)] = 20
    """How many numbers are drawn per iteration."""
    seed: int = 0
    """The seed of the real numbers; the draws of a run follow the seed of the run."""

    def splits(self) -> Sequence[str]:
        """All splits."""
        return SPLITS

    def load(self, split: str, *, targets: bool = True) -> PromptSet:
        """Load a split; the draws of "forget" have no true answer."""
        _check(split, "numbers")
        if split == "forget":
            return _draws(self.num_draws)
        real = self._real() if targets else [None] * self.num_real
        return PromptSet(tuple(Prompt(f"real-{i}", "draw", number) for i, number in enumerate(real)))

    def _real(self) -> list[float]:
        raw = [random.Random(derive_seed(self.seed, "real", i)).gauss() for i in range(self.num_real)]
        center = fsum(raw) / len(raw)
        spread = sqrt(fsum((number - center) ** 2 for number in raw) / len(raw))
        return [self.mean + self.sd * (number - center) / spread for number in raw]


def _draws(num: int) -> PromptSet:
    return PromptSet(tuple(Prompt(f"draw-{i}", "draw") for i in range(num)))


def _check(split: str, name: str) -> None:
    if split not in SPLITS:
        raise errors.no_split(name, split, SPLITS)
