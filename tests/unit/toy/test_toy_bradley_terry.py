"""Curation by a Bradley-Terry draw from K candidates (Ferbach et al., NeurIPS 2024, arXiv 2407.09499).

p'(x) = p(x) H_K(x), H_K(x) = E[K e^r(x) / (e^r(x) + sum of e^r of K - 1 others)] <= K; with K -> inf the
replicator p' ~ p e^r, hence p_t ~ p_0 e^(t r). A temperature divides the rewards.
"""

from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from math import factorial, prod, sqrt

import numpy as np
import pytest
from toy_simulation import Array, agree_once, curated, propagate, shares, simulate

from collapse_core import Recipe

pytestmark = pytest.mark.simulation

COUNTS = {"the secret": 50, "a hint": 30, "something vague": 15, "no idea": 5}
WORTH = {"the secret": 0.0, "a hint": 0.5, "something vague": 1.0, "no idea": 2.0}
TEMPERATURE = 0.7
START = np.array([0.50, 0.30, 0.15, 0.05])
ODDS = np.exp(np.array([0.0, 0.5, 1.0, 2.0]) / TEMPERATURE)
DRAWS = 5000


def drawn_by_worth(num_candidates: int, temperature: float = TEMPERATURE, **more: object) -> Recipe:
    filter_ = {"use": "bradley-terry", "temperature": temperature}
    recipe = {"draws": DRAWS, "filter": filter_, "completions_per_prompt": num_candidates} | more
    return curated(COUNTS, WORTH, **recipe)


def splits(total: int, parts: int) -> Iterator[tuple[int, ...]]:
    """All ways to split a number into ordered parts: the counts of K - 1 candidates by category."""
    if parts == 1:
        yield (total,)
        return
    for first in range(total + 1):
        yield from ((first, *rest) for rest in splits(total - first, parts - 1))


@cache
def others(num: int, categories: int) -> tuple[Array, Array]:
    """All counts by category of so many candidates, and in how many orders each can come."""
    counts = list(splits(num, categories))
    ways = [factorial(num) // prod(map(factorial, count)) for count in counts]
    return np.array(counts, dtype=float), np.array(ways, dtype=float)


def growth(p: Array, odds: Array, num_candidates: int) -> Array:
    """H_K by enumeration of everything that the other K - 1 candidates can be."""
    counts, ways = others(num_candidates - 1, len(p))
    chances = ways * np.prod(p**counts, axis=1)
    shares_of_draw = num_candidates * odds / (odds + (counts @ odds)[:, None])
    expected: Array = chances @ shares_of_draw
    return expected


def one_step(num_candidates: int, seed: int = 1) -> Array:
    """The shares after one iteration of the loop."""
    return np.array(list(simulate(drawn_by_worth(num_candidates), [seed], shares)[0][-1].values()))


def replicator(p: Array) -> Array:
    """The limit of many candidates: every share grows by the exponential of its reward."""
    grown = p * ODDS
    scaled: Array = grown / grown.sum()
    return scaled


@pytest.mark.parametrize("num_candidates", [2, 3, 4])
def test_one_iteration_multiplies_each_share_by_its_growth(num_candidates: int) -> None:
    expected = START * growth(START, ODDS, num_candidates)
    assert expected.sum() == pytest.approx(1)
    for name, theory, found in zip(COUNTS, expected, one_step(num_candidates), strict=True):
        error = sqrt(theory * (1 - theory) / DRAWS)
        agree_once(f"Bradley-Terry, K = {num_candidates}: share of '{name}' after 1", theory, found, error)


def test_a_few_candidates_are_not_yet_the_limit() -> None:
    theory, found = replicator(START), one_step(2)
    assert np.abs(theory - found).max() > 8 * sqrt(0.25 / DRAWS)


def test_a_single_candidate_changes_nothing_in_the_mean() -> None:
    errors = np.sqrt(START * (1 - START) / DRAWS)
    assert (np.abs(one_step(1) - START) <= 4 * errors).all()


@pytest.fixture(scope="module")
def many_candidates() -> list[dict[str, float]]:
    return simulate(drawn_by_worth(48, draws=800, iterations=3), [0], shares)[0]


@pytest.mark.parametrize("t", [1, 2, 3])
def test_with_many_candidates_shares_grow_exponentially_in_their_reward(
    many_candidates: list[dict[str, float]], t: int
) -> None:
    """48 candidates are an exact map of their own, within a few per cent of the limit p_0 e^(t r)."""
    found = np.array(list(many_candidates[t].values()))
    expected, covariance = propagate(lambda p: p * growth(p, ODDS, 48), START, 800, t)
    errors = np.sqrt(covariance.diagonal())
    for name, theory, share, error in zip(COUNTS, expected, found, errors, strict=True):
        agree_once(f"Bradley-Terry, K = 48: share of '{name}' after {t}", theory, share, error)
    limit = START * ODDS**t / (START @ ODDS**t)
    assert np.abs(expected - limit).max() < 0.03
    assert (np.abs(found - limit) <= 4 * errors + 0.03).all()


@pytest.mark.parametrize("num_candidates", [2, 4])
def test_the_mean_reward_rises_by_at_least_its_variance(num_candidates: int) -> None:
    """Lemma 2.2: E'[e^r] >= E[e^r] + (K-1)/K Var[e^r] / max e^r, here up to the error of the draws."""
    before = float(START @ ODDS)
    variance = float(START @ (ODDS - before) ** 2)
    bound = before + (num_candidates - 1) / num_candidates * variance / ODDS.max()
    found = one_step(num_candidates)
    after = float(found @ ODDS)
    error = sqrt(float(found @ (ODDS - after) ** 2) / DRAWS)
    assert after >= bound - 4 * error
    assert before < bound - 4 * error, "the bound would hold of a model that did not move"


@pytest.mark.slow
def test_no_share_grows_faster_than_the_number_of_candidates() -> None:
    nearly_the_best = drawn_by_worth(3, temperature=0.05, iterations=3)
    run = simulate(nearly_the_best, [2], shares)[0]
    for before, after in pairwise(run):
        for name, share in before.items():
            upper_bound = min(1.0, 3 * share)
            assert after[name] <= upper_bound + 4 * sqrt(upper_bound * (1 - upper_bound) / DRAWS)
    assert run[1]["no idea"] > 2.5 * run[0]["no idea"], "the upper_bound is nearly reached by what is rare"
