"""Uncertainty over seeds, and how far a model ended from one that was never trained on it."""

import math
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from collapse_core import Metric
from collapse_core.contracts.statistics import mean_over_runs, student_quantile
from collapse_core.results.distance import beyond, distance, legend
from collapse_core.results.pareto import pareto_front

VALUES = st.integers(-(10**6), 10**6).map(lambda number: number / 1000)


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 5, 9, 10, 29, 100, 1001])
@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.999])
def test_the_quantile_is_students(degrees, confidence):
    known = stats.t.ppf((1 + confidence) / 2, degrees)
    assert student_quantile(degrees, confidence) == pytest.approx(known, rel=1e-9)


@given(st.lists(VALUES, min_size=2, max_size=12))
def test_the_interval_over_seeds_is_the_t_interval_of_scipy(values):
    mean, interval = mean_over_runs(values)
    error = stats.sem(values)
    assert mean == fmean(values)
    assert interval is not None
    if error > 0:
        known = stats.t.interval(0.95, len(values) - 1, loc=fmean(values), scale=error)
        assert interval == pytest.approx(known, rel=1e-6, abs=1e-6 * max(map(abs, values)))
    else:
        assert interval == (mean, mean)


def test_one_run_knows_nothing_of_other_seeds():
    assert mean_over_runs([3.0]) == (3.0, None)


# --- the front -------------------------------------------------------------------------------------


def dominates(a, b):
    return a[0] >= b[0] and a[1] >= b[1] and a != b


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=14))
def test_the_front_is_what_nothing_dominates(points):
    known = [i for i, one in enumerate(points) if not any(dominates(other, one) for other in points)]
    assert pareto_front(points) == known


@given(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=10))
def test_the_best_in_one_respect_is_always_on_the_front(points):
    front = [points[i] for i in pareto_front(points)]
    assert max(x for x, _ in points) in [x for x, _ in front]
    assert max(y for _, y in points) in [y for _, y in front]


# --- beyond never trained on it ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "never", "mark"),
    [
        (Metric(30), Metric(80), Metric(60), "*"),
        (Metric(30), Metric(60), Metric(60), ""),
        (Metric(30), Metric(50), Metric(60), ""),
        (Metric(30), Metric(20), Metric(60), ""),
        (Metric(96), Metric(0), Metric(6), "*"),
        (Metric(96), Metric(8), Metric(6), ""),
        (Metric(96), Metric(5), Metric(6, low=1, high=12), "(*)"),
        (Metric(96), Metric(0), Metric(6, low=1, high=12), "*"),
        (Metric(7), Metric(0), Metric(6, low=1, high=12), ""),
        (Metric(6), Metric(0), Metric(6), ""),
        (None, Metric(0), Metric(6), ""),
        (Metric(96), None, Metric(6), ""),
        (Metric(96), Metric(0), None, ""),
        (Metric(96), Metric(math.nan), Metric(6), ""),
    ],
)
def test_only_what_passed_the_never_taught_model_went_beyond(before, after, never, mark):
    assert beyond(before, after, never) == mark


def test_the_distance_has_a_sign_and_needs_both():
    assert distance(Metric(4), Metric(6)) == -2
    assert distance(None, Metric(6)) is None
    assert distance(Metric(4), None) is None


def test_a_legend_explains_the_marks_that_were_printed_and_no_others():
    assert legend(["", ""], "never trained on it") == []
    assert [line[:3] for line in legend(["(*)"], "never trained on it")] == ["(*)"]
    assert [line[:3] for line in legend(["*", "(*)"], "never trained on it")] == ["* b", "(*)"]
    assert "over-forgetting" in legend(["*"], "never trained on it")[0]
