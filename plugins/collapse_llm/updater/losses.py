"""From the cross-entropy of answer tokens to the losses of the methods.

An answer's negative log-likelihood, `nll`, is the sum over its tokens, the end included.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import log
from typing import Any, Literal

import torch
from torch.nn.functional import logsigmoid

from collapse_llm.model.encoding import Example
from collapse_llm.model.training import labels_of, token_logits, token_losses
from collapse_llm.model.vocabulary import label_losses
from collapse_llm.updater import FineTuning
from collapse_llm.updater.batches import Batch, TrainingExample
from collapse_llm.updater.reference import Reference

NOT_ASKED = Reference()


@dataclass(frozen=True)
class Answers:
    """The kept answers of one forward pass; what they add to a loss is their share of the batch's mean.

    An example has its answer in place 0, and in the places after it those that the method compares it with.
    """

    losses: Sequence[Sequence[torch.Tensor]]
    """By example and place: the cross-entropy of each token, of shape (num_labels,)."""
    examples: Sequence[TrainingExample]
    """The examples of this pass."""
    batch: Sequence[TrainingExample]
    """All examples of the batch that these are a part of."""
    reference: Reference = NOT_ASKED
    """What the reference model makes of the same answers, where it was asked."""
    logits: Sequence[torch.Tensor] = ()
    """By example: the logits of its last answer, of shape (num_labels, vocabulary), where they are needed."""

    def cross_entropy(self, place: int = 0) -> torch.Tensor:
        """The share of the weighted mean over all tokens of the batch's answers in this place.

        An answer that is the one it is compared with counts as zero: it is not learned.
        """
        weighted = [
            row[place] * (0.0 if example.agrees else example.weight)
            for row, example in zip(self.losses, self.examples, strict=True)
        ]
        return share_of_mean(weighted, [one.answers[place] for one in self.batch])

    def nll(self, place: int = 0) -> torch.Tensor:
        """The negative log-likelihood of each answer, of shape (examples,)."""
        return torch.stack([row[place].sum() for row in self.losses])

    def nll_per_token(self, place: int = 0) -> torch.Tensor:
        """The same, divided by the number of tokens."""
        return torch.stack([row[place].mean() for row in self.losses])

    def log_ratio(self, place: int = 0) -> torch.Tensor:
        """By how much each answer is likelier than before, log p - log p_reference, of shape (examples,)."""
        assert self.reference.nll is not None
        return torch.stack([row[place].sum() for row in self.reference.nll]) - self.nll(place)

    def average(
        self, values: Sequence[torch.Tensor], over: Literal["answer", "token", "sum"]
    ) -> torch.Tensor:
        """The share of a mean of values by token, without weights.

        Args:
            values: By example, a value for each token of its first answer.
            over: The mean over the answers of the mean over their tokens, or of their sum; or that over all
                tokens of the batch.
        """
        if over == "answer":
            return torch.stack([one.mean() for one in values]).sum() / len(self.batch)
        num = sum(one.answers[0].num_labels for one in self.batch) if over == "token" else len(self.batch)
        return torch.cat(list(values)).sum() / num

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """The share of the weighted mean over the batch's examples of one value each."""
        weights = values.new_tensor([example.weight for example in self.examples])
        return (values * weights).sum() / len(self.batch)


