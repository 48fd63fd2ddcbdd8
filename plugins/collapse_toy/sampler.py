"""Drawing from the toys, one seeded generator a draw."""

import random
from abc import abstractmethod
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, TypeAlias

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

        def completion(prompt: Prompt, number: int) -> Completion:
            seed = derive_seed(iteration.seed, prompt.id, number)
            other = paired(random.Random(seed)) if paired else None
            return Completion(draw(random.Random(seed)), number, iteration.number, paired_reference=other)

        return [Group(p, tuple(completion(p, number) for number in range(num_completions))) for p in prompts]

    @abstractmethod
    def drawing(self, model: Model) -> Draw:
        """Return how one draw is made from a generator of random numbers."""

    def paired(self, model: Model) -> Draw | None:
        """Return how the reference model would have made it, where that is asked for."""
        return None


class CategoricalDraws(_Draws):
    """Independent draws of categories."""

    def drawing(self, model: Model) -> Draw:
        """Invert the cumulative distribution."""
        probabilities = require(model, Categorical, "categorical-draws").probabilities
        categories, cumulative = list(probabilities), list(accumulate(probabilities.values()))
        return lambda source: source.choices(categories, cum_weights=cumulative)[0]


class GaussianDraws(_Draws):
    """Independent draws of numbers."""

    paired_references: bool = False
    """Whether the reference model shifts and scales the same normal number, as a paired reference."""

    def drawing(self, model: Model) -> Draw:
        """Shift and scale a standard normal number."""
        gaussian = require(model, Gaussian, "gaussian-draws")
        mean, sd = gaussian.mean, gaussian.sd
        return lambda source: source.gauss(mean, sd)

    def paired(self, model: Model) -> Draw | None:
        """Shift and scale as the reference model does."""
        original = require(model, Gaussian, "gaussian-draws").original
        return (lambda source: source.gauss(*original)) if self.paired_references and original else None

    def sample_references(
        self, model: Model, prompts: Sequence[Prompt], iteration: Iteration
    ) -> list[Completion]:
        """Return one draw per prompt; for paired references, the model's parameters are kept."""
        if self.paired_references:
            gaussian = require(model, Gaussian, "gaussian-draws")
            gaussian.original = (gaussian.mean, gaussian.sd)
        return super().sample_references(model, prompts, iteration)
