"""Pictures as a page can hold them: base64, numbers, and texts that the page escapes."""

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeAlias

from collapse_core.contracts.pictures import Cells, Picture, Pixels, Place, Sketch
from collapse_core.results.formatting import plain

LARGEST = 512
"""The longest side of an image, in pixels."""
NUM_POINTS, NUM_LINES = 300, 1000
"""How many points and lines a sketch may have."""
LONGEST = 60
"""How many characters of a cell are shown."""
PLANE, UNIT, MARGIN, GAP = 100.0, 20.0, 9.0, 2.6
"""In the units of drawings: the side of a plane, a line of a sketch, the margin, and between strokes."""

Spot = tuple[float, float]


@dataclass(frozen=True)
class Image:
    """An image."""

    png: str
    """In base64."""
    pixelated: bool
    """Whether it is so small that its pixels are to be seen."""


@dataclass(frozen=True)
class Strokes:
    """A sketch in a square."""

    box: tuple[float, float, float, float]
    """Its left and upper end, width and height."""
    strokes: Sequence[tuple[Spot, Spot]]
    dots: Sequence[Spot]
    names: Sequence[tuple[Spot, str]]


Tile: TypeAlias = Image | Strokes | Cells | Place


def tile(picture: Picture | None) -> Tile | None:
    """What a page shows of a picture, once it has been checked.

    Raises:
        Exception: It is not what it should be.
    """
    match picture:
        case Pixels(rows):
            return Image(_png(rows), pixelated=len(rows) < 64)
        case Sketch(points, lines):
            return _strokes(points, lines)
        case Cells(cells):
            return Cells({_text(column): _cell(value) for column, value in cells.items()})
        case Place(x, y):
            return Place(*_spot(x, y))
    return None


def _spot(x: Any, y: Any) -> Spot:
    if not math.isfinite(x) or not math.isfinite(y):
        raise ValueError("no place")
    return float(x), float(y)


def _cell(value: Any) -> float | str:
    """A number as it is; all else as text."""
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300:
        return int(value) if isinstance(value, int) else float(value)
    return _text(value)


def _text(value: Any, limit: int = LONGEST) -> str:
    return "".join(plain(value, limit))  # even a text that says of itself that it is safe is escaped


def _png(rows: Sequence[Sequence[Any]]) -> str:
    """A PNG of eight bits per channel, in base64."""
    from PIL import Image as Pillow

    height, width, gray = len(rows), len(rows[0]), isinstance(rows[0][0], int)
    lines = [bytes(level for level in (row if gray else chain.from_iterable(row))) for row in rows]
    if max(height, width) > LARGEST or {len(line) for line in lines} != {width if gray else 3 * width}:
        raise ValueError("no image")
    buffer = io.BytesIO()
    image = Pillow.frombytes("L" if gray else "RGB", (width, height), b"".join(lines))
    image.save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def _strokes(points: Sequence[Any], lines: Sequence[Any]) -> Strokes:
    """Lines are as long in each sketch, on average, until it is too large for that."""
    if not 0 < len(points) <= NUM_POINTS or len(lines) > NUM_LINES:
        raise ValueError("no sketch")
    spots = [_spot(x, -y) for x, y, _ in points]
    lengths = [length for i, j, _ in lines if (length := math.dist(spots[i], spots[j]))]
    scale = UNIT * len(lengths) / sum(lengths) if lengths else UNIT
    spots = [(scale * x, scale * y) for x, y in spots]
    (left, right), (top, bottom) = ((min(side), max(side)) for side in zip(*spots, strict=True))
    side = max(right - left, bottom - top, PLANE - 2 * MARGIN) + 2 * MARGIN
    names = [(spot, _text(name, 4)) for spot, (*_, name) in zip(spots, points, strict=True) if name]
    return Strokes(
        box=((left + right - side) / 2, (top + bottom - side) / 2, side, side),
        strokes=[stroke for i, j, num in lines for stroke in _parallel(spots[i], spots[j], num)],
        dots=[] if names else spots,
        names=names,
    )


def _parallel(start: Spot, end: Spot, num: int) -> list[tuple[Spot, Spot]]:
    """So many strokes from one point to another, at most three."""
    (x, y), (u, v) = start, end
    length = math.dist(start, end) or 1.0
    right, down = GAP * (y - v) / length, GAP * (u - x) / length
    sides = [number - (min(num, 3) - 1) / 2 for number in range(min(num, 3))]
    return [((x + s * right, y + s * down), (u + s * right, v + s * down)) for s in sides]
