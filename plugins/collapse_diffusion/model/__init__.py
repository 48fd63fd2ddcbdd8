"""How to get an image diffusion model: made and taught from the data, or from a pretrained pipeline."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, Le, Lt
from pydantic import Field, model_validator

from collapse_core import Dataset, ExportedModel, Model, ModelLoader, Settings

Side = Annotated[int, Ge(8)]


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
    """A class-conditional diffusion model: a UNet2DModel taught by the recipe, or a pretrained model.

    Taught, noise is predicted (Ho et al. 2020) on a cosine schedule (Nichol and Dhariwal 2021), and a class
    that is not in the data that is taught has an embedding, which stays random. With a path, a pipeline of
    diffusers is opened: a UNet2DModel with classes or without, or a DiT; all of its weights are trained.
    """

    provides: ClassVar[str] = "image-diffusion"
    works_on: ClassVar[tuple[str, ...]] = ("class-images",)

    reads: ClassVar[tuple[str, ...]] = ("full", "retain")

    unet: Unet = Unet()
    """The size of the network."""
    timesteps: Annotated[int, Ge(2)] = 200
    """Steps of the noise schedule; sampling may take fewer."""
    teach: TeachImages | None = TeachImages()
    """How the model is taught; the result is cached by the digest of everything that made it."""
    path: str | None = None
    """A directory that holds a pipeline, or a name on the hub; then write `teach: null`."""
    revision: str = "main"
    """The revision on the hub."""
    classes: list[str | int] | None = None
    """The classes of a pretrained model by embedding; by default as it says, or 0, 1, ..."""
    device: str = "auto"
    """A torch device, or "auto" for what accelerate finds."""

    @model_validator(mode="after")
    def _taught_or_opened(self) -> "ClassDiffusion":
        if (self.teach is None) == (self.path is None):
            raise ValueError("either taught or opened; give 'teach', or 'path' with 'teach: null'")
        return self

    def load(self, data: Dataset, seed: int) -> Model:
        """Teach the model, fetch what was taught before, or open a pretrained one."""
        if self.path is not None:
            from collapse_diffusion.model.opening import open_class_diffusion

            return open_class_diffusion(self, data)
        from collapse_diffusion.model.loading import load_class_diffusion

        return load_class_diffusion(self, data, seed)

    def describe_export(self, directory: Path) -> ExportedModel | None:
        """Return what a card says of the exported pipeline."""
        from collapse_diffusion.model.handover import describe

        return describe(directory, self.path, "unconditional-image-generation")

    def provenance(self) -> Mapping[str, object]:
        """Return digests of a pretrained model's files; of a taught one, that the project made it."""
        from collapse_diffusion.model.sources import own_source, provenance_of

        if self.path is not None:
            return provenance_of(self.path, self.revision)
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
    variant: str | None = None
    """Which files of weights are read, such as fp16; by default plain ones, or fp16 if there are none."""
    size: Side | tuple[Side, Side] | None = None
    """Both sides of the images in pixels, or [height, width]; by default what the pipeline was made for."""
    fit: Literal["crop", "stretch"] = "crop"
    """How images of another shape are brought to it: the middle is cropped, or they are stretched."""
    safety_checker: bool = True
    """Whether the pipeline's safety checker, if it has one, is asked; what it blackens is drawn again."""
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

    def describe_export(self, directory: Path) -> ExportedModel | None:
        """Return what a card says of the exported pipeline."""
        from collapse_diffusion.model.handover import describe

        return describe(directory, self.path, "text-to-image")

    def provenance(self) -> Mapping[str, object]:
        """Return digests of local files; the hub's name and revision otherwise."""
        from collapse_diffusion.model.sources import provenance_of

        return provenance_of(self.path, self.revision)
