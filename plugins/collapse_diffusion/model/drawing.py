"""The settings that an image is drawn with."""

from typing import Annotated

from annotated_types import Ge, Le

from collapse_core import Settings


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
