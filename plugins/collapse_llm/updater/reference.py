"""What the reference model makes of answers, for methods that compare with it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from collapse_llm.model.encoding import Example
from collapse_llm.model.language_model import LanguageModel
from collapse_llm.model.training import token_logits, token_losses
from collapse_llm.updater.batches import Batch, TrainingExample

Asked = Literal["nll", "logits", "retain"]


@dataclass(frozen=True)
class Reference:
    """What the reference model makes of a part of a batch; what was not asked for is None."""

    nll: Sequence[Sequence[torch.Tensor]] | None = None
    """By example and place: the negative log-likelihood of each answer token, of shape (num_labels,)."""
    logits: Sequence[torch.Tensor] | None = None
    """By example: the logits of its last answer, of shape (num_labels, vocabulary)."""
    retain: Sequence[torch.Tensor] | None = None
    """By retain answer: its logits, of shape (num_labels, vocabulary)."""


def ask(model: LanguageModel, part: Batch, asked: Collection[Asked], *, keep: bool = False) -> Reference:
    """Ask the reference model; logits are computed anew for each part, and held until its gradient is.

    Args:
        model: The model in training.
        part: The rows of a forward pass.
        asked: What is needed.
        keep: Whether the logits of retain answers are kept for further steps.
    """
    nll = reference_nll(model, part.kept) if "nll" in asked else None
    last = [example.answers[-1] for example in part.kept] if "logits" in asked else []
    retain = part.retain if "retain" in asked and not keep else []
    with model.reference() as reference, reference.for_inference() as module:
        computed = token_logits(module, [*last, *retain], model.device)
    found = [logits.clone() for logits in computed]
    kept = kept_logits(model, part.retain) if "retain" in asked and keep else []
    return Reference(nll, found[: len(last)], [*found[len(last) :], *kept])


def kept_logits(model: LanguageModel, rows: Sequence[Example]) -> list[torch.Tensor]:
    """The reference model's logits of answers, each computed once, in a pass of its own.

    So they depend neither on the batch nor on where a run was resumed.
    """
    known = model.reference_logits
    keys = [(row.answer_start, *row.ids) for row in rows]
    for key, row in zip(keys, rows, strict=True):
        if key not in known:
            with model.reference() as reference, reference.for_inference() as module:
                [logits] = token_logits(module, [row], model.device)
            known[key] = logits.cpu().clone()
    return [known[key].to(model.device) for key in keys]


def reference_nll(model: LanguageModel, examples: Sequence[TrainingExample]) -> list[list[torch.Tensor]]:
    """The negative log-likelihood of each token of each answer of each example by the reference model."""
    rows = [answer for example in examples for answer in example.answers]
    with model.reference() as reference, reference.for_inference() as module:
        computed = token_losses(module, rows, model.device)
    found = iter([losses.clone() for losses in computed])
    return [[next(found) for _ in example.answers] for example in examples]
