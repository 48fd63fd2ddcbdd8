"""From the values of a column to numbers around zero and back."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from itertools import accumulate
from math import sqrt
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from collapse_core import CollapseError
from collapse_tabular.data.identifiers import MOST_CATEGORIES

Array = npt.NDArray[np.float64]

MOST_KNOTS = 1000
"""How many quantiles of a column are remembered."""


@dataclass(frozen=True)
class Numeric:
    """A column of numbers, sent through its quantiles to a standard Gaussian.

    A value goes to the normal quantile of its mid-rank (#smaller + #equal / 2) / n, standardized; between
    the values that are known the map is linear. A column whose values mostly repeat comes back as known
    values only, any other rounded to as many decimals as its values have.
    """

    name: str
    values: tuple[float, ...]
    """Known values, rising."""
    codes: tuple[float, ...]
    """Where they go, rising."""
    decimals: int
    """How many decimals the values have."""
    whole: bool
    """Whether they are whole numbers."""
    repeats: bool
    """Whether they mostly repeat."""

    width = 1

    @classmethod
    def fit(cls, name: str, column: Sequence[float]) -> "Numeric":
        """Learn the quantiles of a column."""
        counts = sorted(Counter(column).items())
        below = [0, *accumulate(count for _, count in counts)]
        ranks = [(start + count / 2) / len(column) for start, (_, count) in zip(below, counts, strict=False)]
        raw = [NormalDist().inv_cdf(rank) for rank in ranks]
        weights = [count / len(column) for _, count in counts]
        center = sum(w * code for w, code in zip(weights, raw, strict=True))
        spread = sqrt(sum(w * (code - center) ** 2 for w, code in zip(weights, raw, strict=True))) or 1.0
        chosen = _evenly(len(counts))
        return cls(
            name,
            tuple(float(counts[i][0]) for i in chosen),
            tuple((raw[i] - center) / spread for i in chosen),
            max(_decimals(value) for value, _ in counts),
            all(isinstance(value, int) for value, _ in counts),
            2 * len(counts) <= len(column) and len(counts) <= MOST_KNOTS,
        )

    def encode(self, column: Sequence[float]) -> Array:
        """Return the codes of values, shape (len(column),)."""
        return np.interp(np.asarray(column, dtype=np.float64), self.values, self.codes)

    def decode(self, codes: Array) -> list[float]:
        """Return the values nearest to codes."""
        if self.repeats:
            known = np.asarray(self.codes)
            places = np.searchsorted((known[1:] + known[:-1]) / 2, codes)
            found = np.asarray(self.values)[places]
        else:
            found = np.interp(codes, self.codes, self.values).round(self.decimals)
        return [int(value) if self.whole else float(value) for value in found]


@dataclass(frozen=True)
class Categorical:
    """A column of texts, each a direction of its own."""

    name: str
    values: tuple[Any, ...]
    """The categories, in order."""

    @property
    def width(self) -> int:
        """How many numbers a value takes."""
        return len(self.values)

    def places(self, column: Sequence[Any], *, unknown: int | None = None) -> list[int]:
        """Return the index of each category, `unknown` for one that is not known.

        Raises:
            CollapseError: One is not known, and there is no index for it.
        """
        known = {value: place for place, value in enumerate(self.values)}
        for value in column:
            if unknown is None and value not in known:
                raise CollapseError(
                    f"the column '{self.name}' has the value {value!r}, which the model was never trained on"
                )
        return [known.get(value, unknown or 0) for value in column]


Column = Numeric | Categorical


def fit_columns(rows: Sequence[Mapping[str, Any]]) -> list[Column]:
    """Return the columns of rows, by what their values are.

    Raises:
        CollapseError: A text column has too many different values to be categories.
    """
    return [_fit(name, [row[name] for row in rows]) for name in rows[0]]


def _fit(name: str, column: Sequence[Any]) -> Column:
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in column):
        return Numeric.fit(name, column)
    values = sorted(set(column), key=lambda value: (type(value).__name__, value))
    if len(values) > MOST_CATEGORIES:
        raise CollapseError(
            f"the column '{name}' has {len(values)} different texts, too many for categories; "
            "if it is one of numbers, fill in what is missing, else leave it out with 'drop'"
        )
    return Categorical(name, tuple(values))


def to_json(column: Column) -> dict[str, Any]:
    """Plain data from which `from_json` makes the same column."""
    return {"kind": type(column).__name__.lower()} | asdict(column)


def from_json(said: Mapping[str, Any]) -> Column:
    """Return the column that `to_json` wrote."""
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in said.items()}
    kind = fields.pop("kind")
    return Numeric(**fields) if kind == "numeric" else Categorical(**fields)


def _evenly(num: int) -> list[int]:
    """At most MOST_KNOTS places, the first and the last among them."""
    if num <= MOST_KNOTS:
        return list(range(num))
    return [round(i * (num - 1) / (MOST_KNOTS - 1)) for i in range(MOST_KNOTS)]


def _decimals(value: float) -> int:
    exponent = Decimal(str(value)).normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
