"""How a diffusion model is trained on what was kept."""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Gt

from collapse_core import Iteration, Kept, Model, Prompt, Updater


class Denoising(Updater):
    """The denoising loss on kept images, with that on retain images weighed in.

    loss = E|noise - prediction|^2 over kept + retain_weight * the same over retain, each the mean over its
    half of the batch (Ho et al., arXiv 2006.11239, eq. 14; the sum as in arXiv 2507.04219, section 4). An
    iteration takes `steps` steps whatever was kept: with a filter that keeps nothing it trains on retain
    data alone, for as long.
    """

    works_on: ClassVar[tuple[str, ...]] = ("image-diffusion",)

    learning_rate: Annotated[float, Gt(0)] = 5e-4
    """The peak learning rate of AdamW."""
    retain_weight: Annotated[float, Ge(0)] = 1.0
    """How much the retain images count beside the kept ones."""
    steps: Annotated[int, Ge(1)] = 40
    """Optimizer steps an iteration."""
    batch_size: Annotated[int, Ge(1)] = 48
    """Kept images a step, and as many retain images; both are dealt in shuffled passes."""
    schedule: Literal["linear", "constant"] = "linear"
    """Whether the learning rate falls to zero over the run."""
    warmup: Annotated[float, Ge(0)] = 1.0
    """Iterations over which the learning rate rises."""
    weight_decay: Annotated[float, Ge(0)] = 0.0
    """AdamW's weight decay."""
    max_grad_norm: Annotated[float, Gt(0)] | None = 1.0
    """Gradients are scaled down to this norm."""

    def update(
        self, model: Model, kept: Sequence[Kept], retain: Sequence[Prompt], iteration: Iteration
    ) -> dict[str, float]:
        """Take the steps of an iteration; the journal gets the mean losses."""
        from collapse_diffusion.updater.training import train

        return train(self, model, kept, retain, iteration)
