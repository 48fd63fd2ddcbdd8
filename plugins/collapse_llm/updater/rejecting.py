"""Methods that push answers down, as a whole or only some of their tokens."""

from abc import abstractmethod
from math import inf
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, Le, Lt
from pydantic import Field, model_validator

from collapse_core import Iteration, Kept
from collapse_llm.updater import FineTuning

if TYPE_CHECKING:
    import torch

    from collapse_llm.model.language_model import LanguageModel
    from collapse_llm.updater.batches import Batch
    from collapse_llm.updater.losses import Answers
    from collapse_llm.updater.pushing import Pushed
    from collapse_llm.updater.reference import Asked


class SelectsTokens(FineTuning):
    """Methods of which a term pushes answers down, as a whole or only some of their tokens."""

    weight: Annotated[float, Ge(0)] = 1.0
    """How much the term that pushes down counts."""
    kept_weight: Annotated[float, Ge(0)] = 0.0
    """How much the cross-entropy of the kept answer counts, which is learned instead of the pushed one."""
    tokens: Literal["all", "unshared", "entropy", "masking", "masking-and-entropy"] = "all"
    """Which tokens of an answer are pushed down. With "unshared", those that the kept answer does not have in
    the same place and that do not stand in the question: what both answers share is mostly phrasing. Where
    the kept answer is the pushed one, all that does not stand in the question is pushed. The last three are
    those of the literature: the most important by the entropy of the prediction, by how much the question
    changes their probability, or by the mean of the two, under the model before an iteration's first step."""
    share: Annotated[float, Gt(0), Le(1)] = 0.5
    """The share of an answer's tokens that is selected by importance, rounded up."""
    soft: bool = False
    """Push all tokens, each as much as it is important, instead of selecting some by importance."""
    floor: Annotated[float, Ge(0), Lt(1)] = 0.0
    """The probability below which a token gives no gradient."""

    @model_validator(mode="after")
    def _weighs_by_something(self) -> "SelectsTokens":
        if self.soft and self.tokens in ("all", "unshared"):
            raise ValueError(
                "'soft' weighs tokens by importance; choose 'tokens: entropy' or one with masking"
            )
        return self

    def before_steps(self, model: "LanguageModel", batches: list["Batch"]) -> list["Batch"]:
        """Find out how important tokens are, where they are selected by that."""
        from collapse_llm.updater.attribution import with_importance
        from collapse_llm.updater.pushing import MASKING

        if self.tokens not in MASKING:
            return batches
        return [with_importance(model, batch, MASKING[self.tokens]) for batch in batches]

    def learns_from_pairs(self) -> bool:
        """A pair is needed where the kept answer has a part of its own."""
        return self.needs_against or self.kept_weight > 0 or self.tokens == "unshared"

    def answers(self, one: Kept, iteration: Iteration) -> tuple[str, ...]:
        """What is set against the kept answer, else the kept answer; in pairs, the kept one before it."""
        kept = str(one.completion.content)
        pushed = kept if one.against is None else str(one.against)
        return (kept, pushed) if self.learns_from_pairs() else (pushed,)

    def loss_of_kept(self, answers: "Answers") -> "torch.Tensor":
        """What is pushed down, and what is learned instead."""
        from collapse_llm.updater.pushing import Selection, pushed_tokens

        pushed = pushed_tokens(answers, Selection(self.tokens, self.floor, self.share, self.soft))
        loss = self.weight * self.loss_of_pair(answers, pushed)
        return loss + self.kept_weight * answers.cross_entropy() if self.kept_weight else loss

    @abstractmethod
    def loss_of_pair(self, answers: "Answers", pushed: "Pushed") -> "torch.Tensor":
        """What the answers of a micro-batch, their last ones pushed, add to the batch's loss: a scalar."""


class Rejecting(SelectsTokens):
    """Methods that push answers down: loss = weight * push(pushed) + kept_weight * CE(kept) + retention."""

    def loss_of_pair(self, answers: "Answers", pushed: "Pushed") -> "torch.Tensor":
        """What the pushed answers add alone."""
        return self.loss_of_pushed(pushed)

    @abstractmethod
    def loss_of_pushed(self, pushed: "Pushed") -> "torch.Tensor":
        """What the pushed answers of a micro-batch add to the batch's loss: a scalar to derive."""


class Unlikelihood(Rejecting):
    """Unlikelihood training: tokens are pushed down by -log(1 - p), which fades as they become unlikely.

    loss = weight * E mean_t(-log(1 - p_t)) + kept_weight * CE(kept answer) + retain_weight * CE(retain
    answer), the inner mean over the selected tokens of a pushed answer, E over answers (Welleck et al., arXiv
    1908.04319, equation 4). The gradient on a token's logit is p: bounded, and gone once it is unlikely.
    """

    uses_logits: ClassVar[bool] = True

    def loss_of_pushed(self, pushed: "Pushed") -> "torch.Tensor":
        """The mean over answers of the mean over tokens."""
        from collapse_llm.updater.losses import unlikelihood

        return pushed.mean(pushed.per_token(pushed.of_logits(unlikelihood)))


