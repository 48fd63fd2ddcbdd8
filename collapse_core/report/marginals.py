"""How the columns of tables are distributed, side by side: five quantiles of numbers, shares of texts."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from collapse_core.report.drawing import COLORS

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
Row = Mapping[str, Any]


def marginals(columns: Sequence[str], tables: Mapping[str, Sequence[Row]]) -> list[dict[str, Any]]:
    """Each column in all tables, on one scale.

    Args:
        columns: The columns.
        tables: Their rows, by what to call each table.
    """
    empty: dict[str, Any] = {"ends": None, "strips": {}, "bars": {}, "colors": {}}
    return [
        {"name": column}
        | empty
        | _column({name: [row.get(column) for row in rows] for name, rows in tables.items()})
        for column in columns
    ]


def _column(values: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    known = {name: [value for value in some if value is not None] for name, some in values.items()}
    texts = any(isinstance(value, str) for some in known.values() for value in some)
    return _bars(known) if texts else _strips(known)


def _strips(values: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """For each table the quantiles of its numbers, and where they lie between 0 and 100."""
    found = {name: [_quantile(sorted(some), q) for q in QUANTILES] for name, some in values.items() if some}
    every = [value for quantiles in found.values() for value in quantiles]
    low, high = min(every, default=0.0), max(every, default=0.0)
    scale = 100 / ((high - low) or 1.0)
    return {
        "ends": (low, high) if every else None,
        "strips": {
            name: {"at": [scale * (v - low) for v in qs], "median": qs[2]} for name, qs in found.items()
        },
    }


def _quantile(ranked: Sequence[float], share: float) -> float:
    return ranked[round(share * (len(ranked) - 1))]


def _bars(values: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """For each table the shares of the commonest texts of all tables, which differ in color."""
    counts = {name: Counter(map(str, some)) for name, some in values.items() if some}
    commonest = [text for text, _ in sum(counts.values(), Counter()).most_common(len(COLORS))]
    colors = dict(zip(commonest, COLORS, strict=False))
    return {"colors": colors, "bars": {name: list(_parts(count, colors)) for name, count in counts.items()}}


def _parts(count: Counter[str], colors: Mapping[str, str]) -> Any:
    """Where the part of each text begins, how long it is of 100, and its color."""
    begin = 0.0
    for text, color in colors.items():
        share = 100 * count[text] / count.total()
        yield {"begin": begin, "share": share, "color": color, "text": text}
        begin += share
