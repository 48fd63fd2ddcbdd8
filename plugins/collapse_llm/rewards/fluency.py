"""How well a text could have come from the reference model."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from math import exp
from statistics import fmean
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt, Le
from pydantic import PrivateAttr, SerializeAsAny

from collapse_core import (
    CollapseError,
    Completion,
    Content,
    Dataset,
    Model,
    ModelLoader,
    Prompt,
    Reward,
    part,
)

OtherModel = Annotated[SerializeAsAny[ModelLoader], part("model")]
"""A field that holds another model, chosen by `use:`."""


class Fluency(Reward):
    """How probable a completion is, by the token, to the model as it was before unlearning.

    reward = min(p, enough) / enough, in (0, 1], with p = exp(mean log-probability of the completion's
    tokens and of its end, given the question): the inverse of the perplexity (Jelinek et al., JASA 62,
    1977). A mean log-probability has no lower end, so that one odd token could outweigh all other
    rewards; p lies between 0 and 1. Alone it rewards what was to be forgotten, which the model knew best:
    combine it with another reward, and set `enough` well below what the model gives to what it has memorized.
    """

    works_on: ClassVar[tuple[str, ...]] = ("questions",)

    reads: ClassVar[tuple[str, ...]] = ("full",)
    maximum: ClassVar[float] = 1.0

    enough: Annotated[float, Gt(0), Le(1)] = 1.0
    """The probability of a token, in the geometric mean, from which on nothing more is earned."""
    model: OtherModel | None = None
    """Another model to ask, such as a larger one; by default the run's own, as it was before unlearning."""
    batch_size: Annotated[int, Ge(1)] = 64
    """How many completions are read at once."""

    _trained: Model | None = PrivateAttr(default=None)
    _other: Model | None = PrivateAttr(default=None)

    def use_model(self, model: Model) -> None:
        """Take the run's model, for its reference model."""
        self._trained = model

    def prepare(self, data: Dataset, prompts: Sequence[Prompt], references: Mapping[str, Completion]) -> None:
        """Load the other model, if there is one; it stays in memory."""
        if self._other is None and self.model is not None:
            self._other = self.model.load(data, 0)

    def score(
        self, prompt: Prompt, completions: Sequence[Completion], reference: Completion | None
    ) -> list[float]:
        """Read all completions in one forward pass."""
        from collapse_llm.model.training import answer_losses

        # In an order of their own, so that rounding does not depend on who is asked for first.
        texts = sorted({one.content for one in completions})
        read = [Prompt(prompt.id, prompt.content, text) for text in texts]
        with self._asked() as model:
            losses = answer_losses(model, read, self.batch_size)
        found = {text: exp(-fmean(tokens)) for text, tokens in zip(texts, losses, strict=True)}
        return [min(found[one.content], self.enough) / self.enough for one in completions]

    def _asked(self) -> AbstractContextManager[Model]:
        if self._other is not None:
            return nullcontext(self._other)
        if self._trained is None:
            raise CollapseError(
                "the reward 'fluency' has no model to ask; call its use_model() and its prepare()"
            )
        return self._trained.reference()

    def lower_bound(self, prompt: Prompt, finished: Content, reference: Completion | None) -> float:
        """Nothing below zero; to read each completion apart would cost too much."""
        return 0.0
