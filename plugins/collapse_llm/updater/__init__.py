"""How a language model is trained on what was kept."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt
from pydantic import model_validator

from collapse_core import Iteration, Kept, Model, Prompt, TrainingSettings, Updater

if TYPE_CHECKING:
    import torch

    from collapse_llm.model.language_model import LanguageModel
    from collapse_llm.updater.batches import Batch
    from collapse_llm.updater.losses import Answers
    from collapse_llm.updater.reference import Asked, Reference


class GradientSteps(Updater, TrainingSettings):
    """Gradient steps on kept answers, with retain answers weighed in; a method is what the two losses are."""

    works_on: ClassVar[tuple[str, ...]] = ("language-model",)

    loss_name: ClassVar[str] = "forget_loss"
    """What the journal calls the loss on kept answers."""

    learning_rate: Annotated[float, Gt(0)] = 1e-5
    """The peak learning rate of AdamW."""
    retain_weight: Annotated[float, Ge(0)] = 1.5
    """The paper's lambda."""
    batch_size: Annotated[int, Ge(1)] = 16
    """Kept answers per optimizer step, with the same share of the retain answers."""
    micro_batch_size: Annotated[int, Ge(1)] | None = None
    """Kept answers in one forward pass, where memory does not hold a batch."""
    epochs: Annotated[int, Ge(1)] = 1
    """Passes over what an iteration kept."""
    weight_decay: Annotated[float, Ge(0)] = 0.01
    """AdamW's weight decay."""

    def update(
        self, model: Model, kept: Sequence[Kept], retain: Sequence[Prompt], iteration: Iteration
    ) -> dict[str, float]:
        """Train on the kept answers and on as large a share of the retain prompts in each step."""
        from collapse_llm.updater.fine_tuning import fine_tune

        return fine_tune(self, model, kept, retain, iteration)

    def answers(self, one: Kept, iteration: Iteration) -> tuple[str, ...]:
        """The answers that are learned from one kept completion: its own, and those compared with it."""
        return (one.completion.content,)

    def before_steps(self, model: "LanguageModel", batches: list["Batch"]) -> list["Batch"]:
        """The batches of an iteration, with what the model says of them before its first step added."""
        return batches

    def weight_of_retain(self, model: "LanguageModel") -> float:
        """The weight of the retain loss in the next step; by default always `retain_weight`."""
        return self.retain_weight

    def after_batch(self, model: "LanguageModel", retain_loss: float, iteration: Iteration) -> None:
        """Take note of the retain loss of a batch, before the step on it; by default nothing is noted."""

    def ask_reference(self, model: "LanguageModel", part: "Batch") -> Any:
        """What the reference model makes of a part of a batch; by default it is not asked."""
        return None

    @abstractmethod
    def losses(
        self, module: Any, part: "Batch", batch: "Batch", reference: Any
    ) -> tuple["torch.Tensor", "torch.Tensor"]:
        """What a part of a batch adds to its two losses, that of kept and that of retain answers.

        Args:
            module: What computes, in its training mode.
            part: The rows of this forward pass.
            batch: The batch that they are a part of, for means over it.
            reference: What `ask_reference` gave.
        """


class FineTuning(GradientSteps):
    """Gradient steps on likelihoods: loss = loss_of_kept + retain_weight * retention(retain answer).

    Each kept answer counts with its weight.

    Retention is a mean over answer tokens of its half of the batch, in however many micro-batches it is
    computed: the cross-entropy, or the divergence of the predictions of the reference model from those of the
    model in training, KL(p_reference || p) or that of Jensen and Shannon.
    """

    uses_weights: ClassVar[bool] = True
    uses_logits: ClassVar[bool] = False
    """Whether the loss looks at the whole vocabulary, and not at the answer's own tokens alone."""

    retention: Literal["cross-entropy", "kl", "jensen-shannon"] = "cross-entropy"
    """How retain answers are retained: their text is learned, or the reference model's predictions of each of
    their tokens are, which asks that model in each step."""

    retained_logits: Literal["recomputed", "kept"] = "recomputed"
    """Whether the reference model's predictions of retain answers are computed in each step, or once for each
    answer and kept in main memory: 4 bytes for each answer token and each entry of the vocabulary."""

    @model_validator(mode="after")
    def _keeps_what_it_uses(self) -> "FineTuning":
        if self.retained_logits == "kept" and self.retention == "cross-entropy":
            raise ValueError("'retained_logits: kept' is for retention by 'kl' or 'jensen-shannon'")
        return self

    @abstractmethod
    def loss_of_kept(self, answers: "Answers") -> "torch.Tensor":
        """What some of a batch's kept answers add to the batch's loss: a scalar to derive."""

    def asks_reference(self) -> "tuple[Asked, ...]":
        """What of the reference model the loss on kept answers needs; by default nothing."""
        return ()

    def ask_reference(self, model: "LanguageModel", part: "Batch") -> "Reference | None":
        """What the losses need of the reference model; it is not asked where they need nothing."""
        from collapse_llm.updater.reference import ask

        asked = {*self.asks_reference(), *(("retain",) if self.retention != "cross-entropy" else ())}
        return ask(model, part, asked, keep=self.retained_logits == "kept") if asked else None

    def losses(
        self, module: Any, part: "Batch", batch: "Batch", reference: "Reference | None"
    ) -> tuple["torch.Tensor", "torch.Tensor"]:
        """The method's loss on the kept answers, and the retention of the retain answers."""
        from collapse_llm.updater.losses import of_tokens

        return of_tokens(self, module, part, batch, reference)


class Sft(FineTuning):
    """Supervised fine-tuning on the kept answers, with retain answers weighed in.

    loss = CE(kept answer) + retain_weight * CE(retain answer), each the mean over answer tokens of its
    half of the batch (arXiv 2507.04219, section 4), in however many micro-batches it is computed.
    """

    loss_name: ClassVar[str] = "collapse_loss"

    def loss_of_kept(self, answers: "Answers") -> "torch.Tensor":
        """The cross-entropy."""
        return answers.cross_entropy()
