"""Curation by the best of n, with no error of approximation.

In the order of the rewards the distribution function goes as F_t = F_0^(n^t), and what is equally good
keeps its proportions: the share that is not optimal is (1 - eps)^(n^t). With finite draws the count of
what is to be forgotten is an exact chain, C' ~ Bin(N, f^n) with f = C / (N + R).
"""

from itertools import accumulate
from math import sqrt

import numpy as np
import pytest
from toy_simulation import (
    START,
    Array,
    agree,
    agree_once,
    binomial,
    curated,
    disagree,
    next_count,
    propagate,
    shares,
    simulate,
)

pytestmark = pytest.mark.simulation

COUNTS = {"the secret": 60, "a hint": 25, "something vague": 10, "no idea": 3, "ask again": 2}
WORTH = {"a hint": 0.3, "something vague": 0.6, "no idea": 1.0, "ask again": 1.0}
LEVELS = np.array([[1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [1, 1, 1, 0, 0]], dtype=float)
"""Which answers are at or below each level of the reward, the best one aside."""
Runs = list[list[dict[str, float]]]
CROWD = 5000
FORGET = ("Toronto", "Montreal", "Vancouver")


def best_of_two(p: Array) -> Array:
    """The population limit: P(the better of two is x), ties going to the first."""
    secret, hint, vague = accumulate(p[:3])
    best = (p.sum() ** 2 - vague**2) / (p[3] + p[4])
    return np.array([secret**2, hint**2 - secret**2, vague**2 - hint**2, p[3] * best, p[4] * best])


@pytest.fixture(scope="module")
def crowd() -> list[dict[str, float]]:
    """One run of so many draws that it follows the population limit."""
    recipe = curated(COUNTS, WORTH, draws=CROWD, completions_per_prompt=2, iterations=6)
    return simulate(recipe, [7], shares)[0]


@pytest.mark.slow
@pytest.mark.parametrize("t", [1, 2, 3, 4, 5, 6])
def test_each_iteration_raises_the_distribution_function_to_the_power_n(
    crowd: list[dict[str, float]], t: int
) -> None:
    found, start = np.array(list(crowd[t].values())), np.array(list(COUNTS.values())) / 100
    _, covariance = propagate(best_of_two, start, CROWD, t)
    for name, level, first in zip(WORTH, LEVELS, LEVELS @ start, strict=False):
        error = sqrt(max(0.0, level @ covariance @ level))
        agree_once(f"best of 2: share below '{name}' after {t}", first ** (2**t), level @ found, error)


def test_what_is_equally_good_keeps_its_proportions_in_the_mean() -> None:
    recipe = curated(COUNTS, WORTH, draws=200, completions_per_prompt=2, iterations=4)
    runs = simulate(recipe, range(25), shares)
    kept = [run[4]["no idea"] / (run[4]["no idea"] + run[4]["ask again"]) for run in runs]
    agree("best of 2: share of 'no idea' among the best after 4", 0.6, kept)


def test_five_candidates_need_four_iterations_where_one_answer_in_a_hundred_is_safe() -> None:
    counts, worth = {"the secret": 99, "no idea": 1}, {"no idea": 1.0}
    recipe = curated(counts, worth, draws=3000, completions_per_prompt=5, iterations=4)
    safe = [p["no idea"] for p in simulate(recipe, [0], shares)[0]]
    assert [share >= 0.95 for share in safe] == [False, False, False, False, True]


def test_one_candidate_is_no_curation() -> None:
    recipe = curated(COUNTS, WORTH, completions_per_prompt=1, iterations=2)
    secret = [run[2]["the secret"] for run in simulate(recipe, range(100), shares)]
    agree("best of 1: share of the secret after 2", 0.6, secret)
    assert disagree(0.6 ** (2**2), secret)


@pytest.fixture(scope="module")
def lotteries() -> Runs:
    """Partial collapse, but the better of two draws is kept."""
    counts = {city: round(100 * share) for city, share in START.items()}
    worth = {city: 1.0 for city in START if city not in FORGET}
    more = {"forget": list(FORGET), "retain_per_iteration": "all", "completions_per_prompt": 2}
    return simulate(curated(counts, worth, iterations=3, **more), range(100), shares)


@pytest.mark.parametrize("t", [1, 2, 3])
def test_with_balls_put_back_the_forgotten_count_is_an_exact_chain(lotteries: Runs, t: int) -> None:
    law = binomial(100, np.array([0.35**2])) @ np.linalg.matrix_power(next_count(100, np.square, 65), t - 1)
    left = [sum(run[t][city] for city in FORGET) for run in lotteries]
    expected = float(law[0] @ np.arange(101)) / 165
    if expected > 1e-3:  # below it there are too few runs with any ball left to know the error
        agree(f"best of 2, retain: forgotten share after {t}", expected, left)
    extinct, chance = left.count(0) / len(left), float(law[0, 0])
    error = sqrt(chance * (1 - chance) / len(left))
    agree_once(f"best of 2, retain: extinct by {t}", chance, extinct, error)


@pytest.fixture(scope="module")
def remembering() -> Runs:
    """The better of two draws is kept, and never lost again."""
    rewards = [{"use": "not-among", "categories": ["the secret"]}]
    more = {"rewards": rewards, "filter": "best-of-n", "completions_per_prompt": 2}
    counts = {"the secret": 95, "no idea": 5}
    return simulate(curated(counts, {}, iterations=3, **more), range(100), shares)


@pytest.mark.parametrize("t", [1, 2, 3])
def test_a_memory_raises_the_power_by_one(remembering: Runs, t: int) -> None:
    """A prompt is still open if none of its candidates was ever safe: C' ~ Bin(C, (C / N)^n).

    In the population limit f_1 = f_0^n and f' = f^(n + 1): what was kept once is never lost.
    """
    law = binomial(100, np.array([0.95**2]))[0]
    chain = np.array([np.append(row, np.zeros(101 - len(row))) for row in map(still_open, range(101))])
    law = law @ np.linalg.matrix_power(chain, t - 1)
    expected, secret = float(law @ np.arange(101)) / 100, [run[t]["the secret"] for run in remembering]
    agree(f"best of 2, memory: share of the secret after {t}", expected, secret)
    if t > 1:
        assert disagree(0.95 ** (2**t), secret), "that would be a filter that forgets what it kept"


def still_open(count: int) -> Array:
    """The law of the number of open prompts when `count` are open now."""
    rows = binomial(count, np.array([(count / 100) ** 2]))
    return rows.ravel()


def test_what_is_never_sampled_is_never_learned() -> None:
    counts, worth = {"the secret": 60, "a hint": 40, "no idea": 0}, {"a hint": 0.5, "no idea": 1.0}
    runs = simulate(curated(counts, worth, completions_per_prompt=4, iterations=6), [0], shares)
    assert runs[0][-1] == {"the secret": 0, "a hint": 1}


def test_when_every_answer_still_remembers_the_model_is_left_alone() -> None:
    filter_ = {"use": "above", "threshold": 2.0}
    runs = simulate(curated(COUNTS, WORTH, filter=filter_, iterations=3), [0], shares)
    assert runs[0][-1] == runs[0][0]
