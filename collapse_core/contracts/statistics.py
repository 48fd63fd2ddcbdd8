"""Means over questions and over runs, and areas, with their uncertainty."""

import math
from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Literal

from collapse_core.contracts.intervals import Ends, area, area_interval, mean_interval, of_mean_of
from collapse_core.contracts.student import student_quantile
from collapse_core.contracts.types import Metric

Direction = Literal["up", "down", "none"]
PERCENT: Ends = (0.0, 100.0)
SHARE: Ends = (0.0, 1.0)
"""The scales of most metrics."""
ROUNDING = 1e-9


def mean_metric(
    strata: Sequence[Sequence[float]],
    seed: int = 0,
    direction: Direction = "none",
    *,
    scale: Ends | None = None,
    weights: Sequence[Sequence[float]] | None = None,
) -> Metric:
    """Return the mean of the strata's means, with its 95 % interval over the questions.

    Each stratum has the interval of `mean_interval`, and the mean of means the one that follows from these.
    Values that belong to one question, such as its two wordings, are averaged before they come here.

    Args:
        strata: Values by question, one sequence per set of questions; a plain mean has one.
        seed: Not used: no interval is resampled any more.
        direction: Which way is better.
        scale: The least and the highest value that a question can have, where there are such. With it the
            interval has a width also where all questions agree.
        weights: How often each question counts; by default once.

    Raises:
        ValueError: There are no values, or one is outside the scale.
    """
    if not strata or not all(strata):
        raise ValueError("a mean over questions needs at least one of them in each set")
    counted = weights or [[1.0] * len(values) for values in strata]
    means = [
        math.fsum(w * x for w, x in zip(some, values, strict=True)) / math.fsum(some)
        for some, values in zip(counted, strata, strict=True)
    ]
    num = min(map(len, strata))
    if not all(map(math.isfinite, means)):
        return Metric(fmean(means), direction, num=num)
    on_scale = [[_within(value, scale) for value in values] for values in strata]
    found = [mean_interval(values, some, scale) for values, some in zip(on_scale, counted, strict=True)]
    known = [ends for ends in found if ends is not None]
    if len(known) < len(found):
        return Metric(fmean(means), direction, num=num)
    return Metric(fmean(means), direction, *of_mean_of(means, known), num)


def _within(value: float, scale: Ends | None) -> float:
    """The value, rounding errors at the ends of the scale removed."""
    if scale is None:
        return value
    slack = ROUNDING * (scale[1] - scale[0])
    if not scale[0] - slack <= value <= scale[1] + slack:
        raise ValueError(f"the value {value} is outside the scale {scale}")
    return min(max(value, scale[0]), scale[1])


def area_metric(
    higher: Sequence[float], lower: Sequence[float], direction: Direction = "none", *, unit: float = 1.0
) -> Metric:
    """Return the area under the ROC curve, with its 95 % interval over both sets (`area_interval`).

    Args:
        higher: Scores of the set that counts as recognized where its scores are higher.
        lower: Scores of the other set.
        direction: Which way is better.
        unit: What a certain attack has: 1, or 100 for percent.
    """
    if not all(map(math.isfinite, (*higher, *lower))):
        return Metric(math.nan, direction)
    low, high = area_interval(higher, lower)
    return Metric(
        unit * area(higher, lower), direction, unit * low, unit * high, min(len(higher), len(lower))
    )


def difference_metric(metric: Metric, other: Metric) -> Metric:
    """The difference of two metrics with its 95 % interval, from those of the two.

    The method of variance estimates recovery for independent estimates (Zou and Donner, Statistics in
    Medicine 27, 2008; method 10 of Newcombe, Statistics in Medicine 17, 1998). Where both are of
    the same questions and rise and fall together, the interval is wider than need be.
    """
    value = metric.value - other.value
    if None in (metric.low, metric.high, other.low, other.high):
        return Metric(value)
    down = math.hypot(metric.value - (metric.low or 0.0), (other.high or 0.0) - other.value)
    up = math.hypot((metric.high or 0.0) - metric.value, other.value - (other.low or 0.0))
    return Metric(value, low=value - down, high=value + up)


def mean_over_runs(values: Sequence[float]) -> tuple[float, tuple[float, float] | None]:
    """The mean of what runs with different seeds gave, and its 95 % interval over seeds.

    The interval is Student's: mean +- t(n - 1) sd / sqrt(n) (Student, Biometrika 6, 1908). For the few runs
    that one can afford it is honest where a bootstrap of them is too narrow.

    Args:
        values: One a run.

    Returns:
        The mean, and the ends of the interval; None for a single run, which knows nothing of others.
    """
    if len(values) < 2:
        return fmean(values), None
    mean, half = fmean(values), stdev(values) / math.sqrt(len(values)) * student_quantile(len(values) - 1)
    return mean, (mean - half, mean + half)
