"""The features that need to know no domain."""

import base64
import io
from collections.abc import Iterator, Sequence
from math import sqrt
from statistics import fmean

from pydantic import PrivateAttr

from collapse_core.contracts.interfaces import Dataset, Features
from collapse_core.contracts.types import Content

PNG = "data:image/png;base64,"
"""How images that are too large for rows of numbers, or colored, are written down."""


class Flattened(Features):
    """The numbers that a content consists of, in order: one, nested lists of numbers, or a PNG's levels."""

    standardize: bool = True
    """Shift and scale each number by its mean and standard deviation over the retain data."""

    _centers: list[float] = PrivateAttr(default_factory=list)
    _scales: list[float] = PrivateAttr(default_factory=list)

    def prepare(self, data: Dataset) -> None:
        """Take the mean and the deviation of each column of the retain data; a constant one is not scaled."""
        if not self.standardize:
            return
        columns = list(zip(*(_flat(prompt.target) for prompt in data.load("retain")), strict=True))
        self._centers = [fmean(column) for column in columns]
        self._scales = [
            sqrt(fmean((value - center) ** 2 for value in column)) or 1.0
            for column, center in zip(columns, self._centers, strict=True)
        ]

    def extract(self, contents: Sequence[Content]) -> list[list[float]]:
        """Flatten and scale; before `prepare`, flatten only."""
        rows = [list(_flat(content)) for content in contents]
        if not self._scales:
            return rows
        return [
            [(x - center) / scale for x, center, scale in zip(row, self._centers, self._scales, strict=True)]
            for row in rows
        ]


def _flat(content: Content) -> Iterator[float]:
    if isinstance(content, str) and content.startswith(PNG):
        from PIL import Image

        with Image.open(io.BytesIO(base64.b64decode(content.removeprefix(PNG))), formats=["PNG"]) as image:
            yield from map(float, image.tobytes())
    elif isinstance(content, (list, tuple)):
        for piece in content:
            yield from _flat(piece)
    else:
        yield float(content)
