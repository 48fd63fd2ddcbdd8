"""How alike two tables are, column by column."""

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np

Row = Mapping[str, Any]


def ks_complement(some: Sequence[float], others: Sequence[float]) -> float:
    """Return one minus the two-sample Kolmogorov-Smirnov statistic, max |F_1(x) - F_2(x)|."""
    first, second = np.sort(some), np.sort(others)
    places = np.concatenate([first, second])
    below = np.searchsorted(first, places, side="right") / len(first)
    beneath = np.searchsorted(second, places, side="right") / len(second)
    return 1.0 - float(np.abs(below - beneath).max())


def tv_complement(some: Sequence[Any], others: Sequence[Any]) -> float:
    """Return one minus the total variation distance, sum |p(x) - q(x)| / 2."""
    first, second = Counter(some), Counter(others)
    gaps = [abs(first[x] / len(some) - second[x] / len(others)) for x in first.keys() | second.keys()]
    return 1.0 - sum(gaps) / 2


def column_complements(some: Sequence[Row], others: Sequence[Row]) -> dict[str, float]:
    """By column of the first table: its KS complement if it holds numbers, else its TV complement."""
    found = {}
    for name in some[0]:
        columns = [row[name] for row in some], [row[name] for row in others]
        texts = any(isinstance(value, str) for column in columns for value in column)
        found[name] = (tv_complement if texts else ks_complement)(*columns)
    return found


def marginals(some: Sequence[Row], others: Sequence[Row]) -> float:
    """Return the mean of the columns' complements, 1 where the tables' columns are distributed alike."""
    return fmean(column_complements(some, others).values())
