"""What the ways of doing an iteration have in common."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from collapse_core import Completion, Group, Kept, Prompt
from collapse_llm.model.language_model import LanguageModel


@dataclass(frozen=True)
class Draws:
    """The completions of one prompt, and how many tokens each one is, its end included."""

    group: Group
    num_tokens: tuple[int, ...]


class Column(Protocol):
    """A way of doing one iteration."""

    def running(self) -> AbstractContextManager[Any]:
        """The transformers module that runs, for the meter."""

    def greedy(self, prompts: Sequence[Prompt]) -> list[Draws]:
        """The likeliest answer to each prompt, to see that all columns run the same model."""

    def sample(self, prompts: Sequence[Prompt], num_completions: int) -> list[Draws]:
        """Draw the completions of each prompt."""

    def score(self, draws: Sequence[Draws]) -> list[Kept]:
        """Score all completions and keep the best of each prompt."""

    def prepare(self, kept: Sequence[Kept], retain: Sequence[Prompt]) -> None:
        """What is made anew for an update and not counted into its time."""

    def update(self, kept: Sequence[Kept], retain: Sequence[Prompt]) -> None:
        """Train on the kept completions and the retain prompts, in one pass."""


def cut_answers(
    model: LanguageModel, prompts: Sequence[Prompt], num_completions: int, answers: Any
) -> list[Draws]:
    """Groups of what `generate` returned, each answer up to its end.

    Args:
        model: Whose tokens they are.
        prompts: The prompts, in order.
        num_completions: Rows a prompt.
        answers: Token ids of shape (prompts x completions, steps), without the prompts.
    """
    rows = [_up_to_end(row, model.end_ids) for row in answers.tolist()]
    draws = []
    for i, prompt in enumerate(prompts):
        own = rows[i * num_completions : (i + 1) * num_completions]
        texts = [model.encoder.text(ids) for ids in own]
        group = Group(prompt, tuple(Completion(text, number) for number, text in enumerate(texts)))
        draws.append(Draws(group, tuple(len(ids) for ids in own)))
    return draws


def _up_to_end(ids: list[int], end_ids: frozenset[int]) -> list[int]:
    end = next((i for i, token in enumerate(ids) if token in end_ids), len(ids) - 1)
    return ids[: end + 1]
