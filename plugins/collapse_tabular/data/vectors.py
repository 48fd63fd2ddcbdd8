"""Rows as points: what distances, classifiers and judges see of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Vectors:
    """Standardized numbers, then categories as one-hot vectors of length 1/sqrt(2)."""

    numbers: Mapping[str, tuple[float, float]]
    """Mean and standard deviation by column."""
    categories: Mapping[str, tuple[Any, ...]]
    """Known values by column; one that is not known is the zero vector."""

    @classmethod
    def fit(cls, rows: Sequence[Row], leave_out: Sequence[str] = ()) -> "Vectors":
        """Learn scales and categories from rows."""
        names = [name for name in rows[0] if name not in leave_out]
        columns = {name: [row[name] for row in rows] for name in names}
        numeric = [name for name in names if not any(isinstance(value, str) for value in columns[name])]
        return cls(
            {n: (float(np.mean(columns[n])), float(np.std(columns[n])) or 1.0) for n in numeric},
            {n: tuple(sorted(set(columns[n]))) for n in names if n not in numeric},
        )

    def of(self, rows: Sequence[Row]) -> Array:
        """Return the points of rows, shape (len(rows), width)."""
        pieces = [
            (np.asarray([[float(row[name])] for row in rows]).reshape(-1, 1) - mean) / deviation
            for name, (mean, deviation) in self.numbers.items()
        ]
        for name, values in self.categories.items():
            known = np.asarray(values, dtype=object)
            column = np.asarray([row[name] for row in rows], dtype=object).reshape(-1, 1)
            pieces.append((column == known[None, :]).astype(np.float64) / np.sqrt(2))
        return np.concatenate(pieces, axis=1)


def nearest(points: Array, others: Array, block: int = 512) -> Array:
    """Return the Euclidean distance from each point to the nearest of others, shape (len(points),)."""
    squares = (others**2).sum(axis=1)
    found = []
    for start in range(0, len(points), block):
        some = points[start : start + block]
        to = (some**2).sum(axis=1)[:, None] - 2 * some @ others.T + squares
        found.append(np.sqrt(np.maximum(to.min(axis=1), 0)))
    return np.concatenate(found) if found else np.zeros(0)
