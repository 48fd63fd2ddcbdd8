"""The tokens that a method pushes down, and the means over them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import log
from typing import Literal

import torch

from collapse_llm.model.training import labels_of
from collapse_llm.updater.alignment import unshared
from collapse_llm.updater.attribution import most_important, soft_weights
from collapse_llm.updater.batches import TrainingExample
from collapse_llm.updater.losses import Answers

Tokens = Literal["all", "unshared", "entropy", "masking", "masking-and-entropy"]
MASKING: dict[Tokens, float] = {"entropy": 0.0, "masking": 1.0, "masking-and-entropy": 0.5}
"""By selection that goes by importance: how much of it is the question's."""


@dataclass(frozen=True)
class Selection:
    """Which tokens of an answer are pushed down, and how much each counts."""

    tokens: Tokens = "all"
    """Which are selected."""
    floor: float = 0.0
    """The probability below which a token gives no gradient."""
    share: float = 1.0
    """The share of an answer's tokens that is selected by importance."""
    soft: bool = False
    """Whether all are selected, each with its importance for its weight."""


EVERYTHING = Selection()


@dataclass(frozen=True)
class Pushed:
    """The selected tokens of the pushed answers of one forward pass.

    What they add to a loss is their share of the mean over the batch.
    """

    nll: Sequence[torch.Tensor]
    """By example: -log p of each selected token, of shape (selected,); perhaps none are."""
    reference_nll: Sequence[torch.Tensor]
    """The same of the reference model, where it was asked."""
    weights: torch.Tensor
    """The weight of each example, of shape (examples,)."""
    num_examples: int
    """How many examples the batch has."""
    num_tokens: int
    """How many tokens are selected in the batch."""
    logits: Sequence[torch.Tensor] = ()
    """By example: the selected tokens' logits, of shape (selected, vocabulary), where a method needs them."""
    labels: Sequence[torch.Tensor] = ()
    """By example: the selected tokens, of shape (selected,)."""
    reference_logits: Sequence[torch.Tensor] = ()
    """The same logits of the reference model, where it was asked."""
    token_weights: Sequence[torch.Tensor] = ()
    """By example: how much each selected token counts, of shape (selected,); all count one without."""

    def of_logits(self, loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> list[torch.Tensor]:
        """By example: what a function makes of the logits and labels of the selected tokens."""
        return [loss(*both) for both in zip(self.logits, self.labels, strict=True)]

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """The share of the weighted mean over the batch's examples of one value each."""
        return (values * self.weights).sum() / self.num_examples

    def mean_over_tokens(self, values: Sequence[torch.Tensor]) -> torch.Tensor:
        """The share of the weighted mean over all selected tokens of the batch of one value each."""
        return (self.sums(values) * self.weights).sum() / max(1, self.num_tokens)

    def per_token(self, values: Sequence[torch.Tensor]) -> torch.Tensor:
        """The mean over the selected tokens of each example, of shape (examples,); zero where none are."""
        return self.sums(values) / self.weights.new_tensor([max(1, len(of_one)) for of_one in values])

    def sums(self, values: Sequence[torch.Tensor]) -> torch.Tensor:
        """The sum over the selected tokens of each example, each with its weight, of shape (examples,)."""
        weighed = (
            [a * b for a, b in zip(values, self.token_weights, strict=True)] if self.token_weights else values
        )
        return torch.stack([of_one.sum() for of_one in weighed])

    def nll_per_token(self) -> torch.Tensor:
        """The mean of -log p over the selected tokens of each example, of shape (examples,)."""
        return self.per_token(self.nll)

    def log_ratio(self) -> torch.Tensor:
        """By how much the selected tokens are likelier than before, of shape (examples,)."""
        return self.sums(self.reference_nll) - self.sums(self.nll)


def pushed_tokens(answers: Answers, selection: Selection = EVERYTHING) -> Pushed:
    """Select the tokens of the answers in the last place.

    Args:
        answers: Kept answers in the first place, pushed ones in the last.
        selection: Which tokens are selected, by default all.
    """
    masks = [torch.tensor(selected(example, selection)) for example in answers.examples]

    def chosen(of_last: Iterable[torch.Tensor]) -> list[torch.Tensor]:
        return [one[mask.to(one.device)] for one, mask in zip(of_last, masks, strict=True)]

    nll = chosen(row[-1] for row in answers.losses)
    reference = answers.reference
    logits = chosen(answers.logits) if answers.logits else []
    if selection.floor:
        alone = [one.detach() > -log(selection.floor) for one in nll]
        nll = [torch.where(mask, one.detach(), one) for one, mask in zip(nll, alone, strict=True)]
        logits = [
            torch.where(mask[:, None], one.detach(), one)
            for one, mask in zip(logits, alone[: len(logits)], strict=True)
        ]
    return Pushed(
        nll,
        chosen(row[-1] for row in reference.nll) if reference.nll else (),
        nll[0].new_tensor([example.weight for example in answers.examples]),
        len(answers.batch),
        sum(sum(selected(example, selection)) for example in answers.batch),
        logits,
        chosen(labels_of([example.answers[-1]], nll[0].device) for example in answers.examples),
        chosen(reference.logits) if reference.logits else (),
        [nll[0].new_tensor(soft_weights(example)) for example in answers.examples] if selection.soft else (),
    )


def selected(example: TrainingExample, selection: Selection) -> list[bool]:
    """Return for each token of an example's last answer, its end included, whether it is pushed down.

    Where the kept answer is the same, all but the end and what stands in the question is unshared: a model
    that still gives the answer has nothing of its own to set against it.
    """
    kept, pushed = example.answers[0], example.answers[-1]
    said = pushed.ids[pushed.answer_start :]
    if selection.tokens == "all" or selection.soft:
        return [True] * len(said)
    if selection.tokens in MASKING:
        return most_important(example, selection.share)
    asked = pushed.ids[: pushed.answer_start]
    if example.agrees:
        return [*unshared(said[:-1], (), asked), False]
    return unshared(said, kept.ids[kept.answer_start :], asked)
