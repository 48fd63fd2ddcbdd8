"""Clipped policy gradients: completions are learned by their advantages, which are their weights."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Gt, Lt

from collapse_llm.updater import FineTuning

if TYPE_CHECKING:
    import torch

    from collapse_llm.model.language_model import LanguageModel
    from collapse_llm.updater.batches import Batch
    from collapse_llm.updater.losses import Answers
    from collapse_llm.updater.reference import Asked


class PolicyGradient(FineTuning):
    """Clipped policy gradients on completions with advantages, held near the reference model.

    By token, l = -min(rho A, clip(rho, 1 - clip, 1 + clip_high) A) + kl_weight * k3 with the ratio rho = p /
    p_drawn to the model that drew the completion, that is before the first step of the iteration, and k3 = r
    - 1 - log r, r = p_reference / p (GRPO, arXiv 2402.03300, equations 3 and 4). A is the weight that the
    filter gives, such as `group-advantages`. loss = mean of l + retain_weight * CE(retain answer).

    The mean is over the tokens of each answer and then over answers (GRPO), over all tokens of the batch
    (DAPO, arXiv 2503.14476), or over answers of the sum over tokens (Dr. GRPO, arXiv 2503.20783, up to its
    constant). With `ratio: answer`, rho is that of whole answers, and there is one term per answer, as in
    RLOO (arXiv 2402.14740).
    """

    clip: Annotated[float, Gt(0), Lt(1)] = 0.2
    """By how much the ratio may fall below 1 before a completion stops to count."""
    clip_high: Annotated[float, Gt(0)] | None = None
    """By how much it may rise above 1; as `clip` where it is not given."""
    kl_weight: Annotated[float, Ge(0)] = 0.0
    """How much the divergence from the reference model counts, which is asked only then."""
    ratio: Literal["token", "answer"] = "token"
    """What the ratio is taken of."""
    mean: Literal["answer", "token", "sum"] = "answer"
    """What tokens are averaged over: those of their answer, those of the batch, or nothing."""

    def before_steps(self, model: "LanguageModel", batches: list["Batch"]) -> list["Batch"]:
        """Let the model that drew the completions say how likely they are."""
        from collapse_llm.model.training import token_losses

        def with_drawn(batch: "Batch") -> "Batch":
            with model.for_inference() as module:
                rows = [example.answers[0] for example in batch.kept]
                found = token_losses(module, rows, model.device)
            kept = [replace(e, drawn_nll=nll.clone()) for e, nll in zip(batch.kept, found, strict=True)]
            return replace(batch, kept=kept)

        return [with_drawn(batch) for batch in batches]

    def asks_reference(self) -> "tuple[Asked, ...]":
        """The reference model is asked for the divergence from it alone."""
        return ("nll",) if self.kl_weight else ()

    def loss_of_kept(self, answers: "Answers") -> "torch.Tensor":
        """The clipped objective, negated, and the divergence."""
        from collapse_llm.updater.losses import k3

        high = self.clip if self.clip_high is None else self.clip_high
        by_answer = self.ratio == "answer"
        losses = []
        for [nll, *_], example in zip(answers.losses, answers.examples, strict=True):
            drawn = nll.detach() if example.drawn_nll is None else example.drawn_nll
            change = (drawn - nll).sum()[None] if by_answer else drawn - nll
            ratio, advantage = change.exp(), example.weight
            clipped = ratio.clamp(max=1 + high) if advantage > 0 else ratio.clamp(min=1 - self.clip)
            losses.append(-advantage * clipped)
        loss = answers.average(losses, "sum" if by_answer else self.mean)
        if not answers.reference.nll:
            return loss
        pairs = zip(answers.losses, answers.reference.nll, strict=True)
        divergences = [k3(now[0] - before[0]) for now, before in pairs]
        return loss + self.kl_weight * answers.average(divergences, self.mean)
