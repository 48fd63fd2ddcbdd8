"""Partial collapse: what is put back stays, what is not put back dies out.

With N draws and R retain balls put back, a = N / (N + R), E p_t = r + a^t (p_0 - r): theorem 2 of arXiv
2507.04219 with alpha = R / N. The count of forgotten balls is the chain C' ~ Bin(N, C / (N + R)).
"""

from math import sqrt

import numpy as np
import pytest
from toy_simulation import (
    START,
    Array,
    agree,
    agree_once,
    binomial,
    disagree,
    next_count,
    shares,
    simulate,
    toy,
)

pytestmark = pytest.mark.simulation

FORGET = ("Toronto", "Montreal", "Vancouver")
DRAWS, PUT_BACK = 100, 65
A = DRAWS / (DRAWS + PUT_BACK)
RETAINED = {city: share / 0.65 for city, share in START.items() if city not in FORGET}
Runs = list[list[dict[str, float]]]


@pytest.fixture(scope="module")
def runs() -> Runs:
    return simulate(toy("partial_collapse", iterations=15), range(110), shares)


def forgotten(p: dict[str, float]) -> float:
    return sum(p[city] for city in FORGET)


@pytest.mark.parametrize("t", [1, 2, 4, 8])
def test_what_is_not_put_back_decays_geometrically(runs: Runs, t: int) -> None:
    agree(f"partial: forgotten share after {t}", 0.35 * A**t, [forgotten(run[t]) for run in runs])


@pytest.mark.parametrize("t", [1, 3, 15])
def test_what_is_put_back_goes_to_its_own_proportions(runs: Runs, t: int) -> None:
    for city, fixed_point in RETAINED.items():
        expected = fixed_point + A**t * (START[city] - fixed_point)
        agree(f"partial: share of {city} after {t}", expected, [run[t][city] for run in runs])


def forgotten_count(times: int) -> Array:
    """The exact law of the number of forgotten balls among the draws, after each iteration."""
    chain = next_count(DRAWS, lambda f: f, PUT_BACK)
    laws = [binomial(DRAWS, np.array([0.35]))[0]]
    for _ in range(times - 1):
        laws.append(laws[-1] @ chain)
    return np.array(laws)


@pytest.mark.parametrize("t", [5, 8, 10, 15])
def test_what_is_not_put_back_dies_out(runs: Runs, t: int) -> None:
    expected = float(forgotten_count(t)[-1, 0])
    extinct = sum(forgotten(run[t]) == 0 for run in runs) / len(runs)
    agree_once(f"partial: extinct by {t}", expected, extinct, sqrt(expected * (1 - expected) / len(runs)))


def test_forgetting_is_exact_after_nine_iterations_in_the_mean() -> None:
    recipe = toy("partial_collapse", iterations=100)
    runs = simulate(recipe, range(1000, 1150), shares, until=lambda p: forgotten(p) == 0)
    expected = 1 + float((1 - forgotten_count(300)[:, 0]).sum())
    assert expected == pytest.approx(8.667, abs=5e-4)
    agree("partial: iterations until extinct", expected, [len(run) - 1 for run in runs])


def test_when_forgetting_is_exact_by_the_chain() -> None:
    extinct = forgotten_count(40)[:, 0]
    by = {5: 0.0532, 8: 0.5472, 10: 0.8044, 15: 0.9826, 20: 0.9986}
    assert {t: extinct[t - 1] for t in by} == pytest.approx(by, abs=5e-5)
    first = [1 + int(np.argmax(extinct >= share)) for share in (0.5, 0.95)]
    assert first == [8, 13], "the median, and the iteration by which 95 % of runs have forgotten"


def wavering(p: float, start: float, times: int) -> float:
    """Var p_t of a retained city, from V' = a^2 ((m (1 - m) - V) / N + V) with the mean m = E p_t."""
    variance = 0.0
    for t in range(times):
        mean = p + A**t * (start - p)
        variance = A**2 * ((mean * (1 - mean) - variance) / DRAWS + variance)
    return variance


def test_what_stays_wavers_by_a_known_variance(runs: Runs) -> None:
    for city, p in RETAINED.items():
        stationary = A**2 * p * (1 - p) / DRAWS / (1 - A**2 * (1 - 1 / DRAWS))
        assert wavering(p, START[city], 15) == pytest.approx(stationary, rel=1e-2)
    expected = sum(wavering(p, START[city], 15) for city, p in RETAINED.items())
    means = {city: p + A**15 * (START[city] - p) for city, p in RETAINED.items()}
    spreads = [sum((run[15][city] - mean) ** 2 for city, mean in means.items()) for run in runs]
    agree("partial: total variance of what is retained after 15", expected, spreads)


def test_with_everything_put_back_every_share_stays_and_wavers() -> None:
    runs = simulate(toy("no_collapse", iterations=10), range(50), shares)
    for city, share in START.items():
        agree(f"none: share of {city} after 10", share, [run[10][city] for run in runs])


def test_a_heavier_retain_ball_forgets_faster() -> None:
    runs = simulate(toy("partial_collapse", iterations=2, updater__retain_weight=2.0), range(50), shares)
    faster = DRAWS / (DRAWS + 2 * PUT_BACK)
    agree("partial, weight 2: forgotten share after 2", 0.35 * faster**2, [forgotten(r[2]) for r in runs])


def test_with_nothing_put_back_nothing_is_forgotten_in_the_mean() -> None:
    runs = simulate(toy("partial_collapse", iterations=2, retain_per_iteration=0), range(50), shares)
    agree("no retain: forgotten share after 2", 0.35, [forgotten(run[2]) for run in runs])
    assert disagree(0.35 * A**2, [forgotten(run[2]) for run in runs])
