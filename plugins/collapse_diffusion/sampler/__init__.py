"""How images are drawn from a diffusion model."""

from collections.abc import Sequence
from typing import ClassVar

from collapse_core import Bound, Completion, Group, Iteration, Model, Prompt, Sampler
from collapse_diffusion.model.drawing import Drawing


class Denoise(Sampler, Drawing):
    """Draw images by denoising; each has noise of its own, so batching changes nothing.

    `batch_size` changes speed and memory, and floating point aside no draw. The reference is a single draw.
    """

    works_on: ClassVar[tuple[str, ...]] = ("image-diffusion",)

    paired_references: bool = False
    """Also draw an image of the reference model from the same noise, for `same-noise-distance`."""

    def sample(
        self,
        model: Model,
        prompts: Sequence[Prompt],
        num_completions: int,
        iteration: Iteration,
        bound: Bound | None = None,
    ) -> list[Group]:
        """Draw all images of all prompts in common batches."""
        from collapse_diffusion.sampler.denoising import draw_groups

        return draw_groups(self, model, prompts, num_completions, iteration)

    def sample_references(
        self, model: Model, prompts: Sequence[Prompt], iteration: Iteration
    ) -> list[Completion]:
        """Return one draw per prompt, before unlearning begins."""
        return [group.completions[0] for group in self.sample(model, prompts, 1, iteration)]
