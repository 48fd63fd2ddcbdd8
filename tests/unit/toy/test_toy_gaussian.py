"""A Gaussian refitted to n of its own draws (Shumailov et al., Nature 631, 2024, theorem 3.1).

The spread of the fits goes to zero although, unbiased, their variance does not in the mean; what the
fits lose in spread they gain in wandering.
"""

from collections.abc import Callable
from math import exp, lgamma, log, pi, prod, sin, sqrt, tanh
from typing import Any

import pytest
from scipy.integrate import quad
from scipy.special import digamma
from scipy.stats import norm
from toy_simulation import agree, changed, disagree, shape, simulate, toy

from collapse_core import Recipe

pytestmark = pytest.mark.simulation

DRAWS = 20
TIMES = (1, 5, 20)
Runs = list[list[tuple[float, float]]]


def gaussian(variance: str, **more: object) -> Recipe:
    """The recipe with twenty draws, and few real numbers where none is put back."""
    data = {"data__num_draws": DRAWS, "data__num_real": 20}
    return toy("gaussian_collapse", **{"iterations": 20, "updater__variance": variance} | data | more)


@pytest.fixture(scope="module")
def likeliest() -> Runs:
    return simulate(gaussian("maximum-likelihood"), range(250), shape)


@pytest.fixture(scope="module")
def unbiased() -> Runs:
    return simulate(gaussian("unbiased"), range(300, 550), shape)


@pytest.mark.parametrize("t", TIMES)
def test_the_likeliest_fit_shrinks_while_its_mean_wanders(likeliest: Runs, t: int) -> None:
    left = (1 - 1 / DRAWS) ** t
    agree(f"Gaussian, 1/n: variance after {t}", left, [run[t][1] ** 2 for run in likeliest])
    agree(f"Gaussian, 1/n: squared mean after {t}", 1 - left, [run[t][0] ** 2 for run in likeliest])
    agree(f"Gaussian, 1/n: mean after {t}", 0.0, [run[t][0] for run in likeliest])


@pytest.mark.parametrize("t", range(0, 21, 4))
def test_what_is_lost_in_spread_is_gained_in_wandering(likeliest: Runs, t: int) -> None:
    agree(
        f"Gaussian, 1/n: variance + squared mean after {t}",
        1.0,
        [m**2 + s**2 for m, s in (r[t] for r in likeliest)],
    )


def c4(n: int) -> float:
    """E[s] / sigma of n normal draws: sqrt(2 / (n-1)) Gamma(n/2) / Gamma((n-1)/2)."""
    return sqrt(2 / (n - 1)) * exp(lgamma(n / 2) - lgamma((n - 1) / 2))


@pytest.mark.slow
@pytest.mark.parametrize("t", TIMES)
def test_the_unbiased_fit_collapses_all_the_same(unbiased: Runs, t: int) -> None:
    degrees = DRAWS - 1
    drift = t * (log(2 / degrees) + float(digamma(degrees / 2)))
    agree(f"Gaussian, 1/(n-1): sd after {t}", c4(DRAWS) ** t, [run[t][1] for run in unbiased])
    agree(f"Gaussian, 1/(n-1): log variance after {t}", drift, [2 * log(run[t][1]) for run in unbiased])
    agree(f"Gaussian, 1/(n-1): squared mean after {t}", t / DRAWS, [run[t][0] ** 2 for run in unbiased])


@pytest.mark.slow
def test_the_two_fits_are_told_apart(likeliest: Runs, unbiased: Runs) -> None:
    assert disagree(c4(DRAWS) ** 20, [run[20][1] for run in likeliest])
    assert disagree(20 / DRAWS, [run[20][0] ** 2 for run in likeliest])
    assert disagree((1 - 1 / DRAWS) ** 20, [run[20][1] ** 2 for run in unbiased])


def mixed(num_real: int, times: int) -> tuple[float, float]:
    """E of the squared mean and of the variance, with so many fresh real numbers in each fit.

    A' = (n B + m) / N^2 + (n/N)^2 A and B' = (n (A + B) + m) / N - A', with N = n + m, 1/n fits and real
    numbers of mean 0 and variance 1.
    """
    whole, squared_mean, variance = DRAWS + num_real, 0.0, 1.0
    for _ in range(times):
        total = (DRAWS * (squared_mean + variance) + num_real) / whole
        squared_mean = (DRAWS * variance + num_real) / whole**2 + (DRAWS / whole) ** 2 * squared_mean
        variance = total - squared_mean
    return squared_mean, variance