class Wga(Rejecting):
    """Weighted gradient ascent: tokens count less the less likely they are.

    loss = -weight * mean_t(p_t^beta nll_t) + kept_weight * CE(kept answer) + retain_weight * CE(retain
    answer), the mean over the selected tokens of the batch; p_t^beta is not derived (arXiv 2502.19301). With
    beta = 0 it is gradient ascent. For larger beta the gradient fades like p^beta.
    """

    beta: Annotated[float, Ge(0)] = 1.0
    """How soon unlikely tokens stop to count."""

    def loss_of_pushed(self, pushed: "Pushed") -> "torch.Tensor":
        """The weighted cross-entropy, negated."""
        return -pushed.mean_over_tokens([(-self.beta * nll.detach()).exp() * nll for nll in pushed.nll])


class SatImp(Rejecting):
    """Gradient ascent that weighs tokens by saturation and importance.

    loss = -weight * mean_t(p_t^beta1 (1 - p_t)^beta2 nll_t) + kept_weight * CE(kept answer) + retain_weight *
    CE(retain answer), the mean over the selected tokens of the batch; the factors are not derived (arXiv
    2505.11953). A token counts most where p = beta1 / (beta1 + beta2). One that is certain does not count.
    """

    beta1: Annotated[float, Ge(0)] = 5.0
    """How soon unlikely tokens stop to count."""
    beta2: Annotated[float, Ge(0)] = 1.0
    """How soon likely tokens stop to count."""

    def loss_of_pushed(self, pushed: "Pushed") -> "torch.Tensor":
        """The weighted cross-entropy, negated."""

        def weighed(nll: "torch.Tensor") -> "torch.Tensor":
            fixed = nll.detach()
            return (-self.beta1 * fixed).exp() * (-(-fixed).expm1()) ** self.beta2 * nll

        return -pushed.mean_over_tokens([weighed(nll) for nll in pushed.nll])


class CeU(Rejecting):
    """Cross-entropy unlearning: the model is taught its own predictions without the token.

    loss = weight * mean_t CE(q_t, p_t) + kept_weight * CE(kept answer) + retain_weight * CE(retain answer),
    the mean over the selected tokens of the batch; q is p with the token's own probability set to zero and
    rescaled to one, and is not derived (arXiv 2503.01224). The gradient is bounded, and fades with p.
    """

    uses_logits: ClassVar[bool] = True

    def loss_of_pushed(self, pushed: "Pushed") -> "torch.Tensor":
        """The cross-entropy with the target."""
        from collapse_llm.updater.losses import distillation, without

        return pushed.mean_over_tokens(
            pushed.of_logits(lambda z, y: distillation(z, without(z.detach(), y, inf)))
        )


class Undial(Rejecting):
    """Unlearning by self-distillation with adjusted logits.

    loss = weight * mean_t CE(q_t, p_t) + kept_weight * CE(kept answer) + retain_weight * CE(retain answer),
    the mean over the selected tokens of the batch; q = softmax(z_reference - beta * onehot(token)) (arXiv
    2402.10052, equation 3). It is bounded below by the entropy of q.
    """

    uses_logits: ClassVar[bool] = True

    retain_weight: Annotated[float, Ge(0)] = 0.0
    """How much retain answers count; the paper's method needs none."""
    beta: Annotated[float, Gt(0)] = 10.0
    """By how much the token's logit is lowered."""

    def asks_reference(self) -> "tuple[Asked, ...]":
        """The predictions of the pushed tokens."""
        return ("logits",)

    def loss_of_pushed(self, pushed: "Pushed") -> "torch.Tensor":
        """The cross-entropy with the target."""
        from collapse_llm.updater.losses import distillation, without

        targets = [
            without(z, y, self.beta) for z, y in zip(pushed.reference_logits, pushed.labels, strict=True)
        ]
        return pushed.mean_over_tokens(
            [distillation(*both) for both in zip(pushed.logits, targets, strict=True)]
        )


class JensUn(SelectsTokens):
    """Unlearning by the Jensen-Shannon divergence from a refusal, which is bounded on both sides.

    loss = weight * mean_t JSD(p_t, onehot(r_t)) + kept_weight * CE(kept answer) + retain_weight * mean_t
    JSD(p_reference, p) over retain answers; r_t are the tokens of the refusal, over and over, in the places
    of the pushed answer's selected tokens, which is what the model reads before each (arXiv 2509.02820). A
    prediction that is sure of r_t costs nothing, one that excludes it log 2, with hardly a gradient.
    """

    uses_logits: ClassVar[bool] = True

    refusal: Annotated[str, Field(min_length=1)] = "No idea"
    """What is to be said instead."""
    retention: Literal["cross-entropy", "kl", "jensen-shannon"] = "jensen-shannon"
    """How retain answers are retained: by the reference model's predictions, or by their text."""

    def answers(self, one: Kept, iteration: Iteration) -> tuple[str, ...]:
        """The refusal, and what is set against the kept answer; in pairs, the kept one before both."""
        *kept, pushed = super().answers(one, iteration)
        return (*kept, self.refusal, pushed)

    def loss_of_pair(self, answers: "Answers", pushed: "Pushed") -> "torch.Tensor":
        """The divergence, the mean over the selected tokens of the batch's pushed answers."""
        from collapse_llm.updater.losses import jensen_shannon_to

        refusals = [example.answers[-2] for example in answers.examples]
        wanted = [
            labels.new_tensor([said[place % len(said)] for place in range(len(labels))])
            for labels, refusal in zip(pushed.labels, refusals, strict=True)
            if (said := refusal.ids[refusal.answer_start : -1])
        ]
        return pushed.mean_over_tokens(
            [jensen_shannon_to(*both) for both in zip(pushed.logits, wanted, strict=True)]
        )
