"""Which curves of a run, or of several, are drawn, and which of them together."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from collapse_core.report.drawing import COLORS, MAX_LINES, Line, Point, draw
from collapse_core.results.formatting import BETTER
from collapse_core.results.results import Results

MAX_CHARTS = 12
SAME_SCALE = 10.0
"""How many times larger one metric may be than another in the same chart."""


@dataclass(frozen=True)
class Chart:
    """Some lines of one run, drawn."""

    lines: Sequence[Line]
    view_box: str
    drawing: str
    """What belongs inside the svg element."""


@dataclass(frozen=True)
class Panel:
    """The same chart for each run, with the same axes."""

    title: str
    note: str
    charts: Sequence[Chart]


Source = Callable[[Results], list[Point]]


@dataclass(frozen=True)
class _Plan:
    title: str
    note: str
    sources: Mapping[str, Source]


def panels(runs: Sequence[Results]) -> list[Panel]:
    """The charts that are worth drawing: whatever was recorded more than once."""
    plans = [*_metric_plans(runs), *_journal_plans(runs)]
    drawable = [plan for plan in plans if any(len(s(run)) > 1 for s in plan.sources.values() for run in runs)]
    return [_panel(f"chart{number}", plan, runs) for number, plan in enumerate(drawable[:MAX_CHARTS])]


# --- what is drawn ---------------------------------------------------------------------------------


def _metric_plans(runs: Sequence[Results]) -> Iterator[_Plan]:
    """Unlearning and utility together, likelihoods together, and the rest by evaluator."""
    names = list(dict.fromkeys(name for run in runs for name in run.metrics()))
    tradeoff = [name for name in ("unlearn_quality", "utility") if name in names]
    likelihoods = [name for name in names if "nll" in name.lower()]
    if len(tradeoff) == 2:
        yield _metric_plan("Unlearning and utility", tradeoff, runs)
    for names_together in _chunks(likelihoods):
        yield _metric_plan("Negative log-likelihood of the answers", names_together, runs)
    done = {*likelihoods, *(tradeoff if len(tradeoff) == 2 else ())}
    for evaluator, found in _by_evaluator(runs).items():
        yield from _plans(evaluator, [name for name in found if name not in done], runs)


def _by_evaluator(runs: Sequence[Results]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in (row for run in runs for row in run.evaluations):
        known = {name for names in found.values() for name in names}
        found.setdefault(str(row.get("evaluator")), []).extend(n for n in row["metrics"] if n not in known)
    return found


def _plans(title: str, names: Sequence[str], runs: Sequence[Results]) -> Iterator[_Plan]:
    """Charts of metrics: those of one scale share an axis."""
    groups: list[list[str]] = []
    for name in names:
        home = next((group for group in groups if _share_axis(name, group, runs)), None)
        if home is None:
            groups.append(home := [])
        home.append(name)
    for number, group in enumerate(groups, start=1):
        shown = title if len(groups) == 1 else f"{title} ({number})"
        yield _metric_plan(shown, group, runs)


def _metric_plan(title: str, names: Sequence[str], runs: Sequence[Results]) -> _Plan:
    return _Plan(title, _note(names, runs), {name: _metric_source(name) for name in names})


def _share_axis(name: str, group: Sequence[str], runs: Sequence[Results]) -> bool:
    one, other = (_largest(some, runs) for some in (name, group[0]))
    return len(group) < MAX_LINES and (
        min(one, other) == 0 or max(one, other) <= SAME_SCALE * min(one, other)
    )


def _largest(name: str, runs: Sequence[Results]) -> float:
    return max((abs(value) for run in runs for _, value, _, _ in _metric_source(name)(run)), default=0.0)


def _note(names: Sequence[str], runs: Sequence[Results]) -> str:
    found = {metric.direction for run in runs for name in names for _, metric in run.measured(name)}
    return BETTER.get(found.pop(), "") if len(found) == 1 else ""


def _metric_source(name: str) -> Source:
    def points(run: Results) -> list[Point]:
        return _finite(
            (iteration, m.value, m.value if m.low is None else m.low, m.value if m.high is None else m.high)
            for iteration, m in run.measured(name)
        )

    return points


def _journal_plans(runs: Sequence[Results]) -> Iterator[_Plan]:
    """The reward of what was kept, each reward by itself, the losses, and the settled prompts."""
    lines = [line for run in runs for line in run.journal]
    rewards = list(dict.fromkeys(name for line in lines for name in line["rewards_sampled"]))
    losses = list(dict.fromkeys(name for line in lines for name in line["update"] if "loss" in name.lower()))
    if rewards:
        both = {"kept": "reward_kept", "sampled": "reward_sampled"}
        sources = {name: _spread_source(key) for name, key in both.items()}
        yield _Plan("Reward", "mean and standard deviation; higher is better forgotten", sources)
    for each in _chunks(rewards) if len(rewards) > 1 else ():
        sources = {name: _spread_source("rewards_sampled", name) for name in each}
        yield _Plan("Rewards one by one", "mean of what was sampled, before weighting", sources)
    for each in _chunks(losses):
        yield _Plan("Loss", "lower is better fitted", {name: _number_source("update", name) for name in each})
    if any(line["num_settled"] for line in lines):
        sources = {"settled": _number_source("num_settled"), "taking part": _number_source("num_prompts")}
        yield _Plan("Settled prompts", "their kept answer cannot be improved", sources)


def _chunks(names: Sequence[str]) -> list[Sequence[str]]:
    return [names[start : start + MAX_LINES] for start in range(0, len(names), MAX_LINES)]


def _spread_source(*path: str) -> Source:
    def points(run: Results) -> list[Point]:
        found = [(line["iteration"] + 1, _at(line, path)) for line in run.journal]
        return _finite((i, s["mean"], s["mean"] - s["sd"], s["mean"] + s["sd"]) for i, s in found if s)

    return points


def _number_source(*path: str) -> Source:
    def points(run: Results) -> list[Point]:
        found = [(line["iteration"] + 1, _at(line, path)) for line in run.journal]
        return _finite((i, value, value, value) for i, value in found if isinstance(value, int | float))

    return points


def _at(line: Mapping[str, Any], path: Sequence[str]) -> Any:
    value: Any = line
    for key in path:
        value = (value or {}).get(key)
    return value


def _finite(points: Iterable[Point]) -> list[Point]:
    return [point for point in points if all(map(math.isfinite, point))]


def _panel(key: str, plan: _Plan, runs: Sequence[Results]) -> Panel:
    drawn = [tuple(_lines(plan, run)) for run in runs]
    every = [point for lines in drawn for line in lines for point in line.points]
    ends = (
        *limits(0.0, max(p[0] for p in every)),
        *limits(min(p[2] for p in every), max(p[3] for p in every)),
    )
    charts = [Chart(lines, *draw(lines, ends, f"{key}-{run}")) for run, lines in enumerate(drawn)]
    return Panel(plan.title, plan.note, charts)


def limits(low: float, high: float) -> tuple[float, float]:
    """A little room at both ends, so that nothing is drawn on the frame; a constant stands above zero."""
    if low == high:
        low, high = min(low, 0.0), max(high, 0.0) or 1.0
    return low - 0.03 * (high - low), high + 0.03 * (high - low)


def _lines(plan: _Plan, run: Results) -> Iterator[Line]:
    for place, (name, source) in enumerate(plan.sources.items()):
        points = source(run)
        if points:
            yield Line(name, tuple(points), COLORS[place % len(COLORS)], place >= len(COLORS))
