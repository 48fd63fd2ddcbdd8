"""95 % confidence intervals of means and of areas under curves, in closed form."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from statistics import NormalDist, fmean, variance

from collapse_core.contracts.student import student_quantile

Ends = tuple[float, float]
ALPHA = 0.05
Z = NormalDist().inv_cdf(1 - ALPHA / 2)


def mean_interval(
    values: Sequence[float], weights: Sequence[float] | None = None, scale: Ends | None = None
) -> Ends | None:
    """Return the 95 % interval of a mean over questions; None for a single one without a scale.

    Values that are all at an end of the scale: Wilson's score interval (JASA 22, 1927). All the same: the
    exact binomial one, with which so many of other questions may be at the other end (Clopper and Pearson,
    Biometrika 26, 1934); no width without a scale. Otherwise the wider of Student's interval, or on a scale
    of Wilson's with the variance that was found, and of Hall's, which removes skewness (Journal of the Royal
    Statistical Society B 54, 1992, page 221).

    Args:
        values: One per question, finite.
        weights: How often each counts; their effective number is Kish's (Survey Sampling, 1965, 11.7).
        scale: The least and the highest value that a question can have.
    """
    weights = weights or [1.0] * len(values)
    share = [weight / math.fsum(weights) for weight in weights]
    num = 1 / math.fsum(one * one for one in share)
    mean = math.fsum(w * x for w, x in zip(share, values, strict=True))
    if min(values) == max(values):
        return _all_the_same(values[0], num, scale)
    moments = [math.fsum(w * (x - mean) ** k for w, x in zip(share, values, strict=True)) for k in (2, 3)]
    t = student_quantile(max(1, math.floor(num + 1e-9) - 1))
    low, high = _hall(mean, moments, num, t)
    if scale is None:
        half = t * math.sqrt(moments[0] / (num - 1))
        return min(low, mean - half), max(high, mean + half)
    least, width = scale[0], scale[1] - scale[0]
    place = (mean - least) / width
    if all(value in scale for value in values):
        low, high = _wilson(place, num, Z)
    else:
        dispersion = moments[0] / width**2 * num / (num - 1) / (place * (1 - place))
        found = _wilson(place, num / dispersion, t)
        low = max(0.0, min(found[0], (low - least) / width))
        high = min(1.0, max(found[1], (high - least) / width))
    return least + width * low, least + width * high


def _all_the_same(value: float, num: float, scale: Ends | None) -> Ends | None:
    if scale is None:
        return (value, value) if num > 1 else None
    others = 1 - (ALPHA / 2) ** (1 / num)
    return value - others * (value - scale[0]), value + others * (scale[1] - value)


def _wilson(share: float, num: float, z: float) -> Ends:
    """Wilson's interval of a share."""
    middle, spread = share + z * z / (2 * num), z * math.sqrt(share * (1 - share) / num + (z / num) ** 2 / 4)
    return (middle - spread) / (1 + z * z / num), (middle + spread) / (1 + z * z / num)


def _hall(mean: float, moments: Sequence[float], num: float, t: float) -> Ends:
    """The interval by Hall's cubic transformation of the t statistic, skewness estimated without bias."""
    deviation = math.sqrt(moments[0] * num / (num - 1))
    skewness = moments[1] / moments[0] ** 1.5 * math.sqrt(num * (num - 1)) / (num - 2) if num > 2 else 0.0

    def back(y: float) -> float:
        if abs(skewness) < 1e-9:
            return y / math.sqrt(num)
        return 3 * (math.cbrt(1 + skewness * (y / math.sqrt(num) - skewness / (6 * num))) - 1) / skewness

    return mean - deviation * back(t), mean - deviation * back(-t)


def of_mean_of(means: Sequence[float], intervals: Sequence[Ends]) -> Ends:
    """Return the interval of the mean of independent means, from theirs.

    The method of variance estimates recovery (Zou and Donner, Statistics in Medicine 27, 2008).
    """
    down = math.hypot(*(mean - low for mean, (low, _) in zip(means, intervals, strict=True)))
    up = math.hypot(*(high - mean for mean, (_, high) in zip(means, intervals, strict=True)))
    return fmean(means) - down / len(means), fmean(means) + up / len(means)


# --- areas -----------------------------------------------------------------------------------------


def area(higher: Sequence[float], lower: Sequence[float]) -> float:
    """P(a draw of the first is above one of the second), ties counting half: the area under the ROC curve."""
    return fmean(_above(sorted(lower), higher))


def area_interval(higher: Sequence[float], lower: Sequence[float]) -> Ends:
    """Return the 95 % interval of an area, which has a width also where the two sets do not overlap.

    The areas whose distance to the one found is at most z standard errors, as Hanley and McNeil have these
    (Radiology 143, 1982): method 5 of Newcombe (Statistics in Medicine 25, 2006, page 559). Where the
    variance that was found (DeLong et al., Biometrics 44, 1988) is larger, by Student's quantile for the
    smaller set, all variances are multiplied by how much.
    """
    sizes = len(higher), len(lower)
    parts = _above(sorted(lower), higher), _above(sorted(higher), lower)
    found = fmean(parts[0])
    known = _area_variance(found, *sizes)
    larger = 1.0
    if known > 0 and min(sizes) > 1:
        t = student_quantile(min(sizes) - 1)
        larger = max(1.0, (t / Z) ** 2 * sum(variance(part) / len(part) for part in parts) / known)

    def inside(value: float) -> bool:
        return abs(found - value) <= Z * math.sqrt(larger * _area_variance(value, *sizes))

    return _edge(found, 0.0, inside), _edge(found, 1.0, inside)


def _above(ordered: Sequence[float], values: Sequence[float]) -> list[float]:
    """For each value the share of the ordered ones below it, ties counting half."""
    return [(bisect_left(ordered, one) + bisect_right(ordered, one)) / (2 * len(ordered)) for one in values]


def _area_variance(value: float, num_higher: int, num_lower: int) -> float:
    """Hanley and McNeil's, for exponential scores, with the mean of both numbers in the place of each."""
    more = (num_higher + num_lower) / 2 - 1
    both = 1 + more * (1 - value) / (2 - value) + more * value / (1 + value)
    return value * (1 - value) * both / (num_higher * num_lower)


def _edge(inner: float, outer: float, inside: Callable[[float], bool]) -> float:
    """Where, on the way from the inner to the outer value, one is no longer inside."""
    for _ in range(60):
        middle = (inner + outer) / 2
        inner, outer = (middle, outer) if inside(middle) else (inner, middle)
    return inner
