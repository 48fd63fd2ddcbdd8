"""Runs compared: those that differ in their seed alone are one row, and their spread an interval."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from collapse_core.errors import CollapseError
from collapse_core.results.distance import COLUMN
from collapse_core.results.pareto import pareto_front
from collapse_core.results.results import Results, load_results
from collapse_core.results.rows import Row, rows_of
from collapse_core.runtime.digests import digest

Way = Literal["up", "down"]
WAYS: tuple[Way, ...] = ("up", "down")


@dataclass(frozen=True)
class Choice:
    """Which metric is looked at, and which way it is better."""

    name: str
    direction: Way

    @property
    def sign(self) -> int:
        """What turns the metric into more is better."""
        return 1 if self.direction == "up" else -1


@dataclass(frozen=True)
class Comparison:
    """Rows, in the order in which their runs were given, and what is looked at in them."""

    rows: tuple[Row, ...]
    forgetting: Choice
    utility: Choice
    notes: tuple[str, ...]
    """What to know before one believes it, a sentence each."""

    def references(self) -> list[tuple[str, Row]]:
        """The models to compare with, the reference model and baselines: each with runs that measured it."""
        found: dict[tuple[str, str], list[Results]] = {}
        for run in (run for row in self.rows for run in row.runs):
            for model in ("before", run.baseline()):
                if model and run.metric(self.forgetting.name, model):
                    found.setdefault((model, _reference_digest(run, model)), []).append(run)
        return [
            (model, Row(self._called(model, runs, found), tuple(runs))) for (model, _), runs in found.items()
        ]

    def _called(self, model: str, runs: Sequence[Results], found: Mapping[tuple[str, str], Any]) -> str:
        """The model's name; where several have it, with the numbers of the rows that it belongs to."""
        if sum(other == model for other, _ in found) == 1:
            return model
        numbers = [n for n, row in enumerate(self.rows, start=1) if any(run in row.runs for run in runs)]
        return f"{model} ({', '.join(map(str, numbers))})"


def compare(directories: Sequence[Path], forgetting: str | None, utility: str | None) -> Comparison:
    """Read runs and compare them.

    Args:
        directories: Run directories, or directories that hold some.
        forgetting: The metric of forgetting, as "name", or "name:up" where its direction is not known.
        utility: That of utility.

    Raises:
        CollapseError: There is nothing to compare, or no such metric.
    """
    paths = {path.resolve(): path for directory in directories for path in _runs_in(directory)}
    found = [load_results(path) for path in paths.values()]
    runs = [run for run in found if _is_finished(run)]
    notes = [
        f"{run.directory} is left out: {_how_far(run)}; go on with 'collapse resume {run.directory}'"
        for run in found
        if not _is_finished(run)
    ]
    notes += [f"{run.directory} was {run.scrub_note()}" for run in runs if run.scrubbed]
    if not runs:
        raise CollapseError("; ".join(["there is no finished run to compare", *notes]))
    chosen = [
        _choice(runs, given or default, option)
        for option, given, default in (
            ("--forgetting", forgetting, "unlearn_quality"),
            ("--utility", utility, "utility"),
        )
    ]
    rows = _with_front(rows_of(runs), chosen[0], chosen[1])
    return Comparison(rows, chosen[0], chosen[1], (*notes, *_differences(rows)))


def _runs_in(directory: Path) -> list[Path]:
    """The directory itself, or the runs that lie in it, as a sweep leaves them."""
    inside = sorted(path.parent for path in directory.glob("*/resolved.json"))
    return inside if inside and not (directory / "resolved.json").exists() else [directory]


def _is_finished(run: Results) -> bool:
    return run.status.get("status") == "finished"


def _how_far(run: Results) -> str:
    done, of = len(run.journal), run.recipe.get("iterations", "?")
    return f"{run.status.get('status', 'not started')} after {done} of {of} iterations"


