"""How to get an image diffusion model: made and taught from the data, or from a pretrained pipeline."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, Le, Lt
from pydantic import Field

from collapse_core import Dataset, Model, ModelLoader, Settings


class Unet(Settings):
    """The size of the denoising network, a diffusers UNet2DModel."""

    channels: Annotated[list[Annotated[int, Ge(8)]], Field(min_length=1)] = [16, 32]
    """Channels at each resolution; each next one halves height and width."""
    layers: Annotated[int, Ge(1)] = 1
    """Residual layers at each resolution."""
    attention: bool = False
    """Whether the lowest resolution attends to itself."""


class TeachImages(Settings):
    """Teaching by the denoising loss, before unlearning begins."""

    split: str = "full"
    """What is taught."""
    steps: Annotated[int, Ge(1)] = 1000
    """Optimizer steps."""
    batch_size: Annotated[int, Ge(1)] = 64
    """Images per step."""
    learning_rate: Annotated[float, Gt(0)] = 4e-3
    """AdamW's peak learning rate; it falls linearly to zero."""
    warmup: Annotated[float, Ge(0), Le(1)] = 0.05
    """The share of the steps over which the learning rate rises."""
    null_share: Annotated[float, Ge(0), Lt(1)] = 0.1
    """How often the class is withheld, so that sampling can be guided (Ho and Salimans 2022)."""
    average: Annotated[float, Ge(0), Lt(1)] = 0.99
    """The decay of the moving average of the weights that is kept; 0 keeps the last weights."""


class ClassDiffusion(ModelLoader):
    """A class-conditional diffusion model in pixels: a UNet2DModel of diffusers, taught by the recipe.

    Noise is predicted (Ho et al. 2020) on a cosine schedule (Nichol and Dhariwal 2021). A class that is
    not in the data that is taught has an embedding, which stays random.
    """

    provides: ClassVar[str] = "image-diffusion"
    works_on: ClassVar[tuple[str, ...]] = ("class-images",)

    reads: ClassVar[tuple[str, ...]] = ("full", "retain")

    unet: Unet = Unet()
    """The size of the network."""
    timesteps: Annotated[int, Ge(2)] = 200
    """Steps of the noise schedule; sampling may take fewer."""
    teach: TeachImages = TeachImages()
    """How the model is taught; the result is cached by the digest of everything that made it."""
    device: str = "auto"
    """A torch device, or "auto" for what accelerate finds."""

    def load(self, data: Dataset, seed: int) -> Model:
        """Teach the model, or fetch what was taught before."""
        from collapse_diffusion.model.loading import load_class_diffusion

        return load_class_diffusion(self, data, seed)

    def provenance(self) -> Mapping[str, object]:
        """Return the model is made by the project, from the recipe's data and seed."""
        from collapse_diffusion.model.sources import own_source

        return {"made": "class-diffusion", "by": own_source()}


class Lora(Settings):
    """Low-rank adapters of the denoising network (Hu et al. 2021), by peft; nothing else is trained."""

    rank: Annotated[int, Ge(1)] = 8
    """The rank of each adapter."""
    alpha: Annotated[float, Gt(0)] = 8
    """The scale of the adapters; they are multiplied by alpha / rank."""
    targets: list[str] = ["to_q", "to_k", "to_v", "to_out.0"]
    """Which layers are adapted, by the end of their names; by default those of attention."""


class TextToImage(ModelLoader):
    """A text-to-image pipeline of diffusers, from a directory or the hub, trained by low-rank adapters.

    Any pipeline will do that can be called with prompts and generators, and has `scheduler`, `vae`,
    `encode_prompt`, and a `unet`, or a `transformer` that takes pooled projections: those of Stable
    Diffusion 1, 2, XL and 3, and those like them. Noise prediction or flow matching, as the scheduler says.
    """

    provides: ClassVar[str] = "image-diffusion"
    works_on: ClassVar[tuple[str, ...]] = ("caption-images", "class-images")

    path: str
    """A directory that holds a pipeline, or a name on the hub."""
    revision: str = "main"
    """The revision on the hub."""
    size: Annotated[int, Ge(8)] | None = None
    """Height and width of the images in pixels; by default what the pipeline was made for."""
    lora: Lora = Lora()
    """The adapters."""
    compute: Literal["float32", "bfloat16", "float16"] = "float32"
    """The precision of what is not trained; the adapters stay in float32."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass, to save memory."""
    device: str = "auto"
    """A torch device, or "auto" for what accelerate finds."""

    def load(self, data: Dataset, seed: int) -> Model:
        """Open the pipeline, and add adapters that change nothing yet."""
        from collapse_diffusion.model.text_to_image import load_text_to_image

        return load_text_to_image(self, seed)

    def provenance(self) -> Mapping[str, object]:
        """Return digests of local files; the hub's name and revision otherwise."""
        from collapse_diffusion.model.sources import provenance_of

        return provenance_of(self.path, self.revision)
