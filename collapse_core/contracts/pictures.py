"""What a content looks like, in numbers: the core draws it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Pixels:
    """An image."""

    rows: Sequence[Sequence[Any]]
    """From the top, of gray levels or of (red, green, blue), whole numbers from 0 to 255."""


@dataclass(frozen=True, slots=True)
class Sketch:
    """Points joined by lines, such as a graph or a molecule."""

    points: Sequence[tuple[float, float, str]]
    """To the right, upwards, and a short name or none; in any unit, since the drawing is made to fit."""
    lines: Sequence[tuple[int, int, int]] = ()
    """Between which two points, by their places, and in how many strokes."""


@dataclass(frozen=True, slots=True)
class Cells:
    """A row of a table."""

    cells: Mapping[str, Any]
    """A number or a text by column."""


@dataclass(frozen=True, slots=True)
class Place:
    """A point in the plane, which is drawn together with others."""

    x: float
    y: float


Picture: TypeAlias = Pixels | Sketch | Cells | Place
