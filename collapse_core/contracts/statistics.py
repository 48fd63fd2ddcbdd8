"""Means over questions and over runs, with their uncertainty."""

import math
import random
from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Literal

from collapse_core.contracts.types import Metric

RESAMPLES = 1000


def mean_metric(
    strata: Sequence[Sequence[float]], seed: int, direction: Literal["up", "down", "none"] = "none"
) -> Metric:
    """The mean of the strata's means, with a bootstrap interval over the questions.

    Questions are resampled within their stratum, 1000 times; the interval is the 95 % percentile
    interval (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, section 13.3).

    Args:
        strata: Values by question, one sequence per set of questions; a plain mean has one.
        seed: Seed of the resampling.
        direction: Which way is better.
    """
    source = random.Random(seed)
    means = sorted(
        fmean(fmean(source.choices(values, k=len(values))) for values in strata) for _ in range(RESAMPLES)
    )
    low, high = means[int(0.025 * RESAMPLES)], means[int(0.975 * RESAMPLES) - 1]
    value = fmean(fmean(values) for values in strata)
    return Metric(value, direction, low, high, min(map(len, strata)))


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


def student_quantile(degrees: int, confidence: float = 0.95) -> float:
    """The t between whose negative and itself Student's distribution has this probability.

    By bisection on the closed form for whole degrees of freedom (Abramowitz and Stegun, Handbook of
    Mathematical Functions, 1964, 26.7.3 and 26.7.4).

    Args:
        degrees: Degrees of freedom, at least 1.
        confidence: The probability, between 0 and 1.
    """
    low, high = 0.0, 1.0
    while _student_inside(high, degrees) < confidence:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if _student_inside(middle, degrees) < confidence else (low, middle)
    return high


def _student_inside(t: float, degrees: int) -> float:
    """P(-t < T < t)."""
    angle = math.atan(t / math.sqrt(degrees))
    odd = degrees % 2
    term, total = math.cos(angle) if odd else 1.0, 0.0
    for number in range(1, (degrees - odd) // 2 + 1):
        total += term
        term *= math.cos(angle) ** 2 * (2 * number - 1 + odd) / (2 * number + odd)
    inside = math.sin(angle) * total
    return (angle + inside) * 2 / math.pi if odd else inside
