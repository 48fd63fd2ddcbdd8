"""Primal-dual unlearning: predictions are flattened as far as a bound on the retain loss allows."""

from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge, Gt

from collapse_core import Iteration
from collapse_llm.updater.rejecting import Rejecting

if TYPE_CHECKING:
    import torch

    from collapse_llm.model.language_model import LanguageModel
    from collapse_llm.updater.pushing import Pushed

DUAL = "dual_variable"


class Pdu(Rejecting):
    """Primal-dual unlearning: logits are flattened, under the constraint that the retain loss stays small.

    loss = weight * mean_t (max_v z_tv - mean_v z_tv)^2 + kept_weight * CE(kept answer) + a * (R -
    max_retain_loss), with R the retain loss and z the logits at the selected tokens of the batch's pushed
    answers. a begins as `retain_weight`; after each batch a <- max(0, a + dual_step * (R - max_retain_loss))
    (arXiv 2506.05314; OpenUnlearning's PDU). The pushed answer is read as context alone: at zero, predictions
    are uniform, whatever its tokens. The journal has a as `dual_variable`, and checkpoints hold it.
    """

    uses_logits: ClassVar[bool] = True

    max_retain_loss: Annotated[float, Ge(0)]
    """The retain loss that is allowed. Choose it above that of the model before unlearning."""
    retain_weight: Annotated[float, Ge(0)] = 50.0
    """The dual variable before it is adapted; large, since the first term is of squared logits."""
    dual_step: Annotated[float, Gt(0)] = 1.0
    """By how much it grows with each unit by which a batch's retain loss is too large."""
    dual_after: Annotated[int, Ge(0)] = 0
    """How many iterations pass before it is adapted."""

    def weight_of_retain(self, model: "LanguageModel") -> float:
        """The dual variable."""
        return model.numbers.get(DUAL, self.retain_weight)

    def after_batch(self, model: "LanguageModel", retain_loss: float, iteration: Iteration) -> None:
        """Take a step of gradient ascent in the dual variable."""
        if iteration.number >= self.dual_after:
            ascended = self.weight_of_retain(model) + self.dual_step * (retain_loss - self.max_retain_loss)
            model.numbers[DUAL] = max(0.0, ascended)

    def loss_of_pushed(self, pushed: "Pushed") -> "torch.Tensor":
        """The squared height of the highest logit above their mean, the mean over tokens."""
        return pushed.mean_over_tokens(
            pushed.of_logits(lambda z, _: (z.max(-1).values - z.mean(-1)).square())
        )
