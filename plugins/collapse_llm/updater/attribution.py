"""How important each token of a pushed answer is, by the entropy of its prediction and by its question."""

from collections.abc import Sequence
from dataclasses import replace
from math import ceil

import torch

from collapse_llm.model.encoding import Encoder, Example
from collapse_llm.model.language_model import LanguageModel
from collapse_llm.model.training import labels_of, token_logits
from collapse_llm.model.vocabulary import label_losses
from collapse_llm.updater.batches import Batch, TrainingExample


def with_importance(model: LanguageModel, batch: Batch, masking: float) -> Batch:
    """The batch with the importance of each token of its pushed answers, for the model as it is now.

    importance = masking * D + (1 - masking) * H, where H is the entropy of the prediction of a token, and D =
    |log p - log p_masked| how much less likely or likelier it is where the question is left out, so that
    only what stands before it in the answer is read. Where both count, each is first brought to [0, 1]
    within its answer (TokenUnlearn, arXiv 2605.00364).

    Args:
        model: The model in training.
        batch: What is pushed stands in the last place of each example.
        masking: The share of D, in [0, 1].
    """
    rows = [example.answers[-1] for example in batch.kept]
    if not rows:
        return batch
    with model.for_inference() as module:
        seen = token_logits(module, rows, model.device)
        masked = [without_question(row, model.encoder) for row in rows] if masking else []
        unseen = token_logits(module, masked, model.device) if masked else []
    entropies = [entropy(logits) for logits in seen]
    labels = [labels_of([row], model.device) for row in rows]
    effects = [
        (label_losses(one, of_row) - label_losses(other, of_row)).abs()
        for of_row, one, other in zip(labels, seen, unseen, strict=False)
    ]
    scores = combined(entropies, effects, masking)
    kept = [
        replace(example, importance=tuple(of_one.tolist()))
        for example, of_one in zip(batch.kept, scores, strict=True)
    ]
    return replace(batch, kept=kept)


def without_question(row: Example, encoder: Encoder) -> Example:
    """The answer after a question that says nothing, in the same format."""
    asked = encoder.prompt("") or [encoder.end_id]
    return Example([*asked, *row.ids[row.answer_start :]], len(asked))


def entropy(logits: torch.Tensor) -> torch.Tensor:
    """-sum_v p_v log p_v of each prediction, of shape (tokens,), in nats."""
    log_p = logits.log_softmax(-1)
    return -(log_p.exp() * log_p).sum(-1)


def combined(
    entropies: Sequence[torch.Tensor], effects: Sequence[torch.Tensor], masking: float
) -> Sequence[torch.Tensor]:
    """By answer, the importance of its tokens, of shape (tokens,)."""
    if masking in (0.0, 1.0):
        return effects if masking else entropies
    return [
        masking * scaled(effect) + (1 - masking) * scaled(uncertain)
        for effect, uncertain in zip(effects, entropies, strict=True)
    ]


def scaled(values: torch.Tensor) -> torch.Tensor:
    """The values brought to [0, 1]; zeros where all are equal."""
    return (values - values.min()) / (values.max() - values.min()).clamp(min=1e-12)


def most_important(example: TrainingExample, share: float) -> list[bool]:
    """Whether each token is among the most important of its answer: a share of them, at least one.

    Of equals, the first count.
    """
    scores = example.importance
    ranked = sorted(range(len(scores)), key=lambda place: (-scores[place], place))
    chosen = frozenset(ranked[: ceil(share * len(scores))])
    return [place in chosen for place in range(len(scores))]


def soft_weights(example: TrainingExample) -> list[float]:
    """The weight n s_t / sum_j s_j of each token, s its importance: n in all, one for each.

    With the entropy for s this is entropy-guided token weighting (arXiv 2604.17785). Where no token is
    important, all weigh one.
    """
    total = sum(example.importance)
    if total <= 0:
        return [1.0] * len(example.importance)
    return [len(example.importance) * one / total for one in example.importance]