def test_a_quarter_of_real_data_stops_the_collapse() -> None:
    recipe = gaussian("maximum-likelihood", retain_per_iteration=5, data__num_real=200, iterations=15)
    runs = simulate(recipe, range(120), shape)
    squared_mean, variance = mixed(5, 15)
    agree("Gaussian, 5 real of 25: variance after 15", variance, [run[15][1] ** 2 for run in runs])
    agree("Gaussian, 5 real of 25: squared mean after 15", squared_mean, [run[15][0] ** 2 for run in runs])
    assert disagree((1 - 1 / DRAWS) ** 15, [run[15][1] ** 2 for run in runs])
    assert mixed(5, 1000) == pytest.approx((0.1020, 0.8980), abs=5e-5)


@pytest.mark.parametrize(
    ("num_real", "squared_mean", "variance"),
    [
        pytest.param(2, 0.2115, 0.7885, marks=pytest.mark.slow),
        (20, 0.0328, 0.9672),
        pytest.param(100, 0.0086, 0.9914, marks=pytest.mark.slow),
    ],
)
def test_any_share_of_fresh_real_data_has_a_fixed_point(
    num_real: int, squared_mean: float, variance: float
) -> None:
    assert mixed(num_real, 1000) == pytest.approx((squared_mean, variance), abs=5e-5)
    recipe = gaussian("maximum-likelihood", retain_per_iteration=num_real, data__num_real=500, iterations=12)
    runs = simulate(recipe, range(2000, 2080), shape)
    expected = mixed(num_real, 12)
    agree(f"Gaussian, {num_real} real: squared mean after 12", expected[0], [r[12][0] ** 2 for r in runs])
    agree(f"Gaussian, {num_real} real: variance after 12", expected[1], [r[12][1] ** 2 for r in runs])


def accumulated(draws: int, times: int) -> float:
    """E of the variance when each fit is to the draws of all iterations so far."""
    return prod(1 - 1 / (draws * k**2) for k in range(1, times + 1))


def test_who_accumulates_loses_little_and_then_no_more() -> None:
    assert [accumulated(10, t) for t in (1, 2, 3, 5)] == pytest.approx(
        [0.9, 0.8775, 0.86775, 0.8590], abs=3e-4
    )
    limit = sin(pi / sqrt(10)) / (pi / sqrt(10))
    assert accumulated(10, 20_000) == pytest.approx(limit, abs=1e-5)
    assert limit == pytest.approx(0.8434, abs=5e-5)
    recipe = gaussian("maximum-likelihood", data__num_draws=10, iterations=12, updater__accumulate="true")
    runs = simulate(recipe, range(400), shape)
    for t in (1, 5, 12):
        agree(f"Gaussian, accumulating: variance after {t}", accumulated(10, t), [r[t][1] ** 2 for r in runs])
    assert disagree((1 - 1 / 10) ** 12, [r[12][1] ** 2 for r in runs]), "that would be replacing"


def curated(num_candidates: int, draws: int, iterations: int, **parts: Any) -> Recipe:
    """A curated refit by maximum likelihood: real parts, put into the same recipe."""
    recipe = gaussian("maximum-likelihood", data__num_draws=draws, iterations=iterations)
    new = {"rewards": [{"use": "larger"}], "filter": {"use": "best-of-n", "memory": False}} | parts
    plain = recipe.resolved() | new | {"completions_per_prompt": num_candidates}
    return Recipe.model_validate(plain)


def highest_of(num: int) -> tuple[float, float]:
    """Mean and variance of the largest of some standard normal numbers."""

    def moment(power: int) -> float:
        def integrand(x: float) -> float:
            return x**power * num * float(norm.pdf(x)) * float(norm.cdf(x)) ** (num - 1)

        return float(quad(integrand, -10, 10)[0])

    return moment(1), moment(2) - moment(1) ** 2


