"""Total collapse: a model refitted to its own draws alone is a Wright-Fisher drift.

p is a martingale, heterozygosity decays by (1 - 1/N), and the chance to be the last one is p_0
(Shumailov et al., Nature 631, 2024, absorbing Markov chain; Ewens, Mathematical Population Genetics).
"""

from collections.abc import Sequence
from math import log, sqrt

import numpy as np
import pytest
from toy_simulation import (
    START,
    Array,
    agree,
    agree_once,
    binomial,
    changed,
    disagree,
    next_count,
    shares,
    simulate,
    toy,
)

from collapse_core import Recipe

pytestmark = pytest.mark.simulation

DRAWS = 100
TIMES = (1, 5, 20)
Runs = list[list[dict[str, float]]]


@pytest.fixture(scope="module")
def runs() -> Runs:
    return simulate(toy("total_collapse", data__num_draws=DRAWS, iterations=20), range(70), shares)


def heterozygosity(p: dict[str, float]) -> float:
    return 1 - sum(share**2 for share in p.values())


def test_it_starts_with_the_shares_of_the_figures(runs: Runs) -> None:
    assert runs[0][0] == pytest.approx(START)


@pytest.mark.parametrize("t", TIMES)
def test_no_city_is_favored_so_its_share_stays_in_the_mean(runs: Runs, t: int) -> None:
    for city, share in START.items():
        agree(f"drift: share of {city} after {t}", share, [run[t][city] for run in runs])


@pytest.mark.parametrize("t", TIMES)
def test_diversity_decays_by_one_part_in_the_number_of_draws(runs: Runs, t: int) -> None:
    expected = heterozygosity(START) * (1 - 1 / DRAWS) ** t
    agree(f"drift: heterozygosity after {t}", expected, [heterozygosity(run[t]) for run in runs])


@pytest.mark.parametrize("t", TIMES)
def test_cities_die_out_as_the_exact_chain_says(runs: Runs, t: int) -> None:
    chain = next_count(DRAWS, lambda f: f)
    first = binomial(DRAWS, np.array(list(START.values())))
    alive = float((1 - (first @ np.linalg.matrix_power(chain, t - 1))[:, 0]).sum())
    agree(f"drift: cities alive after {t}", alive, [sum(p > 0 for p in run[t].values()) for run in runs])


def test_how_many_cities_survive_by_the_exact_chain() -> None:
    """The paper's ten cities, 100 draws; and one draw: sum of 1 - (1 - p)^N."""
    survivors = {
        1: 9.982,
        2: 9.876,
        5: 9.200,
        10: 7.877,
        20: 5.930,
        50: 3.415,
        100: 2.110,
        200: 1.355,
        500: 1.017,
    }
    chain, law, alive = next_count(DRAWS, lambda f: f), binomial(DRAWS, np.array(list(START.values()))), []
    for _ in range(max(survivors)):
        alive.append(float((1 - law[:, 0]).sum()))
        law = law @ chain
    assert {t: alive[t - 1] for t in survivors} == pytest.approx(survivors, abs=5e-4)
    assert alive[0] == pytest.approx(sum(1 - (1 - p) ** DRAWS for p in START.values()))


def test_the_diffusion_limit_is_near_the_exact_time_until_one_is_left() -> None:
    """-2 N sum (1 - p) ln(1 - p), Ewens' approximation for many draws."""
    approximate = -2 * DRAWS * sum((1 - p) * log(1 - p) for p in START.values())
    assert approximate == pytest.approx(187.4, abs=0.05)
    assert mean_time(fixation(DRAWS, list(START.values()))) == pytest.approx(approximate, rel=0.015)


def test_putting_balls_back_keeps_the_diversity_that_drift_would_lose() -> None:
    mixed = simulate(toy("no_collapse", iterations=20), range(20), shares)
    lost = heterozygosity(START) * (1 - 1 / DRAWS) ** 20
    assert disagree(lost, [heterozygosity(run[20]) for run in mixed])


def small_lottery() -> Recipe:
    """Three cities of 2, 3 and 5 balls, and ten draws: over in about fifteen iterations."""
    recipe = toy("total_collapse", iterations=2000)
    cities = {"counts": {"Ottawa": 2, "Quebec": 3, "Calgary": 5}, "forget": [], "num_draws": 10}
    return changed(recipe, data=recipe.data.model_copy(update=cities))


@pytest.mark.slow
def test_the_last_city_is_drawn_by_its_first_share_when_the_chain_says() -> None:
    runs = simulate(small_lottery(), range(500), shares, until=lambda p: max(p.values()) == 1)
    last = [max(run[-1], key=run[-1].__getitem__) for run in runs]
    for city, share in {"Ottawa": 0.2, "Quebec": 0.3, "Calgary": 0.5}.items():
        error = sqrt(share * (1 - share) / len(runs))
        agree_once(f"drift: {city} is the last", share, last.count(city) / len(runs), error)
    expected = mean_time(fixation(10, [0.2, 0.3, 0.5]))
    agree("drift: iterations until one city is left", expected, [len(run) - 1 for run in runs])


def fixation(draws: int, start: Sequence[float]) -> Array:
    """P(one city is left by t) for t = 1, 2, ...: each city by its own exact chain of counts."""
    chain, law, fixed = next_count(draws, lambda f: f), binomial(draws, np.array(start)), []
    for _ in range(3000):
        fixed.append(float(law[:, draws].sum()))
        law = law @ chain
    return np.array(fixed)


def mean_time(fixed: Array) -> float:
    """The mean of a time, from P(over by t): the sum over t of P(not over by t)."""
    return 1 + float((1 - fixed).sum())


@pytest.mark.parametrize(("draws", "mean", "by_sixty"), [(20, 35.79, 0.887), (100, 185.18, 0.034)])
def test_how_long_total_collapse_takes_by_the_exact_chain(draws: int, mean: float, by_sixty: float) -> None:
    fixed = fixation(draws, list(START.values()))
    assert mean_time(fixed) == pytest.approx(mean, abs=5e-3)
    assert fixed[59] == pytest.approx(by_sixty, abs=5e-4)


def test_with_balls_put_back_nobody_is_ever_the_last() -> None:
    runs = simulate(changed(small_lottery(), iterations=200, retain_per_iteration="all"), range(3), shares)
    assert all(min(run[-1].values()) > 0 for run in runs)