def _choice(runs: Sequence[Results], asked: str, option: str) -> Choice:
    name, said = asked, None
    for way in WAYS:
        if asked.endswith(f":{way}"):
            name, said = asked.removesuffix(f":{way}"), way
    found = [metric for run in runs if (metric := run.metric(name, "after"))]
    if not found:
        names = ", ".join(dict.fromkeys(name for run in runs for name in run.metrics()))
        there = f"choose another with {option}: {names}" if names else "nothing was; see 'collapse eval'"
        raise CollapseError(f"the metric '{name}' was measured in none of these runs; {there}")
    direction = said or found[0].direction
    if direction == "none":
        raise CollapseError(
            f"which way '{name}' is better is not known; write {option} {name}:up or {option} {name}:down"
        )
    return Choice(name, direction)


# --- the front -------------------------------------------------------------------------------------


def _with_front(rows: Sequence[Row], forgetting: Choice, utility: Choice) -> tuple[Row, ...]:
    placed = {i: place for i, row in enumerate(rows) if (place := _place(row, forgetting, utility))}
    indices = list(placed)
    front = {indices[i] for i in pareto_front([placed[i] for i in indices])}
    return tuple(replace(row, on_front=i in front) for i, row in enumerate(rows))


def _place(row: Row, forgetting: Choice, utility: Choice) -> tuple[float, float] | None:
    """Forgetting and utility, more is better; forgetting beyond the baseline counts as being there."""
    forgot, useful = row.metric(forgetting.name), row.metric(utility.name)
    if forgot is None or useful is None:
        return None
    baseline = row.metric(forgetting.name, row.baseline() or "")
    reached = forgetting.sign * forgot.value
    goal = forgetting.sign * baseline.value if baseline else reached
    place = _rounded(min(reached, goal)), _rounded(utility.sign * useful.value)
    return place if all(map(math.isfinite, place)) else None


def _rounded(value: float) -> float:
    """To twelve digits: rounding errors must not decide which of two equal means is larger."""
    return float(f"{value:.12g}")


# --- what to know before one believes it -----------------------------------------------------------


def _differences(rows: Sequence[Row]) -> Iterator[str]:
    """What the runs do not have in common, though the comparison takes it for granted."""
    runs = [run for row in rows for run in row.runs]
    for row in rows:
        if len(set(row.seeds)) < len(row.seeds):
            same = f"several runs of '{row.label}' have the same seed"
            yield f"{same}, so their interval over seeds is too narrow"
    if _several(runs, lambda run: [run.recipe.get("data"), run.environment.get("data")]):
        yield "the runs were not made on the same data, so their metrics answer different questions"
    if _several(runs, lambda run: [run.recipe.get("model"), run.environment.get("model")]):
        yield "the runs did not begin with the same model; compare each with its own 'before'"
    if _several(runs, lambda run: run.recipe.get("evaluate", {}).get("with")):
        yield "the runs were not measured with the same evaluators, or not with the same settings"
    if _several(runs, lambda run: run.environment.get("hardware")):
        yield "the runs were made on different machines, so their times cannot be compared"


def _several(runs: Sequence[Results], of: Callable[[Results], Any]) -> bool:
    return len({digest(of(run)) for run in runs}) > 1


def _reference_digest(run: Results, model: str) -> str:
    loader = run.recipe.get("model") if model == "before" else run.recipe["evaluate"]["baselines"].get(model)
    return digest([run.recipe.get("data"), loader])


def to_json(comparison: Comparison) -> dict[str, Any]:
    """The comparison as plain data."""
    return {
        "forgetting": {"metric": comparison.forgetting.name, "direction": comparison.forgetting.direction},
        "utility": {"metric": comparison.utility.name, "direction": comparison.utility.direction},
        "rows": [_row_json(row) for row in comparison.rows],
        "references": [
            {"model": model, "metrics": _metrics_json(row, model)} for model, row in comparison.references()
        ],
        "notes": list(comparison.notes),
    }


def _row_json(row: Row) -> dict[str, Any]:
    return {
        "label": row.label,
        "runs": [str(run.directory) for run in row.runs],
        "seeds": row.seeds,
        "on_front": row.on_front,
        "metrics": {
            name: found | {COLUMN: row.distance(name).value, "beyond": row.distance(name).mark}
            for name, found in _metrics_json(row, "after").items()
        },
        "seconds": row.seconds().to_json(),
        "tokens": {key: count.to_json() for key, count in row.tokens().items()},
    }


def _metrics_json(row: Row, model: str) -> dict[str, Any]:
    return {name: found.to_json() for name in row.metrics() if (found := row.metric(name, model))}
