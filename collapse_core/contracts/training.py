"""The settings that updaters with gradient steps share."""

from typing import Annotated, Literal

from annotated_types import Ge, Gt

from collapse_core.contracts.component import Settings


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
