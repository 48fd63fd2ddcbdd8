"""Intervals over questions: what they are made of, and that they hold the truth as often as they say."""

import math
import random
from collections.abc import Callable
from statistics import NormalDist, fmean

import pytest
from scipy import stats

from collapse_core import PERCENT, SHARE, Metric, area_metric, mean_metric

Draw = Callable[[random.Random, int], list[float]]


def shares(rate: float) -> Draw:
    return lambda source, num: [float(source.random() < rate) for _ in range(num)]


BOUNDED: dict[str, tuple[Draw, float]] = {
    "one in fifty": (shares(0.02), 0.02),
    "one in ten": (shares(0.1), 0.1),
    "half": (shares(0.5), 0.5),
    "mostly nothing": (lambda s, n: [s.random() * (s.random() < 0.1) for _ in range(n)], 0.05),
    "often nothing": (lambda s, n: [s.random() * (s.random() < 0.3) for _ in range(n)], 0.15),
    "both ends": (lambda s, n: [s.betavariate(0.5, 0.5) for _ in range(n)], 0.5),
    "near an end": (lambda s, n: [s.betavariate(0.2, 2) for _ in range(n)], 0.2 / 2.2),
    "narrow": (lambda s, n: [s.betavariate(2, 8) for _ in range(n)], 0.2),
    "two values": (lambda s, n: [0.9 if s.random() < 0.1 else 0.2 for _ in range(n)], 0.27),
}
UNBOUNDED: dict[str, tuple[Draw, float]] = {
    "lognormal": (lambda s, n: [s.lognormvariate(0, 1) for _ in range(n)], math.exp(0.5)),
    "exponential": (lambda s, n: [s.expovariate(1) for _ in range(n)], 1.0),
    "normal": (lambda s, n: [s.gauss(0, 1) for _ in range(n)], 0.0),
}
FEW = ["one in ten", "mostly nothing", "near an end", "lognormal"]


def holds(metric: Metric, truth: float) -> bool:
    assert metric.low is not None
    assert metric.high is not None
    return metric.low - 1e-12 <= truth <= metric.high + 1e-12


def coverage(kind: str, num: int, times: int) -> float:
    draw, truth = (BOUNDED | UNBOUNDED)[kind]
    source, scale = random.Random(kind), SHARE if kind in BOUNDED else None
    return fmean(holds(mean_metric([draw(source, num)], scale=scale), truth) for _ in range(times))


@pytest.mark.parametrize("kind", FEW)
def test_an_interval_of_twenty_questions_holds_the_truth(kind):
    assert coverage(kind, 20, 300) >= 0.92


@pytest.mark.slow
@pytest.mark.simulation
@pytest.mark.parametrize("num", [20, 40, 100])
@pytest.mark.parametrize("kind", [*BOUNDED, *UNBOUNDED])
def test_intervals_of_every_kind_hold_the_truth_as_often_as_promised(kind, num):
    assert coverage(kind, num, 4000) >= 0.93


def test_an_interval_of_shares_is_wilsons():
    found = mean_metric([[100.0] * 3 + [0.0] * 17], scale=PERCENT)
    known = stats.binomtest(3, 20).proportion_ci(0.95, "wilson")
    assert (found.low, found.high) == pytest.approx((100 * known.low, 100 * known.high))


def test_where_all_questions_agree_the_interval_says_what_others_may_do():
    known = stats.binomtest(0, 20).proportion_ci(0.95, "exact")
    found = mean_metric([[0.0] * 20], scale=PERCENT)
    assert (found.value, found.low) == (0, 0)
    assert found.high == pytest.approx(100 * known.high)
    middle = mean_metric([[0.5] * 20], scale=SHARE)
    assert (middle.low, middle.high) == pytest.approx((0.5 - known.high / 2, 0.5 + known.high / 2))
    assert mean_metric([[3.0] * 20]) == Metric(3.0, "none", 3.0, 3.0)
    assert mean_metric([[3.0]]) == Metric(3.0)


