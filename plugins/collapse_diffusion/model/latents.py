"""Images to latents of an autoencoder, as its pipeline takes them back."""

from typing import Any

import torch

from collapse_core import CollapseError


@torch.no_grad()
def encode(vae: Any, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return latents as the denoising network knows them: drawn, shifted and scaled.

    Args:
        vae: An autoencoder of diffusers.
        images: Of shape (images, channels, height, width) in [-1, 1]; gray ones become three channels.
        generator: Draws from the autoencoder's distribution, if it has one; on the CPU.
    """
    found = vae.encode(images.expand(-1, 3, -1, -1).to(vae.device, vae.dtype))
    if hasattr(found, "latents"):  # as of AutoencoderTiny
        latents = found.latents
    else:
        spread = found.latent_dist
        noise = torch.randn(spread.mean.shape, generator=generator).to(spread.mean)
        latents = spread.mean + spread.std * noise
    config: Any = vae.config
    if config.get("latents_mean") is not None and config.get("latents_std") is not None:
        mean, std = (
            torch.tensor(config[key]).view(1, -1, 1, 1).to(latents) for key in ("latents_mean", "latents_std")
        )
        scaled: torch.Tensor = (latents - mean) * config.scaling_factor / std
        return scaled
    shifted = latents - (config.get("shift_factor") or 0.0)
    returned: torch.Tensor = shifted * config.scaling_factor
    return returned


def check_latents(vae: Any, path: str, *, network_channels: int, takes_mean: bool) -> None:
    """Refuse an autoencoder whose latents the network or the pipeline does not take as it gives them.

    Raises:
        CollapseError: It says which number does not fit.
    """
    made = vae.config.latent_channels
    if network_channels != made:
        raise CollapseError(
            f"the denoising network of {path} takes {network_channels} channels, and its autoencoder makes "
            f"{made}: it was made for inpainting or editing, which needs more than a caption; give one "
            "that draws images"
        )
    has = [key for key in ("latents_mean", "latents_std") if vae.config.get(key) is not None]
    if has and (len(has) < 2 or not takes_mean):
        raise CollapseError(
            f"the autoencoder of {path} has '{has[0]}', which this pipeline ignores when it draws; give a "
            "pipeline like Stable Diffusion XL, or an autoencoder without it"
        )
