"""A comparison -> one self-contained HTML page: the front, the numbers, every metric, the runs."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from collapse_core.report.page import fill, write_page
from collapse_core.report.scatter import Dot, draw_dots
from collapse_core.results.comparison import Choice, Comparison
from collapse_core.results.formatting import BETTER, format_number
from collapse_core.results.results import Results
from collapse_core.results.rows import Estimate, Row


def write_comparison(comparison: Comparison, to: Path) -> None:
    """Write a comparison as a page that asks for nothing from anywhere; the file is replaced."""
    write_page(render(comparison), to)


def render(comparison: Comparison) -> str:
    """The page as HTML."""
    return fill(
        "compare.html", title=f"{len(comparison.rows)} methods side by side", **compared(comparison, _no_link)
    )


def _no_link(run: Results) -> str:
    return ""


def compared(comparison: Comparison, link: Callable[[Results], str]) -> dict[str, Any]:
    """What the templates show of a comparison.

    Args:
        comparison: The rows.
        link: Where a run is shown; empty where it is not.
    """
    dots = [*_row_dots(comparison, link), *_reference_dots(comparison)]
    signs = comparison.forgetting.sign, comparison.utility.sign
    view_box, drawing = draw_dots(dots, signs) if dots else ("", "")
    return {
        "notes": comparison.notes,
        "axes": [_axis(comparison.forgetting), _axis(comparison.utility)],
        "dots": dots,
        "view_box": view_box,
        "drawing": drawing,
        "rows": [
            _row(number, row, comparison) | {"link": _row_link(number, row, link)}
            for number, row in enumerate(comparison.rows, start=1)
        ],
        "references": [
            {"letter": letter, "model": row.label, "cells": _chosen(row, model, comparison)}
            for letter, (model, row) in zip(_letters(), comparison.references(), strict=False)
        ],
        "tokens": any(row.tokens() for row in comparison.rows),
        "labels": [row.label for row in comparison.rows],
        "metrics": list(_all_metrics(comparison.rows)),
        "runs": [(row.label, [(_run(run), link(run)) for run in row.runs]) for row in comparison.rows],
    }


def _axis(choice: Choice) -> dict[str, str]:
    return {"name": choice.name, "better": BETTER[choice.direction]}


# --- dots ------------------------------------------------------------------------------------------


def _row_dots(comparison: Comparison, link: Callable[[Results], str]) -> Iterator[Dot]:
    for place, row in enumerate(comparison.rows):
        for dot in _dots(str(place + 1), row.label, row, "after", comparison, place):
            yield replace(dot, link=_row_link(place + 1, row, link))


def _row_link(number: int, row: Row, link: Callable[[Results], str]) -> str:
    """Where a row leads to: to its run, or to the list of its runs further down."""
    first = link(row.runs[0])
    return f"#runs-{number}" if first and len(row.runs) > 1 else first


def _reference_dots(comparison: Comparison) -> list[Dot]:
    """A dot for each model to compare with; one for all that are at the same place."""
    found: dict[tuple[str, str], Dot] = {}
    for letter, (model, row) in zip(_letters(), comparison.references(), strict=False):
        for dot in _dots(letter, row.label, row, model, comparison, None):
            place = format_number(dot.x), format_number(dot.y)
            if there := found.get(place):
                dot = replace(there, number=f"{there.number}, {letter}", name=f"{there.name}, {dot.name}")
            found[place] = dot
    return list(found.values())


def _letters() -> Iterator[str]:
    """A to Z, and then AA to ZZ."""
    yield from ascii_uppercase
    yield from map("".join, product(ascii_uppercase, repeat=2))


def _dots(
    number: str, name: str, row: Row, model: str, comparison: Comparison, place: int | None
) -> Iterator[Dot]:
    """The dot of a row, if both its coordinates are known."""
    x, y = (row.metric(choice.name, model) for choice in (comparison.forgetting, comparison.utility))
    if x and y and math.isfinite(x.value) and math.isfinite(y.value):
        spreads = x.seeds or x.questions, y.seeds or y.questions
        is_reference = place is None
        yield Dot(number, name, x.value, y.value, *spreads, row.on_front, is_reference, place or 0)


# --- tables ----------------------------------------------------------------------------------------


def _row(number: int, row: Row, comparison: Comparison) -> dict[str, Any]:
    return {
        "number": number,
        "label": row.label,
        "runs": len(row.runs),
        "cells": _chosen(row, "after", comparison),
        "distance": row.distance(comparison.forgetting.name),
        "seconds": row.seconds(),
        "tokens": row.tokens(),
        "on_front": row.on_front,
    }


def _chosen(row: Row, model: str, comparison: Comparison) -> list[Estimate | None]:
    return [row.metric(one.name, model) for one in (comparison.forgetting, comparison.utility)]


def _all_metrics(rows: Sequence[Row]) -> Iterator[tuple[str, list[Estimate | None]]]:
    for name in dict.fromkeys(name for row in rows for name in row.metrics()):
        yield name, [row.metric(name) for row in rows]


def _run(run: Results) -> str:
    return f"{run.directory} (seed {run.recipe.get('seed', 0)})"
