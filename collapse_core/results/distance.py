"""How far a model ended from a baseline that was never trained on what it forgot."""

from collections.abc import Iterable
from typing import NamedTuple

from collapse_core.contracts.types import Metric

BEYOND, PERHAPS_BEYOND = "*", "(*)"
"""What marks a metric that went beyond the baseline's, and one that did so within its interval."""
COLUMN = "distance"


class Distance(NamedTuple):
    """How far a metric ended from that of the baseline."""

    value: float | None
    """None where either is not known."""
    mark: str
    """Of a metric that went beyond the baseline's; else empty."""


def distance(after: Metric | None, never: Metric | None) -> float | None:
    """The metric after the run less that of the baseline; None where either is not known."""
    return None if after is None or never is None else after.value - never.value


def beyond(before: Metric | None, after: Metric | None, never: Metric | None) -> str:
    """The mark of a metric that forgot more than there was to forget; empty where it did not.

    Unlearning is to lead from the model before to the baseline. A metric in which these two differ
    (by more than the latter's interval) and which came out on the far side of the latter went too far.

    Args:
        before: The metric of the model before the run.
        after: The metric of the model after it.
        never: The metric of the model that was never trained on it.
    """
    if before is None or after is None or never is None or _within(before.value, never):
        return ""
    if (after.value - never.value) * (never.value - before.value) > 0:
        return PERHAPS_BEYOND if _within(after.value, never) else BEYOND
    return ""


def legend(marks: Iterable[str], baseline: str) -> list[str]:
    """What these marks say, a sentence for each kind.

    Args:
        marks: The marks of distances.
        baseline: What the baseline is called.
    """
    found = set(marks)
    said = [f"{BEYOND} beyond {baseline}: over-forgetting, not better"] if BEYOND in found else []
    return said + (
        [f"{PERHAPS_BEYOND} beyond it, but within its interval"] if PERHAPS_BEYOND in found else []
    )


def _within(value: float, metric: Metric) -> bool:
    if metric.low is None or metric.high is None:
        return value == metric.value
    return metric.low <= value <= metric.high
