"""Drawing from the toys, one seeded generator a draw."""

import random
from abc import abstractmethod
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, ClassVar, TypeAlias

from collapse_core import Bound, Completion, Group, Iteration, Model, Prompt, Sampler, derive_seed, require
from collapse_toy.model import Categorical, Gaussian

Draw: TypeAlias = Callable[[random.Random], Any]


class _Draws(Sampler):
    """Independent draws of a toy, each from a generator of its own."""

    def sample(
        self,
        model: Model,
        prompts: Sequence[Prompt],
        num_completions: int,
        iteration: Iteration,
        bound: Bound | None = None,
    ) -> list[Group]:
        """Draw; nothing is ever left unfinished, so the bound is not asked."""
        draw, paired = self.drawing(model), self.paired(model)
        source = random.Random()

        def drawn(draw: Draw, seed: int) -> Any:
            source.seed(seed)  # quicker than a new generator, and the same numbers
            return draw(source)

        def completion(prompt: Prompt, number: int) -> Completion:
            seed = derive_seed(iteration.seed, prompt.id, number)
            other = drawn(paired, seed) if paired else None
            return Completion(drawn(draw, seed), number, iteration.number, paired_reference=other)

        return [Group(p, tuple(completion(p, number) for number in range(num_completions))) for p in prompts]

    @abstractmethod
    def drawing(self, model: Model) -> Draw:
        """Return how one draw is made from a generator of random numbers."""

    def paired(self, model: Model) -> Draw | None:
        """Return how the reference model would have made it, where that is asked for."""
        return None


class CategoricalDraws(_Draws):
    """Independent draws of categories."""

    works_on: ClassVar[tuple[str, ...]] = ("categorical",)

    def drawing(self, model: Model) -> Draw:
        """Invert the cumulative distribution."""
        probabilities = require(model, Categorical, "categorical-draws").probabilities
        categories, cumulative = list(probabilities), list(accumulate(probabilities.values()))
        return lambda source: source.choices(categories, cum_weights=cumulative)[0]


class GaussianDraws(_Draws):
    """Independent draws of numbers."""

    works_on: ClassVar[tuple[str, ...]] = ("gaussian",)

    paired_references: bool = False
    """Also draw, from the same normal number, what the reference model draws."""

    def drawing(self, model: Model) -> Draw:
        """Shift and scale a standard normal number."""
        gaussian = require(model, Gaussian, "gaussian-draws")
        mean, sd = gaussian.mean, gaussian.sd
        return lambda source: source.gauss(mean, sd)

    def paired(self, model: Model) -> Draw | None:
        """Draw from the reference model."""
        if not self.paired_references:
            return None
        with model.reference() as reference:
            return self.drawing(reference)
