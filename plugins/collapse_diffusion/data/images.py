"""Images as a run writes them down: rows of gray levels, or a PNG as text."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from annotated_types import Ge

from collapse_core import CollapseError, Content, Dataset, Pixels, errors

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


def open_image(source: Path | bytes) -> Any:
    """Read a file, or what is in it, with Pillow: an RGB image, upright, on white where it is transparent.

    Raises:
        CollapseError: It cannot be read, or its levels have no known range.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    path = source if isinstance(source, Path) else "an image"
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as file:
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

    arrays = [to_array(content) for content in contents]
    if different_shapes := sorted({array.shape for array in arrays[1:]} - {arrays[0].shape}):
        raise CollapseError(
            f"images have different sizes, {shape_name(arrays[0].shape)} and "
            f"{shape_name(different_shapes[0])}; give the data set a 'size' to which they are resized"
        )
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).float().div(127.5).sub(1.0)


def to_contents(images: Any) -> list[Content]:
    """Write a float array of shape (images, height, width, channels) in [0, 1] down, in 256 levels."""
    import numpy as np

    if not np.isfinite(images).all():
        raise errors.outputs_not_finite("images")
    levels = np.rint(np.clip(images, 0, 1) * 255).astype(np.uint8)
    return [to_content(image) for image in levels]


def different(values: list[Value]) -> list[Value]:
    """Return what is given, if nothing is given twice: prompts are known by what they ask for."""
    if twice := [value for place, value in enumerate(values) if value in values[:place]]:
        raise ValueError(f"{twice[0]!r} is given twice")
    return values


def shape_name(shape: Sequence[int]) -> str:
    """Return the size of an image in words, from height, width and channels."""
    height, width, channels = shape
    return f"{width}x{height} pixels in {'gray' if channels == 1 else 'color'}"


def height_and_width(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    """Return the height and width that a recipe gives as one number or as both."""
    return (size, size) if isinstance(size, int) else size


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


Side = Annotated[int, Ge(1)]
Fit = Literal["crop", "pad", "stretch"]


class ImagesOnDisk(Images):
    """Images that are opened from files, and brought to one size and one kind of color."""

    size: Side | tuple[Side, Side] | None = None
    """To what images are resized: both sides, or [height, width]; by default they stay as they are."""
    fit: Fit = "crop"
    """How: the middle is cropped to the shape, the rest is padded with white, or it is stretched."""
    color: bool = True
    """Whether images are in color, or become gray."""

    def content_of(self, source: Path | bytes) -> Content:
        """Open an image, and write it down."""
        import numpy as np

        image = open_image(source)
        if shape := height_and_width(self.size):
            image = fitted(image, shape, self.fit)
        levels = np.asarray(image if self.color else image.convert("L"))
        return to_content(levels if self.color else levels[:, :, None])


def fitted(image: Any, shape: tuple[int, int], fit: Fit) -> Any:
    """Return an image of Pillow in another size, given as height and width."""
    from PIL import Image, ImageOps

    size, bilinear = (shape[1], shape[0]), Image.Resampling.BILINEAR
    if image.size == size:
        return image
    if fit == "crop":
        return ImageOps.fit(image, size, bilinear)
    return ImageOps.pad(image, size, bilinear, "white") if fit == "pad" else image.resize(size, bilinear)
