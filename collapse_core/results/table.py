"""The table of metrics: a row for each metric, a column for each model, and the distance at the end."""

from collections.abc import Collection
from dataclasses import dataclass

from collapse_core.contracts.types import Metric
from collapse_core.results.distance import Distance, beyond, distance, legend
from collapse_core.results.formatting import BETTER, plain
from collapse_core.results.results import Results

Cell = Metric | Distance | None


@dataclass(frozen=True)
class MetricRow:
    """A line of the table of metrics."""

    name: str
    better: str
    """Which way is better, in words; empty where neither is."""
    cells: tuple[Cell, ...]
    """The metric of each model, and the distance, in the order of `Results.headings`."""


def metric_rows(*runs: Results) -> list[MetricRow]:
    """Metrics by run and model, those first that the recipes have chosen for their table.

    The distance to the baseline of a run comes after its models.
    """
    rows = []
    measured = dict.fromkeys(name for run in runs for name in run.metrics())
    chosen = [name for run in runs for name in run.headline() if name in measured]
    for name in dict.fromkeys([*chosen, *measured]):
        found = [run.metric(name, model) for run in runs for model in run.models()]
        better = next((BETTER.get(metric.direction, "") for metric in found if metric), "")
        rows.append(MetricRow(name, better, tuple(cell for run in runs for cell in _cells(run, name))))
    return rows


def _cells(run: Results, name: str) -> list[Cell]:
    cells: list[Cell] = [run.metric(name, model) for model in run.models()]
    return [*cells, _distance(run, name)] if run.baseline() else cells


def _distance(run: Results, name: str) -> Distance:
    before, after, baseline = (
        run.metric(name, model) for model in ("before", run.latest(), run.baseline() or "")
    )
    return Distance(distance(after, baseline), beyond(before, after, baseline))


def metric_notes(*runs: Results, only: Collection[str] = ()) -> list[str]:
    """What these runs' table of metrics does not say itself: its marks, and what it lacks and why.

    Args:
        runs: The runs that the table is about.
        only: The metrics that the table has where they were measured; by default all.
    """
    notes = [
        note
        for run in runs
        if (baseline := run.baseline())
        for note in legend(
            [_distance(run, name).mark for name in run.metrics() if not only or name in only],
            f"the baseline '{plain(baseline, 60)}'",
        )
    ]
    notes += [
        f"{plain(', '.join(lacking))}: not measured, {plain(reason)}"
        for run in runs
        for reason, names in run.missing().items()
        if (lacking := [name for name in names if not only or name in only])
    ]
    known = {name for run in runs for names in (run.metrics(), *run.missing().values()) for name in names}
    notes += [
        f"{plain(name)}: not measured, no evaluator here gives it" for name in only if name not in known
    ]
    notes += [
        f"{plain(', '.join(names))}: {plain(note, 300)}"
        for run in runs
        for note, names in run.notes().items()
    ]
    return list(dict.fromkeys(notes))
