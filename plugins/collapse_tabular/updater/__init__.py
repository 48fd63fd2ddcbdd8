"""How a model of rows is trained on what was kept."""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, Le

from collapse_core import Iteration, Kept, Model, Prompt, Updater


class RowDenoising(Updater):
    """The denoising loss on kept rows, with that on retained rows weighed in.

    loss = L(kept rows) + retain_weight * L(retained rows), with L the loss that the model was taught by,
    each the mean over its batch. Both batches are drawn with replacement at every step.
    A retained row may leave out part of its prompt, as in teaching; a kept one says all of it.
    """

    works_on: ClassVar[tuple[str, ...]] = ("row-diffusion",)

    steps: Annotated[int, Ge(1)] = 50
    """Optimizer steps an iteration."""
    learning_rate: Annotated[float, Gt(0)] = 5e-4
    """The peak learning rate of Adam."""
    retain_weight: Annotated[float, Ge(0)] = 1.0
    """How much a retained batch counts beside a kept one."""
    batch_size: Annotated[int, Ge(1)] = 128
    """Kept rows a step; as many retained rows come beside them."""
    even: Annotated[float, Ge(0), Le(1)] = 0.0
    """The share of retained draws that is even over prompts, not rows: it keeps rare prompts."""
    schedule: Literal["linear", "constant"] = "linear"
    """Whether the learning rate falls to zero over the run."""
    warmup: Annotated[float, Ge(0)] = 0.5
    """Iterations over which the learning rate rises."""
    max_grad_norm: Annotated[float, Gt(0)] | None = 1.0
    """Gradients are scaled down to this norm."""

    def update(
        self, model: Model, kept: Sequence[Kept], retain: Sequence[Prompt], iteration: Iteration
    ) -> dict[str, float]:
        """Train on the kept rows and on the retained ones beside them."""
        from collapse_tabular.updater.denoising import fit_rows

        return fit_rows(self, model, kept, retain, iteration)
