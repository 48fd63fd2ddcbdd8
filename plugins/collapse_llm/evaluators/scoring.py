"""What a model makes of given answers, token by token: one forward pass serves every measure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from collapse_core import Model, progress, require
from collapse_llm.conversations import Answered
from collapse_llm.model.encoding import Example
from collapse_llm.model.finite import check_weights, not_finite
from collapse_llm.model.language_model import LanguageModel
from collapse_llm.model.marks import reads_unpadded

Numbers = npt.NDArray[np.float64]
TOKENS_AT_ONCE = 256
"""For how many tokens the whole vocabulary is looked at at once, which bounds the memory."""


@dataclass(frozen=True)
class Scored:
    """One answer as the model sees it, given its question and the true tokens before each token.

    All sequences have one element per token of the answer; the end of the answer is the last of them, unless
    the example was cut before it.
    """

    log_probs: Numbers
    """The log-probability of each token, in nats."""
    hits: npt.NDArray[np.bool_]
    """Whether the token is the likeliest there."""
    standardized: Numbers | None
    """(log p - mean) / sd, over the vocabulary weighted by the model's probabilities, where asked for."""
    ended: bool
    """Whether the last token is the end of the answer."""

    @property
    def loss(self) -> float:
        """The mean cross-entropy per token, the end included, in nats."""
        return float(-self.log_probs.mean())

    def spoken(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the values of the answer's own tokens, without its end."""
        return values[:-1] if self.ended and len(values) > 1 else values


def score_answers(
    model: Model, asked: Sequence[Answered], batch_size: int, *, standardize: bool = False
) -> list[Scored]:
    """Score (question, answer) pairs, teacher-forced, in batches of similar length.

    Args:
        model: A language model.
        asked: Questions with the answers to score.
        batch_size: How many are scored at once.
        standardize: Whether each log-probability is also compared with the rest of the vocabulary.
    """
    language = require(model, LanguageModel, "answer scoring")
    examples = [language.encoder.example(question, answer) for question, answer in asked]
    return score_examples(language, examples, batch_size, standardize=standardize)


def score_examples(
    language: LanguageModel, examples: Sequence[Example], batch_size: int, *, standardize: bool = False
) -> list[Scored]:
    """Score the labels of tokenized examples, teacher-forced, in batches of similar length.

    Args:
        language: The model.
        examples: What it reads; the tokens from `answer_start` on are scored.
        batch_size: How many are scored at once.
        standardize: Whether each log-probability is also compared with the rest of the vocabulary.
    """
    end = language.encoder.end_id
    by_length = sorted(range(len(examples)), key=lambda i: len(examples[i].ids))
    scored: dict[int, Scored] = {}
    with language.for_inference() as module:
        for start in progress.track(range(0, len(by_length), batch_size), "likelihoods"):
            places = by_length[start : start + batch_size]
            batch = [examples[i] for i in places]
            logits, labels = answer_logits(module, batch, language.device)
            columns = _look_up(logits, labels, standardize)
            if not np.isfinite(columns[0]).all():
                raise not_finite(module)
            lengths = np.cumsum([example.num_labels for example in batch])[:-1]
            rows = zip(*(np.split(column, lengths) for column in columns), strict=True)
            for i, example, (log_probs, hits, *more) in zip(places, batch, rows, strict=True):
                scored[i] = Scored(log_probs, hits, more[0] if more else None, example.ids[-1] == end)
    return [scored[i] for i in range(len(examples))]


def fingerprint(model: Model) -> str:
    """Tells one state of a model from another; a weight that is not finite is an error."""
    language = require(model, LanguageModel, "answer scoring")
    found = language.fingerprint()
    if found is None:
        check_weights(language.module)
    return str(found)


def mean_losses(model: Model, asked: Sequence[Answered], batch_size: int) -> list[float]:
    """Return the mean cross-entropy per token of each answer, its end included, in nats."""
    return [scored.loss for scored in score_answers(model, asked, batch_size)]


def answer_logits(
    module: Any, examples: Sequence[Example], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the logits before each answer token, and these tokens, of all examples one after another.

    Rows are padded on the left, so that all answers end in the last column: the vocabulary is then
    projected for the columns of the longest answer alone. Where padding changes what the model computes, each
    row goes through it alone.

    Returns:
        Tensors of shape (sum of num_labels, vocabulary) and (sum of num_labels,).
    """
    if reads_unpadded(module) and len(examples) > 1:
        each = [answer_logits(module, [example], device) for example in examples]
        logits, labels = zip(*each, strict=True)
        return torch.cat(logits), torch.cat(labels)
    length = max(len(example.ids) for example in examples)
    num_columns = min(max(example.num_labels for example in examples) + 1, length)
    ids = torch.tensor([[0] * (length - len(e.ids)) + e.ids for e in examples], device=device)
    mask = torch.tensor([[0] * (length - len(e.ids)) + [1] * len(e.ids) for e in examples], device=device)
    logits = module(
        input_ids=ids,
        attention_mask=mask,
        position_ids=(mask.cumsum(-1) - 1).clamp(min=0),
        logits_to_keep=num_columns,
        use_cache=False,
    ).logits
    num_labels = torch.tensor([[example.num_labels] for example in examples], device=device)
    scored = torch.arange(num_columns - 1, 0, -1, device=device) <= num_labels
    return logits[:, :-1][scored], ids[:, 1 - num_columns :][scored]


def _look_up(logits: torch.Tensor, labels: torch.Tensor, standardize: bool) -> list[npt.NDArray[Any]]:
    """Return the label's log-probability, whether it is the likeliest, and if asked how it stands out."""
    found: list[list[torch.Tensor]] = []
    pieces = (torch.split(tensor, TOKENS_AT_ONCE) for tensor in (logits, labels))
    for rows, names in zip(*pieces, strict=True):
        log_probs = rows.float().log_softmax(-1)
        own = log_probs.gather(-1, names[:, None])[:, 0]
        found.append([own, log_probs.argmax(-1) == names])
        if standardize:
            probs = log_probs.exp()
            mean = (probs * log_probs).sum(-1)
            variance = (probs * (log_probs - mean[:, None]).square()).sum(-1).clamp(min=1e-6)
            found[-1].append((own - mean) / variance.sqrt())
    own, hits, *more = (torch.cat(column).cpu() for column in zip(*found, strict=True))
    return [own.double().numpy(), hits.numpy(), *(column.double().numpy() for column in more)]


def gradient_norms(model: Model, asked: Sequence[Answered]) -> list[float]:
    """For each answer, the mean over weight matrices of the L2 norm of the loss's gradient.

    The loss is the mean over the answer's own tokens, without the end, as in OpenUnlearning's attack
    (after arXiv 2402.17012). Only weights that train have a gradient; nothing is changed.
    """
    language = require(model, LanguageModel, "answer scoring")
    end = language.encoder.end_id
    norms = []
    # Gradients are asked for outright, so that no weight's own gradient is touched.
    with language.for_inference() as module, torch.inference_mode(False), torch.enable_grad():
        weights = [weight for weight in module.parameters() if weight.requires_grad]
        for question, answer in asked:
            example = language.encoder.example(question, answer)
            logits, labels = answer_logits(module, [example], language.device)
            losses = torch.nn.functional.cross_entropy(logits.float(), labels, reduction="none")
            spoken = losses[:-1] if example.ids[-1] == end and len(losses) > 1 else losses
            gradients = torch.autograd.grad(spoken.mean(), weights, allow_unused=True)
            found = [gradient.float().norm() for gradient in gradients if gradient is not None]
            norms.append(torch.stack(found).mean().item())
            if not math.isfinite(norms[-1]):
                raise not_finite(module)
    return norms
