"""A denoiser with the codec that its rows go through."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from collapse_core import CollapseError, files
from collapse_core.torch import TorchModel
from collapse_tabular.model.codec import Codec
from collapse_tabular.model.denoiser import Denoiser

FORMAT = "collapse-rows-1"


class RowModel(TorchModel):
    """A denoiser, its codec, and its noise levels."""

    def __init__(
        self, codec: Codec, shape: Mapping[str, int], condition_dropout: float, device: torch.device
    ) -> None:
        """Make the network, at random.

        Args:
            codec: What rows and prompts are.
            shape: "width" and "depth" of the network, and "num_noise_levels".
            condition_dropout: How often a column of a prompt is left out in training.
            device: Where it computes.
        """
        said = [column.width for column in codec.said]
        super().__init__(Denoiser(codec.width, said, shape["width"], shape["depth"]).to(device))
        self.codec = codec
        self.shape = dict(shape)
        self.condition_dropout = condition_dropout

    @property
    def num_noise_levels(self) -> int:
        """How many levels the noise has."""
        return self.shape["num_noise_levels"]

    def export(self, directory: Path) -> None:
        """Write model.safetensors and config.json: the network's shape, columns, and how they are coded."""
        weights = {name: tensor.detach().cpu() for name, tensor in self.module.state_dict().items()}
        save_file(weights, directory / "model.safetensors")
        config: dict[str, Any] = {"format": FORMAT, "shape": self.shape, "codec": self.codec.to_json()}
        files.write_json(directory / "config.json", config)


def open_exported(directory: Path, condition_dropout: float, device: torch.device) -> RowModel:
    """Return the model that `export` wrote.

    Raises:
        CollapseError: The directory holds no such model.
    """
    try:
        config = files.read_json(directory / "config.json")
        known = config["format"] == FORMAT
    except (OSError, ValueError, KeyError, TypeError):
        known = False
    if not known:
        raise CollapseError(
            f"{directory} holds no exported model of rows (a config.json with 'format': '{FORMAT}'); "
            "give the 'model' directory of a finished run"
        )
    model = RowModel(Codec.from_json(config["codec"]), config["shape"], condition_dropout, device)
    model.module.load_state_dict(load_file(directory / "model.safetensors"))
    return model
