"""The settings that updaters with gradient steps share."""

from typing import Annotated, Literal

from annotated_types import Ge, Gt

from collapse_core.contracts.component import Settings
from collapse_core.contracts.interfaces import Updater


class TrainingSettings(Settings):
    """The optimizer's settings, and the weight of the retain loss; an updater adds what is its own."""

    learning_rate: Annotated[float, Gt(0)] = 5e-4
    """The peak learning rate of AdamW."""
    retain_weight: Annotated[float, Ge(0)] = 1.0
    """The weight of the loss on retain examples; that on kept completions has weight 1."""
    schedule: Literal["linear", "constant"] = "linear"
    """Whether the learning rate falls linearly to zero over the run."""
    warmup: Annotated[float, Ge(0)] = 1.0
    """Iterations over which the learning rate rises from zero."""
    weight_decay: Annotated[float, Ge(0)] = 0.0
    """AdamW's weight decay."""
    max_grad_norm: Annotated[float, Gt(0)] | None = 1.0
    """Gradients with a larger norm are scaled down to this norm."""


class PushingUpdater(Updater, TrainingSettings):
    """An updater with gradient steps that may push away what kept completions are set against.

    To its loss it adds against_weight * mean(max(0, against_limit * reference - loss)): the losses of what
    the filter sets `against` kept completions, under the trained and under the reference model, with the same
    noise for either. As in NPO (arXiv 2404.05868) and Diffusion-DPO (arXiv 2311.12908) the reference model
    sets the scale: each token, each noise level is pushed by as much as it was known. The sigmoid of these
    lets the push fade; here it ends at the limit, which bounds it.
    """

    against_weight: Annotated[float, Ge(0)] = 0.0
    """How much the push counts; with 0, nothing need be set against."""
    against_limit: Annotated[float, Gt(1)] = 2.0
    """Up to how many times the reference model's loss it pushes."""

    def learns_from_pairs(self) -> bool:
        """Something must be set against what was kept to be pushed away."""
        return self.needs_against or self.against_weight > 0