def test_the_best_of_four_moves_up_and_narrows() -> None:
    rise, narrowing = highest_of(4)
    assert (rise, narrowing) == pytest.approx((1.0294, 0.4917), abs=5e-5)
    runs = simulate(curated(4, draws=40, iterations=3), range(100), shape)
    agree("Gaussian, best of 4: mean after 1", rise, [run[1][0] for run in runs])
    agree("Gaussian, best of 4: step of the mean per sd", rise, [(r[3][0] - r[2][0]) / r[2][1] for r in runs])
    for t in (1, 3):
        left = (narrowing * (1 - 1 / 40)) ** t
        agree(f"Gaussian, best of 4: variance after {t}", left, [run[t][1] ** 2 for run in runs])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("num", "rise", "narrowing", "end"),
    [(2, 0.5642, 0.6817, 3.236), pytest.param(4, 1.0294, 0.4917, 3.445, marks=pytest.mark.slow)],
)
def test_the_best_of_n_ends_at_a_finite_mean(num: int, rise: float, narrowing: float, end: float) -> None:
    """mu_t = mu_0 + m_N (sigma_0 + ... + sigma_(t-1)), and sigma falls geometrically: the series ends."""
    assert highest_of(num) == pytest.approx((rise, narrowing), abs=5e-5)
    assert rise / (1 - sqrt(narrowing)) == pytest.approx(end, abs=2e-3)
    iterations, draws = 25, 300
    runs = simulate(curated(num, draws=draws, iterations=iterations), range(12), shape)
    shrink = c4(draws) * sqrt((draws - 1) / draws) * sqrt(narrowing)
    agree(f"Gaussian, best of {num}: mean at the end", rise / (1 - shrink), [run[-1][0] for run in runs])
    assert max(run[-1][1] for run in runs) < 0.02


def test_one_step_of_the_best_of_n_costs_a_divergence_that_only_n_decides() -> None:
    """KL of the best of N from one draw is log N - (N - 1) / N, whatever the continuous reward."""
    for num in (2, 4, 8):

        def integrand(x: float, num: int = num) -> float:
            density = num * float(norm.pdf(x)) * float(norm.cdf(x)) ** (num - 1)
            return density * (log(num) + (num - 1) * float(norm.logcdf(x)))

        assert quad(integrand, -8, 10)[0] == pytest.approx(log(num) - (num - 1) / num, abs=1e-6)


def test_two_candidates_under_bradley_terry_move_up_by_less() -> None:
    """The kept one of x and y is (x+y)/2 + |x-y|/2 tanh(|x-y|/2) in the mean, and x - y ~ N(0, 2)."""
    runs = simulate(curated(2, draws=40, iterations=1, filter="bradley-terry"), range(100), shape)
    rise = expectation(lambda d: abs(d) / 2 * tanh(abs(d) / 2), sqrt(2))
    agree("Gaussian, Bradley-Terry of 2: mean after 1", rise, [run[1][0] for run in runs])
    assert disagree(1 / sqrt(pi), [run[1][0] for run in runs]), "that would be the better of the two"


def expectation(function: Callable[[float], float], sd: float) -> float:
    """E of a function of a centered normal number."""
    return float(quad(lambda x: function(x) * float(norm.pdf(x, scale=sd)), -12 * sd, 12 * sd)[0])


def test_many_candidates_near_a_target_add_to_the_precision() -> None:
    """K -> inf: p' ~ p e^(-(x-a)^2 / 2) has precision 1 + 1 and mean a / 2."""
    rewards = [{"use": "near", "target": 1.0}]
    recipe = curated(48, draws=50, iterations=1, rewards=rewards, filter="bradley-terry")
    runs = simulate(recipe, range(25), shape)
    agree("Gaussian, K = 48 near 1: mean after 1", 0.5, [run[1][0] for run in runs])
    agree("Gaussian, K = 48 near 1: variance after 1", 0.5 * (1 - 1 / 50), [run[1][1] ** 2 for run in runs])


def test_without_a_reward_many_candidates_are_one() -> None:
    recipe = changed(curated(3, draws=20, iterations=1), rewards=[])
    one = changed(recipe, completions_per_prompt=1)
    assert simulate(recipe, [0], shape) == simulate(one, [0], shape)
