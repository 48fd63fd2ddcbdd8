"""Making a class-conditional model, and teaching it, once for each digest."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import diffusers
import torch

from collapse_core import CollapseError, Content, Dataset, derive_seed, files
from collapse_core.torch import pick_device, seeded, taught
from collapse_diffusion.data.images import to_tensor
from collapse_diffusion.model import ClassDiffusion
from collapse_diffusion.model.class_diffusion import ClassDiffusionModel
from collapse_diffusion.model.teaching import teach


def load_class_diffusion(loader: ClassDiffusion, data: Dataset, seed: int) -> ClassDiffusionModel:
    """Teach what a recipe describes, or read what was taught before."""
    assert loader.teach is not None
    settings = loader.teach
    examples = [(prompt.content, prompt.target) for prompt in data.load(settings.split)]
    classes, device = _classes(data), pick_device(loader.device)

    def make(directory: Path) -> None:
        images = to_tensor([image for _, image in examples])
        model = _blank(loader, classes, images.shape, derive_seed(seed, "weights"))
        labels = model.labels([name for name, _ in examples])
        teach(model, images, labels, settings, derive_seed(seed, "teach"))
        model.export(directory)

    directory = taught(
        make,
        {
            "examples": examples,
            "classes": classes,
            "loader": loader.model_dump(
                mode="json", exclude={"use", "device", "path", "revision", "classes"}
            ),
        },
        code=Path(__file__).parent,
        device=device,
        seed=seed,
        libraries=["diffusers"],
    )
    return _read(directory, device)


def _classes(data: Dataset) -> list[Content]:
    """Return every class there is a prompt for, also of those that are not taught."""
    splits = [data.load(split, targets=False) for split in ("forget", "retain")]
    return sorted({prompt.content for prompts in splits for prompt in prompts}, key=str)


def _blank(
    loader: ClassDiffusion, classes: Sequence[Content], shape: Sequence[int], seed: int
) -> ClassDiffusionModel:
    num_levels = len(loader.unet.channels)
    if any(side % 2 ** (num_levels - 1) for side in shape[-2:]):
        raise CollapseError(
            f"images of {shape[-1]}x{shape[-2]} pixels cannot be halved {num_levels - 1} times, as "
            f"{num_levels} 'unet.channels' do; give the data set another 'size', or fewer channels"
        )
    attends = [loader.unet.attention and level == num_levels - 1 for level in range(num_levels)]
    with seeded(seed):
        module = diffusers.UNet2DModel(
            sample_size=shape[-1] if shape[-1] == shape[-2] else tuple(shape[-2:]),
            in_channels=shape[1],
            out_channels=shape[1],
            block_out_channels=loader.unet.channels,
            layers_per_block=loader.unet.layers,
            down_block_types=["AttnDownBlock2D" if attend else "DownBlock2D" for attend in attends],
            up_block_types=["AttnUpBlock2D" if attend else "UpBlock2D" for attend in reversed(attends)],
            add_attention=loader.unet.attention,
            norm_num_groups=8,
            num_class_embeds=len(classes) + 1,
        )
    # By keyword: diffusers takes what is given by position for a default, and drops it on conversion.
    scheduler = diffusers.DDPMScheduler(
        num_train_timesteps=loader.timesteps, beta_schedule="squaredcos_cap_v2"
    )
    return ClassDiffusionModel(module.to(pick_device(loader.device)), scheduler, classes)


def _read(directory: Path, device: torch.device) -> ClassDiffusionModel:
    module: Any = diffusers.UNet2DModel.from_pretrained(directory / "unet")
    scheduler = diffusers.DDPMScheduler.from_pretrained(directory / "scheduler")
    return ClassDiffusionModel(module.to(device), scheduler, files.read_json(directory / "classes.json"))
