"""How a diffusion model is trained on what was kept."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

from annotated_types import Ge

from collapse_core import Iteration, Kept, Model, Prompt, PushingUpdater


class Denoising(PushingUpdater):
    """The denoising loss on kept images, with that on retain images weighed in.

    loss = E|noise - prediction|^2 over kept + retain_weight * the same over retain, each the mean over its
    half of the batch (Ho et al., arXiv 2006.11239, eq. 14; the sum as in arXiv 2507.04219, section 4). An
    iteration takes `steps` steps, however much was kept: with a filter that keeps nothing it trains on retain
    data alone, for as long. With `against_weight`, what is set against kept images is pushed away.
    """

    works_on: ClassVar[tuple[str, ...]] = ("image-diffusion",)

    steps: Annotated[int, Ge(1)] = 40
    """Optimizer steps per iteration."""
    batch_size: Annotated[int, Ge(1)] = 48
    """Kept images per step, and as many retain images; both are dealt in shuffled passes."""

    def update(
        self, model: Model, kept: Sequence[Kept], retain: Sequence[Prompt], iteration: Iteration
    ) -> dict[str, float]:
        """Take the steps of an iteration; the journal gets the mean losses."""
        from collapse_diffusion.updater.training import denoise_kept

        return denoise_kept(self, model, kept, retain, iteration)