def test_an_interval_without_a_scale_is_no_narrower_than_students():
    values = [0.1, 0.4, 0.5, 0.9, 3.0]
    known = stats.t.interval(0.95, 4, loc=fmean(values), scale=stats.sem(values))
    found = mean_metric([values])
    assert found.low == pytest.approx(known[0])
    assert found.high > known[1], "the long tail is on this side"


def test_an_interval_of_a_scale_stays_on_it():
    found = mean_metric([[0.0] * 9 + [0.01]], scale=SHARE)
    assert found.low == 0
    assert 0.001 < found.high < 1
    with pytest.raises(ValueError, match=r"1\.5 is outside the scale"):
        mean_metric([[0.0, 1.5]], scale=SHARE)
    assert mean_metric([[1 + 1e-12, 1.0]], scale=SHARE).high == pytest.approx(1)


def test_values_that_are_no_numbers_give_no_interval():
    found = mean_metric([[0.5, math.nan]], scale=SHARE)
    assert math.isnan(found.value)
    assert found.low is None
    assert math.isnan(area_metric([math.nan], [1.0]).value)


# --- several draws ----------------------------------------------------------------------------------------


def test_the_same_row_drawn_again_makes_no_interval_narrower():
    source = random.Random(1)
    values = [source.random() for _ in range(30)]
    once, twice = mean_metric([values]), mean_metric([values], weights=[[2.0] * 30])
    assert (once.low, once.high) == pytest.approx((twice.low, twice.high))
    drawn = mean_metric([values * 2])
    assert drawn.high - drawn.low < once.high - once.low


def coverage_of_draws(times: int) -> float:
    """Retain rows as the paper draws them: 400 times, with replacement, here of 140."""
    source, covered = random.Random(2), []
    for _ in range(times):
        counts = [0.0] * 140
        for _ in range(400):
            counts[source.randrange(140)] += 1
        found = [(source.betavariate(1, 2), count) for count in counts if count]
        metric = mean_metric([[x for x, _ in found]], scale=SHARE, weights=[[w for _, w in found]])
        covered.append(holds(metric, 1 / 3))
    return fmean(covered)


def test_rows_that_are_drawn_several_times_keep_the_promise():
    assert coverage_of_draws(60) >= 0.9


@pytest.mark.slow
@pytest.mark.simulation
def test_rows_that_are_drawn_several_times_keep_the_promise_in_many_repetitions():
    assert coverage_of_draws(1500) >= 0.93


# --- areas -----------------------------------------------------------------------------------------------


def coverage_of_area(apart: float, spread: float, sizes: tuple[int, int], times: int) -> float:
    source = random.Random(4)
    truth = NormalDist().cdf(apart / math.hypot(1, spread))
    return fmean(
        holds(
            area_metric(
                [source.gauss(apart, spread) for _ in range(sizes[0])],
                [source.gauss(0, 1) for _ in range(sizes[1])],
            ),
            truth,
        )
        for _ in range(times)
    )


def test_an_area_near_one_has_an_interval_that_holds_the_truth():
    assert coverage_of_area(3.0, 1.0, (20, 20), 200) >= 0.92
    sure = area_metric([1.0] * 20, [0.0] * 20, unit=100)
    assert (sure.value, sure.high) == (100, pytest.approx(100))
    assert 80 < sure.low < 95


@pytest.mark.slow
@pytest.mark.simulation
@pytest.mark.parametrize("sizes", [(20, 20), (20, 100)])
@pytest.mark.parametrize(("apart", "spread"), [(0, 1), (1, 1), (2, 1), (3, 1), (4, 1), (1, 3), (3, 3)])
def test_areas_keep_the_promise(apart, spread, sizes):
    assert coverage_of_area(apart, spread, sizes, 2000) >= 0.93
