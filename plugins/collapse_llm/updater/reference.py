"""What the reference model makes of answers, for methods that compare with it."""

from collections.abc import Sequence

from collapse_llm.model.language_model import LanguageModel
from collapse_llm.model.training import token_losses
from collapse_llm.updater.batches import TrainingExample


def reference_nll(model: LanguageModel, examples: Sequence[TrainingExample]) -> list[list[float]]:
    """The negative log-likelihood of each answer of each example by the reference model."""
    rows = [answer for example in examples for answer in example.answers]
    with model.reference() as reference, reference.for_inference() as module:
        found = iter([losses.sum().item() for losses in token_losses(module, rows, model.device)])
    return [[next(found) for _ in example.answers] for example in examples]