def of_tokens(
    settings: FineTuning, module: Any, part: Batch, batch: Batch, reference: Reference | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """The method's loss on kept answers, and the retention of retain answers."""
    rows = [answer for example in part.kept for answer in example.answers]
    ends = list(accumulate([len(example.answers) for example in part.kept]))
    by_divergence = settings.retention != "cross-entropy" and reference is not None and bool(reference.retain)
    of_last = {end - 1 for end in ends} if settings.uses_logits else set()
    of_retain = set(range(len(rows), len(rows) + len(part.retain))) if by_divergence else set()
    found, logits = _computed(module, [*rows, *part.retain], of_last | of_retain)
    retained: Sequence[torch.Tensor] = found[len(rows) :]
    if reference is not None and by_divergence:
        predicted = [logits[place] for place in sorted(of_retain)]
        apart = divergence if settings.retention == "kl" else jensen_shannon
        retained = [apart(*both) for both in zip(reference.retain or (), predicted, strict=True)]
    retention = share_of_mean(retained, batch.retain)
    if not part.kept:
        return torch.zeros(()), retention
    of_kept = iter(found[: len(rows)])
    losses = [[next(of_kept) for _ in example.answers] for example in part.kept]
    last = [logits[place] for place in sorted(of_last)]
    answers = Answers(losses, part.kept, batch.kept, reference or NOT_ASKED, last)
    return settings.loss_of_kept(answers), retention


def _computed(
    module: Any, rows: Sequence[Example], with_logits: Collection[int]
) -> tuple[list[torch.Tensor], dict[int, torch.Tensor]]:
    """The losses of each row's tokens, and by place the logits of those rows that need them.

    The logits of all rows would be most of the memory and time of a step, so the others go without.
    """
    device = next(module.parameters()).device
    places = sorted(with_logits)
    found = token_logits(module, [rows[place] for place in places], device)
    logits = dict(zip(places, found, strict=True))
    others = [row for place, row in enumerate(rows) if place not in logits]
    plain = iter(token_losses(module, others, device))
    losses = [
        label_losses(logits[place], labels_of([row], device)) if place in logits else next(plain)
        for place, row in enumerate(rows)
    ]
    return losses, logits


def share_of_mean(losses: Sequence[torch.Tensor], examples: Sequence[Example]) -> torch.Tensor:
    """What these tokens add to the mean over all tokens of the examples; zero where there are none."""
    if not losses:
        return torch.zeros(())
    return torch.cat(list(losses)).sum() / sum(example.num_labels for example in examples)


def negative_preference(log_ratio: torch.Tensor, beta: float) -> torch.Tensor:
    """NPO: -2/beta log sigmoid(-beta log_ratio) (Zhang et al., arXiv 2404.05868).

    Its gradient is that of gradient ascent times 2 p^beta / (p^beta + p_reference^beta), which fades as the
    answer becomes unlikely.

    Args:
        log_ratio: log p(answer) - log p_reference(answer), of any shape.
        beta: The inverse temperature; towards 0 it becomes gradient ascent.
    """
    return -2 / beta * logsigmoid(-beta * log_ratio)


def simple_negative_preference(nll_per_token: torch.Tensor, beta: float, gamma: float) -> torch.Tensor:
    """SimNPO: -2/beta log sigmoid(beta nll / |answer| - gamma) (Fan et al., arXiv 2410.07163).

    Args:
        nll_per_token: The negative log-likelihood of each answer over its number of tokens.
        beta: The inverse temperature.
        gamma: The margin.
    """
    return -2 / beta * logsigmoid(beta * nll_per_token - gamma)


def direct_preference(preferred: torch.Tensor, rejected: torch.Tensor, beta: float) -> torch.Tensor:
    """DPO: -1/beta log sigmoid(beta (preferred - rejected)) (Rafailov et al., arXiv 2305.18290, equation 7).

    Divided by beta as in arXiv 2404.05868, so that the weight of retain data means the same for any beta.

    Args:
        preferred: log p(answer) - log p_reference(answer) of the answers to give.
        rejected: The same of the answers not to give.
        beta: The inverse temperature.
    """
    return -1 / beta * logsigmoid(beta * (preferred - rejected))


def identity_preference(preferred: torch.Tensor, rejected: torch.Tensor, beta: float) -> torch.Tensor:
    """IPO: (preferred - rejected - 1 / (2 beta))^2 (Azar et al., arXiv 2310.12036, equation 17).

    Args:
        preferred: log p(answer) - log p_reference(answer) of the answers to give.
        rejected: The same of the answers not to give.
        beta: The paper's tau: the smaller, the larger the margin that is asked for.
    """
    return (preferred - rejected - 1 / (2 * beta)).square()


def divergence(reference: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """KL(p_reference || p) of the predictions of each token, of shape (tokens,), from logits."""
    before, now = reference.log_softmax(-1), logits.log_softmax(-1)
    return (before.exp() * (before - now)).sum(-1)


def jensen_shannon(reference: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """(KL(p_reference || m) + KL(p || m)) / 2 of the predictions of each token, m their mean, from logits.

    Of shape (tokens,), between 0 and log 2 (Lin, IEEE Trans. Inf. Theory 37, 1991, section IV).
    """
    before, now = reference.log_softmax(-1), logits.log_softmax(-1)
    middle = torch.logaddexp(before, now) - log(2)
    return ((before.exp() * (before - middle)).sum(-1) + (now.exp() * (now - middle)).sum(-1)) / 2


def jensen_shannon_to(logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """The same of each prediction from certainty of a token: log 2 + (p log p - (1 + p) log(1 + p)) / 2.

    Args:
        logits: Of shape (tokens, vocabulary).
        tokens: The token that is wanted in each place, of shape (tokens,).
    """
    log_p = logits.log_softmax(-1).gather(-1, tokens[:, None])[:, 0]
    p = log_p.exp()
    return log(2) + (p * log_p - (1 + p) * p.log1p()) / 2


def k3(log_ratio: torch.Tensor) -> torch.Tensor:
    """R - 1 - log r of tokens, at least 0, whose mean over draws from p is KL(p || p_reference).

    Args:
        log_ratio: log p_reference - log p, of any shape (GRPO, arXiv 2402.03300, equation 4).
    """
    return log_ratio.exp() - 1 - log_ratio


def unlikelihood(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """-log(1 - p) of tokens (Welleck et al., arXiv 1908.04319, equation 4), exact also where p is near 1.

    Args:
        logits: Of shape (tokens, vocabulary).
        labels: The tokens, of shape (tokens,).

    Returns:
        A tensor of shape (tokens,).
    """
    others = logits.scatter(-1, labels[:, None], -torch.inf)
    return logits.logsumexp(-1) - others.logsumexp(-1)


def distillation(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The cross-entropy -sum_v target_v log p_v of each token, of shape (tokens,).

    Args:
        logits: Of shape (tokens, vocabulary).
        target: Probabilities of the same shape.
    """
    return -(target * logits.log_softmax(-1)).sum(-1)


def without(logits: torch.Tensor, labels: torch.Tensor, by: float) -> torch.Tensor:
    """The probabilities softmax(logits - by * onehot(label)) of each token; `by` may be infinite."""
    lowered = logits.scatter_add(
        -1, labels[:, None], torch.full_like(labels[:, None], -by, dtype=logits.dtype)
    )
    return lowered.softmax(-1)
