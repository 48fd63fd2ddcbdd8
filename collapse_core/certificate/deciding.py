"""Whether criteria are met, by tests that can also say that it cannot be told."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Literal

from collapse_core.contracts.statistics import difference_metric
from collapse_core.contracts.types import Metric
from collapse_core.recipe.criteria import Criterion
from collapse_core.results.results import Results

Verdict = Literal["met", "not met", "cannot be told"]
Tail = Callable[[float], float]
"""By bound: how likely what was found is, at most, if the true value is not beyond the bound."""

NORMAL = NormalDist()
DEVIATIONS = NORMAL.inv_cdf(0.975)
"""How many standard errors the end of a 95 % interval is away."""
AFTER = "after"


@dataclass(frozen=True)
class Decision:
    """What was found of one criterion."""

    criterion: Criterion
    after: Metric | None
    """The metric of the model after the run."""
    other: Metric | None
    """That of the model that it is set against."""
    compared: Metric | None
    """What the bound is about: the metric, or its difference to the other, with a 95 % interval."""
    verdict: Verdict
    why: str
    """The reason of the verdict, as a sentence."""
    p_met: float | None
    """The p-value of "met", corrected for the number of criteria; None where no test was made."""
    p_not_met: float | None
    """That of "not met"."""
    test: str
    """The test, by name."""


@dataclass(frozen=True)
class _Tested:
    """A criterion with what was measured for it, before any correction."""

    found: Decision
    met: float = 1.0
    not_met: float = 1.0


def decide(criteria: Sequence[Criterion], results: Results) -> list[Decision]:
    """Decide on every criterion of a run.

    "Met" and "not met" are each shown by a test of its own; where neither is, it cannot be told. p-values are
    corrected for the number of criteria by Holm's method (Scandinavian Journal of Statistics 6, 1979), for
    "met" and for "not met" separately: with probability `confidence` no criterion is wrongly called met.
    Where criteria have different confidences, that is so with the least of them.
    """
    tested = [_tested(one, results) for one in criteria]
    tests = [one for one in tested if not one.found.criterion.exact]
    met, not_met = holm([one.met for one in tests]), holm([one.not_met for one in tests])
    corrected = {id(one): found for one, *found in zip(tests, met, not_met, strict=True)}
    return [_judged(one.found, *corrected[id(one)]) if id(one) in corrected else one.found for one in tested]


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected by Holm's step-down method, in the order given."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    corrected, highest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = highest
    return corrected


def _judged(found: Decision, met: float, not_met: float) -> Decision:
    """The decision by corrected p-values."""
    if found.compared is None or found.test == "none":
        return found
    found = replace(found, p_met=met, p_not_met=not_met)
    alpha = 1 - found.criterion.confidence + 1e-12
    if met <= alpha:
        return replace(found, verdict="met", why=f"shown, p {_p(met)}")
    if not_met <= alpha:
        return replace(found, verdict="not met", why=f"the contrary is shown, p {_p(not_met)}")
    why = f"neither is shown, p {_p(met)} for met, p {_p(not_met)} for not met"
    return replace(found, why=why)


def _p(value: float) -> str:
    return f"= {value:.2g}" if value >= 1e-15 else "< 1e-15"


# --- one criterion ---------------------------------------------------------------------------------


def _tested(criterion: Criterion, results: Results) -> _Tested:
    after = results.metric(criterion.metric, AFTER)
    against = criterion.against
    other = results.metric(criterion.metric, against) if against else None
    nothing = Decision(criterion, after, other, None, "cannot be told", "", None, None, "none")
    if after is None or (against and other is None):
        which = "the model after the run" if after is None else f"'{against}'"
        why = f"it was not measured in {which}{_reason(criterion.metric, results)}"
        return _Tested(replace(nothing, why=why))
    compared = difference_metric(after, other) if other else after
    nothing = replace(nothing, compared=compared)
    if criterion.exact:
        within = holds(criterion, compared.value)
        why = "compared as it is, since the recipe says that it is exact"
        found = replace(nothing, verdict="met" if within else "not met", why=why, test="exact comparison")
        return _Tested(found)
    if other and (problem := _untestable(after, criterion) or _untestable(other, criterion)):
        return _Tested(replace(nothing, why=problem))
    if not other and (problem := _untestable(after, criterion)):
        return _Tested(replace(nothing, why=problem))
    if other:
        compared = difference_metric(_widened(after, criterion), _widened(other, criterion))
    above, below, test = _tails(compared, criterion)
    shown = replace(nothing, compared=_shown(compared, criterion), test=_name(criterion, test))
    return _Tested(shown, *_p_values(criterion, above, below))


def _reason(metric: str, results: Results) -> str:
    reasons = [reason for reason, names in results.missing().items() if metric in names]
    return f": {reasons[0]}" if reasons else ""


def holds(criterion: Criterion, value: float) -> bool:
    """Whether a value is within the bound of a criterion, whatever its uncertainty."""
    if criterion.within is not None:
        return abs(value) <= criterion.within
    return (
        value >= criterion.at_least if criterion.at_least is not None else value <= (criterion.at_most or 0.0)
    )


def _untestable(metric: Metric, criterion: Criterion) -> str:
    """Why a measured metric cannot be tested; empty if it can."""
    if metric.low is None or metric.high is None:
        return (
            "the metric has no interval; where it was measured on all there is, set 'exact' for it in the "
            "recipe"
        )
    if metric.high > metric.low:
        return ""
    if criterion.scale is None or metric.num is None:
        return (
            "every question scored the same, so the interval has no width, which does not mean that the "
            "next question would; give 'scale' in the recipe"
        )
    low, high = criterion.scale
    return "" if low <= metric.value <= high else f"{metric.value:g} is outside the scale of the recipe"


def _p_values(criterion: Criterion, above: Tail, below: Tail) -> tuple[float, float]:
    """The p-values of "met" and "not met".

    Equivalence is shown by two one-sided tests, both of which must reject (Schuirmann, Journal of
    Pharmacokinetics and Biopharmaceutics 15, 1987); its contrary by either of two at half the level.
    """
    if criterion.at_least is not None:
        return above(criterion.at_least), below(criterion.at_least)
    if criterion.at_most is not None:
        return below(criterion.at_most), above(criterion.at_most)
    margin = criterion.within or 0.0
    return max(above(-margin), below(margin)), min(1.0, 2 * min(above(margin), below(-margin)))


def _tails(metric: Metric, criterion: Criterion) -> tuple[Tail, Tail, str]:
    """p-values by bound for "it is above" and "it is below", and what they are made by."""
    low, high = metric.low or 0.0, metric.high or 0.0
    if high > low and metric.num and metric.value in (low, high):
        return *_same_score_tails(metric, low, high, metric.num), "binomial"
    if high > low:
        errors = (metric.value - low) / DEVIATIONS, (high - metric.value) / DEVIATIONS
        return (
            lambda bound: _normal_tail(metric.value - bound, errors[0]),
            lambda bound: _normal_tail(bound - metric.value, errors[1]),
            "normal",
        )
    wide = _widened(metric, criterion)
    return *_same_score_tails(metric, wide.low or 0.0, wide.high or 0.0, metric.num or 1), "binomial"


def _same_score_tails(metric: Metric, low: float, high: float, num: int) -> tuple[Tail, Tail]:
    """The exact tails where every question scored the same, from the exact binomial interval."""
    share = 1 - 0.025 ** (1 / num)
    down, up = (metric.value - low) / share, (high - metric.value) / share
    return (
        lambda bound: same_score_tail(metric.value - bound, down, num),
        lambda bound: same_score_tail(bound - metric.value, up, num),
    )


def _normal_tail(distance: float, error: float) -> float:
    """P(Z > distance / error): how likely it is to find a value so far beyond a bound.

    The standard error is read off the interval's end on the side of the bound (Altman and Bland, How to
    obtain the P value from a confidence interval, BMJ 343, 2011: d2304). An interval that ends at its own
    value says nothing of that side.
    """
    if error <= 0:
        return 1.0
    return 1 - NORMAL.cdf(distance / error)


def same_score_tail(distance: float, room: float, num: int) -> float:
    """How likely it is that all of `num` questions score alike, if their mean is beyond a bound.

    For the mean to be `distance` away, a share of at least distance / room of all questions must score
    otherwise, since none can be further away than `room`. That none of `num` drawn questions is among them
    has the probability (1 - share)^num (the exact binomial test; Clopper and Pearson, Biometrika 26, 1934).

    Args:
        distance: How far the bound is from the score of all.
        room: How far the end of the scale is on that side.
        num: How many questions were asked.
    """
    if distance <= 0:
        return 1.0
    return 0.0 if distance >= room else (1 - distance / room) ** num


# --- intervals -------------------------------------------------------------------------------------


def _widened(metric: Metric, criterion: Criterion) -> Metric:
    """The metric with the exact binomial 95 % interval in the place of one without width."""
    if criterion.scale is None or metric.num is None or (metric.low or 0.0) < (metric.high or 0.0):
        return metric
    share = 1 - 0.025 ** (1 / metric.num)
    least, highest = criterion.scale
    low, high = (
        metric.value - share * (metric.value - least),
        metric.value + share * (highest - metric.value),
    )
    return replace(metric, low=low, high=high)


def _shown(metric: Metric, criterion: Criterion) -> Metric:
    return metric if criterion.against else _widened(metric, criterion)


def _name(criterion: Criterion, made_by: str) -> str:
    if criterion.within is not None:
        return "two one-sided tests of equivalence"
    return "one-sided exact binomial test" if made_by == "binomial" else "one-sided test from the interval"
