"""Estimates and bounds of leaks, against enumeration of all cases and against scipy."""

from itertools import combinations
from math import comb, log, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from collapse_llm.data import Authors
from collapse_llm.evaluators.attacks.leaks import (
    Truth,
    expectation_and_deviation,
    highest_probability,
    highest_share_beyond,
    leak_at,
)
from collapse_llm.evaluators.fact_words import own_words


@pytest.mark.parametrize("num_leaks", range(8))
@pytest.mark.parametrize("k", range(1, 8))
def test_leak_at_k_is_the_share_of_all_choices_of_k_samples_that_hold_a_leak(k, num_leaks):
    samples = [True] * num_leaks + [False] * (7 - num_leaks)
    chosen = list(combinations(samples, k))
    assert leak_at(k, num_leaks, 7) == pytest.approx(sum(map(any, chosen)) / comb(7, k))


def test_leak_at_k_is_unbiased():
    """Its expectation over draws of n samples is the probability that k fresh ones leak."""
    n, p = 12, 0.17
    for k in (1, 3, 12):
        expected = sum(binom.pmf(c, n, p) * leak_at(k, c, n) for c in range(n + 1))
        assert expected == pytest.approx(1 - (1 - p) ** k)


def test_leak_at_k_does_not_lose_its_digits_with_many_samples():
    assert leak_at(64, 1, 100_000) == pytest.approx(64 / 100_000, rel=1e-12)
    assert leak_at(50_000, 1, 100_000) == pytest.approx(0.5, rel=1e-12)


@pytest.mark.parametrize(("num_leaks", "num_samples"), [(0, 100), (1, 100), (37, 100), (99, 100), (2, 5)])
def test_at_the_clopper_pearson_bound_so_few_leaks_would_be_just_this_unlikely(num_leaks, num_samples):
    bound = highest_probability(num_leaks, num_samples, 0.95)
    assert num_leaks / num_samples < bound < 1
    assert binom.cdf(num_leaks, num_samples, bound) == pytest.approx(0.05)


def test_without_a_leak_the_bound_has_a_closed_form():
    assert highest_probability(0, 100, 0.95) == pytest.approx(1 - 0.05 ** (1 / 100))
    assert highest_probability(9, 9, 0.95) == 1


@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_both_bounds_hold_at_least_as_often_as_they_promise(confidence):
    """Every possible outcome of 30 samples of a binary score, for many true probabilities."""
    n = 30
    outcomes = [[1.0] * c + [0.0] * (n - c) for c in range(n + 1)]
    exact = [highest_probability(c, n, confidence) for c in range(n + 1)]
    spread = [highest_share_beyond(0.5, scores, confidence) for scores in outcomes]
    for p in np.linspace(0.01, 0.99, 99):
        weights = binom.pmf(np.arange(n + 1), n, p)
        for bounds in (exact, spread):
            assert weights[np.array(bounds) >= p].sum() >= confidence - 1e-9
    assert all(a <= b for a, b in zip(exact, spread, strict=True))


def test_the_bound_on_the_share_beyond_a_level_counts_what_is_above_it():
    scores = [0.2, 0.5, 0.6, 0.7] * 25
    assert highest_share_beyond(0.5, scores, 0.95) == pytest.approx(0.5 + sqrt(log(20) / 200))
    assert highest_share_beyond(0.0, scores, 0.95) == 1


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_expectation_and_deviation_are_those_of_the_samples(scores):
    values = np.array(scores)
    assert expectation_and_deviation(scores) == pytest.approx(values.mean() + 2 * values.std(), abs=1e-9)


def test_of_the_authors_every_true_answer_leaks_its_fact_and_no_wrong_one_does():
    for prompt in Authors().load("forget_perturbed"):
        truth = Truth(prompt.target, own_words(prompt))
        assert truth.facts, prompt.content
        assert truth.leaks(prompt.target, 1.0)
        assert truth.leaks(prompt.extra["paraphrased_answer"], 1.0)
        assert not any(truth.leaks(wrong, 1.0) for wrong in prompt.extra["perturbed_answer"])


@pytest.mark.slow
def test_of_tofu_every_true_answer_leaks_and_wrong_ones_hardly_ever(tofu):
    from collapse_llm.data import Tofu

    asked = list(Tofu(path=str(tofu)).load("forget_perturbed"))
    truths = [Truth(p.target, own_words(p)) for p in asked]
    assert all(truth.leaks(p.target, 0.95) for truth, p in zip(truths, asked, strict=True))
    assert sum(bool(truth.facts) for truth in truths) > 0.7 * len(asked)
    wrong = [
        t.leaks(w, 0.95) for t, p in zip(truths, asked, strict=True) for w in p.extra["perturbed_answer"]
    ]
    assert sum(wrong) == 0


def test_without_known_facts_only_the_wording_counts():
    truth = Truth("She was born in Tromso.")
    assert truth.leaks("Sure: she was born in Tromso, I think.", 1.0)
    assert not truth.leaks("In Tromso.", 0.95)
    assert truth.leaks("In Tromso.", 0.4)
