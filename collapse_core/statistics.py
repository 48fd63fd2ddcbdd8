"""Means over questions, with their uncertainty."""

import random
from collections.abc import Sequence
from statistics import fmean
from typing import Literal

from collapse_core.types import Metric

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
    return Metric(fmean(fmean(values) for values in strata), direction, low, high)
