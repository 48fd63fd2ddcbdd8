"""Images as a run writes them down: rows of gray levels, or a PNG as text."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from collapse_core import CollapseError, Content, Dataset, Pixels

Value = TypeVar("Value")

PNG = "data:image/png;base64,"
LARGEST_IN_ROWS = 64 * 64
"""Gray images of at most so many pixels are written as rows of numbers, larger or colored ones as PNG."""
THUMBNAIL = 64
"""The longest side of an image in a report, in pixels."""
MOST_PIXELS = 4096 * 4096
"""How many pixels are decoded for one."""


def to_content(image: Any) -> Content:
    """Write an image down as plain JSON data.

    Args:
        image: A uint8 array of shape (height, width, channels).
    """
    height, width, channels = image.shape
    if channels == 1 and height * width <= LARGEST_IN_ROWS:
        return image[:, :, 0].tolist()
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image[:, :, 0] if channels == 1 else image).save(file, "PNG")
    return PNG + base64.b64encode(file.getvalue()).decode()


def open_image(path: Path) -> Any:
    """Read a file with Pillow: an RGB image, upright, on white where it is transparent.

    Raises:
        CollapseError: It cannot be read, or its levels have no known range.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as file:
            image = ImageOps.exif_transpose(file)
    except UnidentifiedImageError:
        raise CollapseError(f"{path}: is no image that Pillow knows") from None
    except OSError as error:
        raise CollapseError(f"{path}: cannot be read: {error.strerror or error}") from None
    if image.mode.startswith("I;16"):
        return image.convert("I").point(lambda level: level * (1 / 257)).convert("L").convert("RGB")
    if image.mode in ("I", "F"):
        raise CollapseError(
            f"{path}: has levels of 32 bits (mode {image.mode}) of unknown range; convert it to 8 bits"
        )
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert("RGB")


def to_array(content: Content) -> Any:
    """Read an image: a uint8 array of shape (height, width, channels).

    Raises:
        CollapseError: It is neither rows of gray levels from 0 to 255 nor a PNG as a data URI.
    """
    import numpy as np

    if isinstance(content, str) and content.startswith(PNG):
        from PIL import Image

        image = np.asarray(Image.open(io.BytesIO(base64.b64decode(content[len(PNG) :]))))
        return image[:, :, None] if image.ndim == 2 else image
    try:
        rows: Any = np.asarray(content)
    except (TypeError, ValueError):
        rows = np.zeros(0)
    fits = rows.ndim in (2, 3) and rows.size > 0 and rows.dtype.kind in "iu"
    if not fits or rows.min() < 0 or rows.max() > 255:
        raise CollapseError(
            f"an image is rows of whole gray levels from 0 to 255, or text that begins with '{PNG}', "
            f"not {str(content)[:60]!r}; choose a data set of images"
        )
    return (rows[:, :, None] if rows.ndim == 2 else rows).astype(np.uint8)


def to_tensor(contents: Sequence[Content]) -> Any:
    """Read images of one size: a float32 tensor of shape (images, channels, height, width) in [-1, 1]."""
    import numpy as np
    import torch

    arrays = np.stack([to_array(content) for content in contents])
    return torch.from_numpy(arrays).permute(0, 3, 1, 2).float().div(127.5).sub(1.0)


def to_contents(images: Any) -> list[Content]:
    """Write a float array of shape (images, height, width, channels) in [0, 1] down, in 256 levels."""
    import numpy as np

    levels = np.rint(np.clip(images, 0, 1) * 255).astype(np.uint8)
    return [to_content(image) for image in levels]


def different(values: list[Value]) -> list[Value]:
    """Return what is given, if nothing is given twice: prompts are known by what they ask for."""
    if twice := [value for place, value in enumerate(values) if value in values[:place]]:
        raise ValueError(f"{twice[0]!r} is given twice")
    return values


class Images(Dataset):
    """A data set whose answers are images."""

    def picture(self, content: Content) -> Pixels | None:
        """Return the image, made small where it is large; None where it is too large to be opened."""
        if not isinstance(content, str):
            return Pixels(content)
        from PIL import Image

        file = io.BytesIO(base64.b64decode(content.removeprefix(PNG)))
        with Image.open(file, formats=["PNG"]) as image:
            if image.width * image.height > MOST_PIXELS:
                return None
            small = image.convert("RGB")
        small.thumbnail((THUMBNAIL, THUMBNAIL))
        levels = list(small.tobytes())
        pixels = [levels[place : place + 3] for place in range(0, len(levels), 3)]
        return Pixels([pixels[row : row + small.width] for row in range(0, len(pixels), small.width)])
