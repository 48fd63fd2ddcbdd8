"""Rewards that see likelihoods: of the reference answer, and of the question."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from math import exp
from statistics import fmean
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt, Le
from pydantic import PrivateAttr

from collapse_core import CollapseError, Completion, Content, Dataset, Model, Prompt, Reward
from collapse_llm.conversations import CONTINUE, text_of


class _AskingTheModel(Reward):
    """A reward that asks the run's own model."""

    works_on: ClassVar[tuple[str, ...]] = ("questions",)

    maximum: ClassVar[float] = 1.0

    batch_size: Annotated[int, Ge(1)] = 64
    """How many answers are read at once."""

    _model: Model | None = PrivateAttr(default=None)

    def use_model(self, model: Model) -> None:
        """Take the run's model."""
        self._model = model

    def lower_bound(self, prompt: Prompt, finished: Content, reference: Completion | None) -> float:
        """Nothing below zero; to read each completion apart would cost too much."""
        return 0.0

    def _asked(self) -> Model:
        if self._model is None:
            raise CollapseError("a reward of likelihoods has no model to ask; call its use_model()")
        return self._model

    def _mean_log_probabilities(self, model: Model, prompts: Sequence[Prompt]) -> list[float]:
        """By prompt, the mean log-probability of the tokens of its target."""
        from collapse_llm.model.training import answer_losses

        return [
            -fmean(tokens) if tokens else 0.0 for tokens in answer_losses(model, prompts, self.batch_size)
        ]


class ReferenceUnlikelihood(_AskingTheModel):
    """How improbable the current model finds the reference answer, whatever the completion.

    reward = 1 - p, in [0, 1), with p = exp(mean log-probability of the reference answer's tokens and of its
    end, given the question). All completions of a prompt in an iteration score the same, so alone it chooses
    none of them. In the journal it shows what words cannot: how far an answer that is no longer given is
    still known.
    """

    def score(
        self, prompt: Prompt, completions: Sequence[Completion], reference: Completion | None
    ) -> list[float]:
        """Read the reference answer once, with the model as it is now."""
        if not completions:
            return []
        answer = Prompt(prompt.id, prompt.content, reference.content if reference else "")
        [mean] = self._mean_log_probabilities(self._asked(), [answer])
        return [1.0 - exp(mean)] * len(completions)


class FitsQuestion(_AskingTheModel):
    """How much likelier the question is after this answer than after answers to other questions.

    reward = min(f, enough) / enough with f = q(a) / (q(a) + mean_j q(a_j)), in [0, 1]. q(a) = exp(mean
    log-probability of the question's tokens, given the text of the answer a and a line break) under the
    reference model; a_j are the reference answers to other forget prompts. f is the logistic function of the
    pointwise mutual information of question and answer per token, with those answers for the marginal; one
    half is an answer that fits no better than they do. Distances pay for leaving the question; this reward
    pays for staying on it.
    """

    enough: Annotated[float, Gt(0), Le(1)] = 1.0
    """The fit from which on nothing more is earned."""

    num_others: Annotated[int, Ge(1)] = 8
    """With how many other prompts' answers an answer is compared: those that follow its prompt in order."""

    _others: dict[str, float] = PrivateAttr(default_factory=dict)

    def prepare(self, data: Dataset, prompts: Sequence[Prompt], references: Mapping[str, Completion]) -> None:
        """Read each question after the answers to others."""
        num = min(self.num_others, len(prompts) - 1)
        pairs = [
            self._read_after(prompt, references[prompts[(place + step) % len(prompts)].id].content)
            for place, prompt in enumerate(prompts)
            for step in range(1, num + 1)
        ]
        with self._reference() as model:
            found = [exp(mean) for mean in self._mean_log_probabilities(model, pairs)]
        self._others = {
            prompt.id: fmean(found[place * num : (place + 1) * num]) if num else 0.0
            for place, prompt in enumerate(prompts)
        }

    def score(
        self, prompt: Prompt, completions: Sequence[Completion], reference: Completion | None
    ) -> list[float]:
        """Read the question after each completion."""
        if prompt.id not in self._others:
            raise CollapseError("the reward 'fits-question' must see the prompts first; call its prepare()")
        # In an order of their own, so that rounding does not depend on who is asked for first.
        texts = sorted({str(one.content) for one in completions})
        with self._reference() as model:
            means = self._mean_log_probabilities(model, [self._read_after(prompt, text) for text in texts])
        fits = {text: exp(mean) for text, mean in zip(texts, means, strict=True)}
        others = self._others[prompt.id]
        shares = [fits[one.content] / (fits[one.content] + others) for one in completions]
        return [min(share, self.enough) / self.enough for share in shares]

    def _reference(self) -> AbstractContextManager[Model]:
        return self._asked().reference()

    def _read_after(self, prompt: Prompt, answer: str) -> Prompt:
        """The question, to be read as what comes after an answer."""
        return Prompt(prompt.id, {CONTINUE: f"{answer}\n"}, text_of(prompt.content))
