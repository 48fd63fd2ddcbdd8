"""Tables on stdout, legible on a terminal of 80 columns."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich import console, measure, table, text

from collapse_core.results.comparison import Comparison
from collapse_core.results.distance import legend
from collapse_core.results.formatting import (
    BETTER,
    format_cell,
    format_count,
    format_distance,
    format_interval,
    format_number,
    format_seconds,
    plain,
)
from collapse_core.results.results import Results
from collapse_core.results.rows import Estimate, Row
from collapse_core.results.table import metric_notes, metric_rows

FILE_WIDTH = 110
"""Columns of a table that goes to a file or a pipe."""
NARROWEST_NAME = 18
"""How narrow the names of metrics may become before columns go below the table."""
WIDE = 10_000
"""More columns than any table wants."""


@dataclass(frozen=True)
class Line:
    """A line of the table of metrics, as texts."""

    name: str
    better: str
    cells: tuple[str, ...]


def stdout() -> console.Console:
    """Where data goes."""
    out = console.Console(highlight=False)
    if not out.is_terminal:
        out.width = FILE_WIDTH
    return out


def print_metrics(out: console.Console, results: Results) -> None:
    """Metrics by model, with the 95 % interval where there is one, and what the marks in them mean.

    Where the recipe has chosen metrics for the table, the others are named below it.
    Where little room is left the intervals go below the numbers, and then further columns below the table.
    """
    headings = results.headings()
    chosen = results.headline()
    found = metric_rows(results)
    shown = [row for row in found if row.name in chosen] or found
    rows = [Line(r.name, r.better, tuple(map(format_cell, r.cells))) for r in shown]
    stacked = _width(out, metric_table(headings, rows)) > out.width
    if stacked:
        rows = [replace(row, cells=tuple(cell.replace(" (", "\n(") for cell in row.cells)) for row in rows]
    for first, last in _spans(out, headings, rows):
        part = [replace(row, cells=row.cells[first:last]) for row in rows]
        out.print(metric_table(headings[first:last], part))
    for note in metric_notes(results, only=chosen):
        out.print(note, style="dim", markup=False)
    if rest := [plain(row.name) for row in found if row not in shown]:
        out.print(f"further metrics are in the report: {', '.join(rest)}", style="dim", markup=False)


def _spans(out: console.Console, headings: Sequence[str], rows: Sequence[Line]) -> Iterator[tuple[int, int]]:
    """Which columns share a table: as many as fit next to folded names."""
    names = max((len(row.name) for row in rows), default=0)
    first = 0
    while first < len(headings):
        last = first + 1
        while last < len(headings):
            part = [replace(row, cells=row.cells[first : last + 1]) for row in rows]
            folded = max(0, names - NARROWEST_NAME)
            if _width(out, metric_table(headings[first : last + 1], part)) - folded > out.width:
                break
            last += 1
        yield first, last
        first = last


def metric_table(headings: Sequence[str], rows: Sequence[Line]) -> table.Table:
    """Metrics by model, all in one table."""
    directed = any(row.better for row in rows)
    grid = plain_table("metric", *(["better"] if directed else []), numbers=headings)
    for row in rows:
        better = [row.better.removesuffix(" is better")] if directed else []
        grid.add_row(*(text.Text(cell) for cell in (row.name, *better, *row.cells)))
    return grid


def _width(out: console.Console, grid: table.Table) -> int:
    """How many columns a table would take if nothing in it were wrapped."""
    return measure.Measurement.get(out, out.options.update_width(WIDE), grid).maximum


def plain_table(*words: str, numbers: Sequence[str] = ()) -> table.Table:
    """An empty table without rules: columns of words, then of numbers, which are never wrapped."""
    grid = table.Table(box=None, pad_edge=False)
    for word in words:
        grid.add_column(word, overflow="fold")
    for heading in numbers:
        grid.add_column(text.Text(heading), justify="right", no_wrap=True)
    return grid


# --- runs compared -----------------------------------------------------------------------------

COMPARED = (
    "Means over runs. q: 95 % interval over questions, the mean of the runs' own intervals. "
    "s: over seeds, Student's. d: distance to the baseline. Time is that of unlearning, without teaching and "
    "measuring; tokens are those sampled and those trained on."
)


def print_comparison(out: console.Console, comparison: Comparison) -> None:
    """Methods and the models to compare with, by forgetting, utility, time and tokens."""
    chosen = (comparison.forgetting, comparison.utility)
    headings = [
        f"{plain(one.name, 30)}\n{BETTER[one.direction].removesuffix(' is better')}" for one in chosen
    ]
    tokens = any(row.tokens() for row in comparison.rows)
    grid = plain_table("", "method", numbers=["runs", *headings, "time", *(["tokens"] * tokens)])
    for number, row in enumerate(comparison.rows, start=1):
        label = plain(row.label) + ("\non the front" if row.on_front else "")
        found = row.tokens().values()
        cells = [
            str(len(row.runs)),
            *("\n".join([*_estimate(row.metric(one.name)), *_distance(row, one.name)]) for one in chosen),
            format_seconds(row.seconds().value),
            *([format_count(sum(one.value for one in found)) if found else "-"] if tokens else []),
        ]
        grid.add_row(*(text.Text(cell) for cell in (str(number), label, *cells)))
    for model, row in comparison.references():
        cells = ["", *("\n".join(_estimate(row.metric(one.name, model))) for one in chosen)]
        grid.add_row("", *(text.Text(cell) for cell in (plain(row.label), *cells)))
    out.print(grid)
    marks = [row.distance(one.name).mark for row in comparison.rows for one in chosen]
    for note in (COMPARED, *legend(marks, "the baseline")):
        out.print(note, style="dim", markup=False)


def _estimate(estimate: Estimate | None) -> list[str]:
    """A number, and its intervals."""
    if estimate is None:
        return ["-"]
    intervals = (("q", estimate.questions), ("s", estimate.seeds))
    shown = [(letter, format_interval(interval)) for letter, interval in intervals]
    return [format_number(estimate.value), *(f"{letter} {said}" for letter, said in shown if said)]


def _distance(row: Row, name: str) -> list[str]:
    distance = row.distance(name)
    return [] if distance.value is None else [f"d {format_distance(distance)}"]


# --- sweeps ----------------------------------------------------------------------------------------


def print_members(out: console.Console, rows: Sequence[Mapping[str, Any]]) -> None:
    """The state of each member of a sweep, and why it failed."""
    failed = any(row["why"] for row in rows)
    grid = plain_table("run", "state", *(["why"] if failed else []))
    for row in rows:
        cells = [row["name"], row["state"], *([row["why"] or ""] if failed else [])]
        grid.add_row(*(text.Text(plain(cell, 300)) for cell in cells))
    out.print(grid)
