"""Methods to compare with, each a loss on the kept answers.

Those that push answers away push what the filter sets against each kept answer. Where it sets nothing, they
push the kept answer itself, such as the true one that the sampler "true-answers" gives.
"""

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt

from collapse_core import Iteration, Kept, derive_seed
from collapse_llm.sentences import Sentences, read_sentences
from collapse_llm.updater import FineTuning, GradientSteps
from collapse_llm.updater.rejecting import Rejecting, SelectsTokens

if TYPE_CHECKING:
    import torch

    from collapse_llm.model.language_model import LanguageModel
    from collapse_llm.updater.batches import Batch
    from collapse_llm.updater.losses import Answers
    from collapse_llm.updater.pushing import Pushed
    from collapse_llm.updater.reference import Asked


class GradientAscent(Rejecting):
    """Gradient ascent on the kept answers; with retain answers weighed in, gradient difference.

    loss = -CE(kept answer) + retain_weight * CE(retain answer) (TOFU, arXiv 2401.06121, section 3). It has no
    lower bound: the longer it is trained, the less is left of the model.
    """

    retain_weight: Annotated[float, Ge(0)] = 0.0
    """How much retain answers count: 0 is gradient ascent, more is gradient difference."""

    def loss_of_pushed(self, pushed: "Pushed") -> "torch.Tensor":
        """The cross-entropy, negated."""
        return -pushed.mean_over_tokens(pushed.nll)


class _ComparedWithReference(FineTuning):
    """A method that compares likelihoods with those of the reference model."""

    beta: Annotated[float, Gt(0)] = 0.1
    """The inverse temperature: how soon an answer is unlikely enough."""

    def asks_reference(self) -> "tuple[Asked, ...]":
        """The likelihoods of the answers."""
        return ("nll",)


class Npo(Rejecting, _ComparedWithReference):
    """Negative preference optimization: gradient ascent that fades as an answer becomes unlikely.

    loss = -2/beta E log sigmoid(beta (nll - nll_reference)) + retain_weight * CE(retain answer), where nll is
    summed over the tokens of a kept answer (arXiv 2404.05868).
    """

    def loss_of_pushed(self, pushed: "Pushed") -> "torch.Tensor":
        """The mean over answers."""
        from collapse_llm.updater.losses import negative_preference

        return pushed.mean(negative_preference(pushed.log_ratio(), self.beta))


class SimNpo(Rejecting):
    """Negative preference optimization without the reference model, normalized by length.

    loss = -2/beta E log sigmoid(beta nll / |answer| - gamma) + retain_weight * CE(retain answer), where nll
    is summed over the |answer| tokens of a kept answer (arXiv 2410.07163).
    """

    beta: Annotated[float, Gt(0)] = 2.5
    """The inverse temperature."""
    gamma: Annotated[float, Ge(0)] = 0.0
    """The margin; more of it makes answers that are already unlikely count more."""

    def loss_of_pushed(self, pushed: "Pushed") -> "torch.Tensor":
        """The mean over answers."""
        from collapse_llm.updater.losses import simple_negative_preference

        return pushed.mean(simple_negative_preference(pushed.nll_per_token(), self.beta, self.gamma))


class Dpo(SelectsTokens, _ComparedWithReference):
    """Direct preference optimization: the kept answer is preferred to what the filter sets against it.

    loss = -weight/beta E log sigmoid(beta h) + kept_weight * CE(kept answer) + retain_weight * CE(retain
    answer), where h = r(kept answer) - r(rejected) and r = nll_reference - nll, summed over tokens (arXiv
    2305.18290, equation 7; for unlearning, where a refusal is preferred to the true answer, 2404.05868). With
    `loss: ipo` the first term is E (h - 1 / (2 beta))^2, which rests once the margin is reached (arXiv
    2310.12036, equation 17). Alternate preference optimization (AltPO, arXiv 2409.13474) is this loss, where
    the kept answers are alternates that the model wrote itself.
    """

    needs_against: ClassVar[bool] = True

    loss: Literal["sigmoid", "ipo"] = "sigmoid"
    """What is made of the margin h."""

    def loss_of_pair(self, answers: "Answers", pushed: "Pushed") -> "torch.Tensor":
        """The mean over pairs."""
        from collapse_llm.updater.losses import direct_preference, identity_preference

        preference = direct_preference if self.loss == "sigmoid" else identity_preference
        return answers.mean(preference(answers.log_ratio(0), pushed.log_ratio(), self.beta))


class Rmu(GradientSteps):
    """Representation misdirection: a layer's hidden states of kept answers are steered to a random direction.

    loss = MSE(h(kept answer), steering * u) + retain_weight * MSE(h(retain answer), h_ref(retain answer)),
    means over hidden dimensions and over the positions that predict the answers' tokens; u is a unit vector
    with entries uniform in [0, 1) before it is scaled to one (arXiv 2403.03218, section 4; the squared norm
    is divided by the width as in its implementation). Unlike there, all weights up to the layer are trained.
    """

    retain_weight: Annotated[float, Ge(0)] = 1200.0
    """The paper's alpha: how much retain answers must stay where they were."""
    layer: Annotated[int, Ge(0)] = 7
    """The decoder layer whose output is steered, from 0."""
    steering: Annotated[float, Gt(0)] = 6.5
    """How far along the direction: the paper's c. It must suit the scale of the model's hidden states."""
    direction: int = 0
    """The seed of the random direction, which stays the same throughout a run."""

    def ask_reference(self, model: "LanguageModel", part: "Batch") -> "Sequence[torch.Tensor]":
        """The hidden states of the retain answers."""
        from collapse_llm.updater.steering import reference_states

        return reference_states(model, part.retain, self.layer)

    def losses(
        self, module: Any, part: "Batch", batch: "Batch", reference: Any
    ) -> tuple["torch.Tensor", "torch.Tensor"]:
        """The two mean squared distances."""
        from collapse_llm.updater.steering import direction, misdirection

        target = self.steering * direction(module.config.hidden_size, self.direction)
        return misdirection(module, part, batch, reference, self.layer, target)


class AlignedSft(FineTuning):
    """Fine-tuning on kept answers and, as long as they repeat the original ones, on refusals.

    loss = CE(kept answer) + alignment_weight * g * CE(refusal) + retain_weight * CE(retain answer), where g
    is the mean over the batch of 1 - reward of the kept answer, 0 for rewards above 1. This variant of PMC
    was in the public implementation of arXiv 2507.04219 in September 2025, and was withdrawn.
    """

    loss_name: ClassVar[str] = "collapse_loss"

    refusals: Sentences = "refusals"
    """Where a refusal is drawn from for each question: as `sentences` of the sampler of that name."""
    alignment_weight: Annotated[float, Ge(0)] = 0.5
    """How much refusals count while nothing is forgotten."""

    def answers(self, one: Kept, iteration: Iteration) -> tuple[str, ...]:
        """The kept answer, and a refusal drawn for this prompt in this iteration."""
        draw = random.Random(derive_seed(iteration.seed, "refusal", one.prompt.id))
        return (one.completion.content, draw.choice(read_sentences(self.refusals)))

    def loss_of_kept(self, answers: "Answers") -> "torch.Tensor":
        """The two cross-entropies, weighed."""
        overlap = sum(max(0.0, 1 - example.reward) for example in answers.batch) / len(answers.batch)
        return answers.cross_entropy(0) + self.alignment_weight * overlap * answers.cross_entropy(1)
