"""How completions are drawn from a language model."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt, Le

from collapse_core import Bound, Completion, Group, Iteration, Model, Prompt, Sampler


class Sampling(Sampler):
    """What tokens are drawn by; each field is the recipe's, never the model's own configuration."""

    works_on: ClassVar[tuple[str, ...]] = ("language-model",)

    temperature: Annotated[float, Ge(0.01)] = 1.0
    """Logits are divided by it; higher is more varied."""
    top_p: Annotated[float, Gt(0), Le(1)] = 1.0
    """Nucleus sampling: a token is allowed while the likelier ones hold less than this mass."""
    top_k: Annotated[int, Ge(1)] | None = None
    """Only this many of the likeliest tokens are allowed."""
    min_p: Annotated[float, Ge(0), Le(1)] = 0.0
    """Only tokens are allowed that are at least this likely, relative to the likeliest."""
    max_new_tokens: Annotated[int, Ge(1)] = 64
    """The longest answer; the model's max_length for prompt and answer together also holds."""
    end_where_cut: bool = False
    """Learn an end also where an answer was cut at that length, as the paper does; else none is learned."""


class Generate(Sampling):
    """Draw answers token by token."""

    batch_size: Annotated[int, Ge(1)] = 256
    """How many answers are decoded at once."""
    prune: bool = True
    """Leave an answer unfinished once it cannot be kept any more, by the bounds of filter and rewards."""

    def sample(
        self,
        model: Model,
        prompts: Sequence[Prompt],
        num_completions: int,
        iteration: Iteration,
        bound: Bound | None = None,
    ) -> list[Group]:
        """Draw answers; each row has a random stream of its own, so batching changes nothing."""
        from collapse_llm.sampler.answering import sample_answers

        return sample_answers(self, model, prompts, num_completions, iteration, bound)

    def sample_references(
        self, model: Model, prompts: Sequence[Prompt], iteration: Iteration
    ) -> list[Completion]:
        """Return the model's greedy answers."""
        from collapse_llm.sampler.answering import greedy_answers

        answers = greedy_answers(model, prompts, self.max_new_tokens, self.batch_size)
        return [Completion(answer) for answer in answers]
