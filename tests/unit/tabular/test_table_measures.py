"""Our distances and shares against other people's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial import distance
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from collapse_core import area_metric
from collapse_core.contracts.intervals import area
from collapse_tabular.data.vectors import Vectors, nearest
from collapse_tabular.evaluators.marginals import (
    column_complements,
    ks_complement,
    marginals,
    tv_complement,
)

NUMBERS = st.lists(st.integers(-5, 5) | st.floats(-5, 5), min_size=2, max_size=40)


@given(NUMBERS, NUMBERS)
def test_the_ks_complement_is_scipys(some, others):
    wanted = 1 - stats.ks_2samp(some, others, method="asymp").statistic
    assert ks_complement(some, others) == pytest.approx(wanted, abs=1e-12)


@given(st.lists(st.sampled_from("abcd"), min_size=1), st.lists(st.sampled_from("bcde"), min_size=1))
def test_the_tv_complement_is_half_the_city_block_distance_of_shares(some, others):
    shares = [[column.count(x) / len(column) for x in "abcde"] for column in (some, others)]
    assert tv_complement(some, others) == pytest.approx(1 - distance.cityblock(*shares) / 2, abs=1e-12)


def test_marginals_are_the_mean_over_columns():
    some = [{"n": i, "c": "a"} for i in range(10)]
    others = [{"n": i, "c": "ab"[i % 2]} for i in range(10)]
    assert column_complements(some, others) == pytest.approx({"n": 1.0, "c": 0.5})
    assert marginals(some, others) == pytest.approx(0.75)
    assert marginals(some, some) == 1.0


@given(NUMBERS, NUMBERS)
def test_the_auc_is_scikit_learns(higher, lower):
    labels = [1] * len(higher) + [0] * len(lower)
    wanted = roc_auc_score(labels, higher + lower)
    assert area(higher, lower) == pytest.approx(wanted, abs=1e-12)


def test_the_interval_of_an_auc_covers_a_coin_and_a_certainty():
    source = np.random.default_rng(0)
    coin = area_metric(source.normal(size=80).tolist(), source.normal(size=80).tolist(), unit=100)
    assert coin.low < 50 < coin.high
    sure = area_metric([1.0] * 20, [0.0] * 20, unit=100)
    assert (sure.value, sure.high) == (100, 100)
    assert sure.low < 95, "twenty rows that do not overlap are no certainty"


def test_the_closest_record_is_scikit_learns():
    source = np.random.default_rng(0)
    points, others = source.normal(size=(700, 5)), source.normal(size=(300, 5))
    wanted = NearestNeighbors(n_neighbors=1).fit(others).kneighbors(points)[0][:, 0]
    assert nearest(points, others) == pytest.approx(wanted, abs=1e-9)


def test_rows_differ_by_one_for_a_deviation_and_for_a_category():
    rows = [{"n": 0.0, "c": "a"}, {"n": 2.0, "c": "b"}]
    vectors = Vectors.fit(rows)
    zero, higher, other = vectors.of([{"n": 0, "c": "a"}, {"n": 1, "c": "a"}, {"n": 0, "c": "b"}])
    assert np.linalg.norm(zero - higher) == pytest.approx(1.0)
    assert np.linalg.norm(zero - other) == pytest.approx(1.0)


def test_a_category_that_was_never_seen_is_the_zero_vector_at_the_documented_distances():
    vectors = Vectors.fit([{"c": "a"}, {"c": "b"}])
    seen, new, newer = vectors.of([{"c": "a"}, {"c": "new"}, {"c": "newer"}])
    assert new.tolist() == [0.0, 0.0]
    assert round(float(np.linalg.norm(new - seen)), 2) == 0.71
    assert np.linalg.norm(new - newer) == 0


def test_columns_can_be_left_out():
    vectors = Vectors.fit([{"n": 1.0, "c": "a"}], leave_out=["c"])
    assert vectors.of([{"n": 3.0, "c": "b"}]).tolist() == [[2.0]]
