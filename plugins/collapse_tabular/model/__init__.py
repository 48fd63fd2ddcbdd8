"""How to get a diffusion over rows: taught from the data, or from a directory that was exported."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, Le, Lt

from collapse_core import Dataset, ExportedModel, Model, ModelLoader, Settings

LOAD = """\
import json
from safetensors.torch import load_file

weights = load_file("{}/model.safetensors")
config = json.load(open("{}/config.json"))  # what the weights mean
"""


class TeachRows(Settings):
    """Teaching by the denoising loss, before unlearning begins."""

    split: Literal["full", "retain", "forget_examples"] = "full"
    """What is taught; "retain" makes a model never trained on the subgroup."""
    steps: Annotated[int, Ge(1)] = 2000
    """Optimizer steps."""
    learning_rate: Annotated[float, Gt(0)] = 2e-3
    """The peak learning rate; it falls linearly to zero."""
    batch_size: Annotated[int, Ge(1)] = 256
    """Rows per step, drawn with replacement."""


class RowDiffusion(ModelLoader):
    """A diffusion over the columns of a row, given what a prompt says of it.

    Numbers go through their quantiles to a Gaussian, categories to one-hot vectors, and all are noised
    together (Ho et al. 2020, cosine schedule of Nichol and Dhariwal 2021). A small network with residual
    blocks predicts the velocity of numbers (Salimans and Ho 2022), and for categories the probabilities
    of the clean ones, by cross-entropy (Dieleman et al. 2022): see docs/tables.md for why.
    """

    provides: ClassVar[str] = "row-diffusion"
    works_on: ClassVar[tuple[str, ...]] = ("rows",)

    reads: ClassVar[tuple[str, ...]] = ("full", "retain", "forget_examples")

    path: str | None = None
    """A directory that was exported, to begin from; else the network begins at random."""
    teach: TeachRows | None = TeachRows()
    """How it is taught; the result is cached by the digest of everything that made it."""
    width: Annotated[int, Ge(8)] = 128
    """The width of the network's layers."""
    depth: Annotated[int, Ge(1)] = 3
    """How many residual blocks it has."""
    num_noise_levels: Annotated[int, Ge(2)] = 50
    """How many levels the noise has."""
    condition_dropout: Annotated[float, Ge(0), Lt(1)] = 0.1
    """How often each column of a prompt is left out in training, so that prompts may say less."""
    one_hot_scale: Annotated[float, Gt(0), Le(10)] = 2.0
    """How far apart categories are, in standard deviations of a number."""
    device: str = "auto"
    """A torch device, or "auto" for what accelerate finds."""

    def describe_export(self, directory: Path) -> ExportedModel | None:
        """Return what a card says of the exported model of rows."""
        return ExportedModel(
            library="collapse",
            task="other",
            load=LOAD,
            files=("config.json", "model.safetensors"),
            architecture="denoiser over coded rows",
            family="diffusion",
        )

    def load(self, data: Dataset, seed: int) -> Model:
        """Load the model, taught on the data if the recipe says so."""
        from collapse_tabular.model.loading import load_row_model

        return load_row_model(self, data, seed)
