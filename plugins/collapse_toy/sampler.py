"""Drawing from the toys."""

import random
from collections.abc import Sequence

from collapse_core import Bound, Completion, Group, Iteration, Model, Prompt, Sampler, derive_seed

from collapse_toy.model import Categorical


class CategoricalDraws(Sampler):
    """Independent draws of categories."""

    def sample(
        self,
        model: Model,
        prompts: Sequence[Prompt],
        num_completions: int,
        iteration: Iteration,
        bound: Bound | None = None,
    ) -> list[Group]:
        """Draw by inverting the cumulative distribution, one uniform number a completion."""
        assert isinstance(model, Categorical)
        categories, weights = list(model.probabilities), list(model.probabilities.values())

        def draw(prompt: Prompt, number: int) -> Completion:
            source = random.Random(derive_seed(iteration.seed, prompt.id, number))
            return Completion(source.choices(categories, weights)[0], number, iteration.number)

        return [Group(p, tuple(draw(p, number) for number in range(num_completions))) for p in prompts]
