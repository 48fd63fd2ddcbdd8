"""Answers that are given instead of drawn: fixed refusals, and the true answers."""

import random
from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated, ClassVar

from annotated_types import Ge

from collapse_core import Bound, Completion, Group, Iteration, Model, Prompt, Sampler, derive_seed
from collapse_llm.sentences import Sentences, read_sentences


class Given(Sampler):
    """Gives answers that do not come from the model."""

    works_on: ClassVar[tuple[str, ...]] = ("language-model",)

    max_new_tokens: Annotated[int, Ge(0)] = 0
    """The longest of the reference model's answers, for rewards that compare with them; 0 asks for none."""

    @abstractmethod
    def answer(self, prompt: Prompt, seed: int) -> str:
        """Return the answer to a prompt, by the seed of its draw."""

    def sample(
        self,
        model: Model,
        prompts: Sequence[Prompt],
        num_completions: int,
        iteration: Iteration,
        bound: Bound | None = None,
    ) -> list[Group]:
        """Give each prompt its answers; nothing is decoded."""
        return [
            Group(
                prompt,
                tuple(
                    Completion(
                        self.answer(prompt, derive_seed(iteration.seed, prompt.id, number)),
                        number,
                        iteration.number,
                    )
                    for number in range(num_completions)
                ),
            )
            for prompt in prompts
        ]

    def sample_references(
        self, model: Model, prompts: Sequence[Prompt], iteration: Iteration
    ) -> list[Completion]:
        """Return the model's greedy answers, or empty ones where nothing compares with them."""
        if self.max_new_tokens == 0:
            return [Completion("") for _ in prompts]
        from collapse_llm.sampler.answering import greedy_answers

        return [Completion(text) for text in greedy_answers(model, prompts, self.max_new_tokens)]


class FixedSentences(Given):
    """Answers every prompt with a given sentence, or with one drawn from several: a fixed refusal.

    With the updater `sft` that is "I don't know" fine-tuning (TOFU, arXiv 2401.06121, section 3).
    """

    sentences: Sentences = ["I don't know."]
    """The sentences, or where they are: "refusals" (thirty ship with the plugin), or a file, one per line."""

    def answer(self, prompt: Prompt, seed: int) -> str:
        """Return a uniform draw."""
        return random.Random(seed).choice(read_sentences(self.sentences))


class TrueAnswers(Given):
    """Gives the true answers, for methods that push them away; the run must have them."""

    needs_targets: ClassVar[bool] = True

    def answer(self, prompt: Prompt, seed: int) -> str:
        """Return the prompt's target."""
        return str(prompt.target)
