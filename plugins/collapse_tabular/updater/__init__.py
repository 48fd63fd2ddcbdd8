"""How a model of rows is trained on what was kept."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

from annotated_types import Ge, Le

from collapse_core import Iteration, Kept, Model, Prompt, PushingUpdater


class RowDenoising(PushingUpdater):
    """The denoising loss on kept rows, with that on retained rows weighed in.

    loss = L(kept rows) + retain_weight * L(retained rows), with L the loss that the model was taught by,
    each the mean over its batch. Both batches are drawn with replacement at every step.
    A retained row may leave out part of its prompt, as in teaching; a kept one says all of it.
    With `against_weight`, rows that are set against kept ones are pushed away.
    """

    works_on: ClassVar[tuple[str, ...]] = ("row-diffusion",)

    steps: Annotated[int, Ge(1)] = 50
    """Optimizer steps per iteration."""
    batch_size: Annotated[int, Ge(1)] = 128
    """Kept rows per step, and as many retain rows."""
    even: Annotated[float, Ge(0), Le(1)] = 0.0
    """The share of retain draws that is even over prompts, not rows: it keeps rare prompts."""
    warmup: Annotated[float, Ge(0)] = 0.5
    """Iterations over which the learning rate rises from zero."""

    def update(
        self, model: Model, kept: Sequence[Kept], retain: Sequence[Prompt], iteration: Iteration
    ) -> dict[str, float]:
        """Train on the kept rows and on the retain rows."""
        from collapse_tabular.updater.denoising import fit_rows

        return fit_rows(self, model, kept, retain, iteration)
