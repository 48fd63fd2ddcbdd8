"""Drawing from the toys, one seeded generator a draw."""

import random
from abc import abstractmethod
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, TypeAlias

from collapse_core import Bound, Completion, Group, Iteration, Model, Prompt, Sampler, derive_seed
from collapse_toy.model import Categorical, Gaussian, require

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
        draw = self.drawing(model)

        def completion(prompt: Prompt, number: int) -> Completion:
            source = random.Random(derive_seed(iteration.seed, prompt.id, number))
            return Completion(draw(source), number, iteration.number)

        return [Group(p, tuple(completion(p, number) for number in range(num_completions))) for p in prompts]

    @abstractmethod
    def drawing(self, model: Model) -> Draw:
        """How one draw is made from a generator of random numbers."""


class CategoricalDraws(_Draws):
    """Independent draws of categories."""

    def drawing(self, model: Model) -> Draw:
        """Invert the cumulative distribution."""
        probabilities = require(model, Categorical, "categorical-draws").probabilities
        categories, cumulative = list(probabilities), list(accumulate(probabilities.values()))
        return lambda source: source.choices(categories, cum_weights=cumulative)[0]


class GaussianDraws(_Draws):
    """Independent draws of numbers."""

    def drawing(self, model: Model) -> Draw:
        """Shift and scale a standard normal number."""
        gaussian = require(model, Gaussian, "gaussian-draws")
        mean, sd = gaussian.mean, gaussian.sd
        return lambda source: source.gauss(mean, sd)
