"""How images are drawn from a diffusion model."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

from annotated_types import Ge, Le

from collapse_core import Bound, Completion, Group, Iteration, Model, Prompt, Sampler, Settings


class Drawing(Settings):
    """How an image is denoised."""

    scheduler: str | None = None
    """The class name of a diffusers scheduler, for the model's noise schedule; by default its own."""
    steps: Annotated[int, Ge(1)] = 20
    """Denoising steps."""
    eta: Annotated[float, Ge(0), Le(1)] = 1.0
    """The noise that DDIM adds, `class-diffusion`'s own: 1 is as much as DDPM (Song et al. 2021)."""
    guidance: Annotated[float, Ge(0)] = 1.0
    """Classifier-free guidance (Ho and Salimans 2022); 1 is none."""
    batch_size: Annotated[int, Ge(1)] = 128
    """How many images are denoised at once."""


class Denoise(Sampler, Drawing):
    """Draw images by denoising; each has noise of its own, so batching changes nothing.

    `batch_size` changes speed and memory, and floating point aside no draw. The reference is a single draw.
    """

    works_on: ClassVar[tuple[str, ...]] = ("image-diffusion",)

    paired_references: bool = False
    """Also draw, from the same noise, what the reference model draws; `same-noise-distance` needs it."""

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
        """One draw a prompt, before anything is unlearned."""
        return [group.completions[0] for group in self.sample(model, prompts, 1, iteration)]
