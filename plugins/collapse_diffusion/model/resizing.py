"""Images of any sizes as tensors of one size."""

from collections.abc import Sequence
from typing import Literal

import torch

from collapse_core import Content
from collapse_diffusion.data.images import to_tensor


def resized(
    contents: Sequence[Content], size: tuple[int, int], fit: Literal["crop", "stretch"]
) -> torch.Tensor:
    """Return images in [-1, 1], of shape (images, 3, height, width).

    Args:
        contents: Images of any sizes, gray or in color.
        size: Height and width.
        fit: Whether the middle of the image is cropped to the shape, or it is stretched.
    """
    found = []
    for content in contents:
        image = to_tensor([content]).expand(-1, 3, -1, -1)
        if fit == "crop":
            image = _middle(image, size)
        found.append(torch.nn.functional.interpolate(image, size, mode="bilinear", antialias=True))
    return torch.cat(found)


def _middle(image: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Return the largest part of the middle that has the shape of `size`."""
    height, width = image.shape[-2:]
    new_height = min(height, max(1, round(width * size[0] / size[1])))
    new_width = min(width, max(1, round(height * size[1] / size[0])))
    top, left = (height - new_height) // 2, (width - new_width) // 2
    return image[..., top : top + new_height, left : left + new_width]
