"""Whether a run did what it was to do, in sentences that follow from what was measured."""

from collections.abc import Iterator, Sequence

from collapse_core.contracts.types import Metric
from collapse_core.report.legend import evaluators_of
from collapse_core.results.formatting import BETTER, format_metric, plain
from collapse_core.results.results import Results

Change = tuple[str, Metric, Metric]
"""The name of a metric, and what it was before and after."""

LIMIT = (
    "The metrics describe the questions that were asked. They are no proof that the content is gone from the "
    "weights."
)


def verdict(run: Results) -> list[str]:
    """Say whether the model forgot, what else changed, and what cannot be said; a sentence each.

    Two values differ where their 95 % intervals do not overlap, which is careful: the same questions were
    asked.
    """
    if not run.evaluations:
        return ["Whether it worked cannot be said: nothing was measured."]
    if not _changed(run):
        return ["Whether it worked cannot be said: no metric was measured both before and after."]
    return [*_forgotten(run), *_changes(run), _compared(run), _criteria(run), LIMIT]


def _changed(run: Results) -> list[Change]:
    found = [(name, run.metric(name, "before"), run.metric(name, run.latest())) for name in run.metrics()]
    return [(name, before, after) for name, before, after in found if before and after]


def _forgotten(run: Results) -> Iterator[str]:
    """Say what follows from the metrics that tell whether a model knows what is to be forgotten."""
    if run.latest() != "after":
        yield f"The run is not over; the numbers are those {run.heading('during')}."
    known = dict(cls.known_from for cls in evaluators_of(run).values() if cls.known_from)
    decisive = [change for change in _changed(run) if change[0] in known]
    for name, before, after in decisive:
        numbers = f"{name} went from {format_metric(before)} to {format_metric(after)}"
        scale = f"a model that knows it reaches {known[name]:g} or more"
        if before.value < known[name]:
            yield f"There was little to forget: {name} was {format_metric(before)} before, and {scale}."
        elif after.value >= known[name]:
            yield f"By this measure it did not forget: {numbers}, and {scale}."
        elif _differ(before, after) is False:
            yield f"It cannot be told whether it forgot: {numbers}, and the intervals overlap."
        else:
            yield f"It forgot, by this measure: {numbers}, and {scale}."
    if not decisive:
        yield "No metric was measured that tells by itself whether a model knows what is to be forgotten."


def _differ(before: Metric, after: Metric) -> bool | None:
    """Return whether two metrics differ beyond their intervals; None where they have none."""
    if before.low is None or before.high is None or after.low is None or after.high is None:
        return None
    return after.low > before.high or after.high < before.low


def _changes(run: Results) -> Iterator[str]:
    """Say what became better, what worse, and of what neither is shown."""
    found: dict[str, list[Change]] = {}
    for name, before, after in _changed(run):
        change = (after.value - before.value) * (-1 if before.direction == "down" else 1)
        differs = change != 0 and _differ(before, after) is not False
        way = ("Better than before" if change > 0 else "Worse than before") if differs else "No change shown"
        if before.direction in BETTER:
            found.setdefault(way, []).append((name, before, after))
    yield from (f"{way}: {_listed(changes)}." for way, changes in sorted(found.items()))
    if any(_differ(before, after) is None for changes in found.values() for _, before, after in changes):
        yield "Of a metric without an interval it is not known how much of its change is chance."


def _listed(changes: Sequence[Change]) -> str:
    return "; ".join(
        f"{plain(name, 60)} {format_metric(before)} → {format_metric(after)}"
        for name, before, after in changes
    )


def _compared(run: Results) -> str:
    """Say how many metrics came nearer to those of the baseline."""
    if (name := run.baseline()) is None:
        return (
            "No other model was measured, so it is not known what one that was never trained on it would say."
        )
    apart = [
        (abs(before.value - baseline.value), abs(after.value - baseline.value))
        for metric, before, after in _changed(run)
        if (baseline := run.metric(metric, name))
    ]
    nearer = sum(after < before for before, after in apart)
    return (
        f"Of {len(apart)} metrics, {nearer} ended nearer to the baseline '{plain(name, 60)}' than they began."
    )


def _criteria(run: Results) -> str:
    num = len(run.recipe.get("criteria") or ())
    if not num:
        return (
            "The recipe set no criteria before the run, so whether this is enough is for the reader to judge."
        )
    criteria, they = ("criterion", "it") if num == 1 else ("criteria", "them")
    return f"The recipe set {num} {criteria} before the run; 'collapse certify' decides on {they}."
