"""Best of n with a negative weight on the reference answers: the push of guided collapse, in closed form.

With N draws, R = alpha N retain balls, kept shares q(p) and reference shares rho, the updater gives
p' = max(0, q(p) - lambda rho + alpha r) / sum. A share f of what is forgotten, none of it retained, goes as
f' (1 + alpha - lambda) = q(f) - lambda f_0 until it is zero, which it reaches after finitely many iterations.
"""

from math import log, sqrt

import numpy as np
import pytest
from toy_simulation import Array, agree, agree_once, binomial, curated, disagree, shares, simulate

pytestmark = pytest.mark.simulation

SECRET = "the secret"
AGAINST = {"use": "best-of-n", "memory": False, "against": "reference"}


def pushed(counts: dict[str, int], weight: float, **more: object) -> list[list[dict[str, float]]]:
    """Runs that take the reference answers off, by this weight."""
    runs = more.pop("runs", 100)
    updater = {"use": "categorical-mle", "against_weight": weight}
    recipe = curated(counts, {}, filter=AGAINST, updater=updater, **more)
    return simulate(recipe, range(runs), shares)


N, R = 400, 260
ALPHA, LAMBDA, FIRST = R / N, 0.2, 0.35
UNREWARDED = {
    "counts": {SECRET: 140, "another": R},
    "forget": [SECRET],
    "draws": N,
    "completions_per_prompt": 1,
    "retain_per_iteration": "all",
    "iterations": 5,
    "runs": 12,
}


@pytest.fixture(scope="module")
def unrewarded() -> list[list[dict[str, float]]]:
    return pushed(weight=LAMBDA, **UNREWARDED)


def share_after(t: float) -> float:
    """f_t = f* + (f_0 - f*) / (1 + alpha - lambda)^t with f* = lambda f_0 / (lambda - alpha)."""
    limit = LAMBDA * FIRST / (LAMBDA - ALPHA)
    return limit + (FIRST - limit) / (1 + ALPHA - LAMBDA) ** t


@pytest.mark.parametrize("t", [1, 2])
def test_without_a_reward_the_share_heads_for_a_point_below_zero(unrewarded, t: int) -> None:
    found = [run[t][SECRET] for run in unrewarded]
    agree(f"push 0.2, retain: forgotten share after {t}", share_after(t), found)
    if t == 2:
        assert disagree(FIRST / (1 + ALPHA) ** t, found), "that would be partial collapse without a push"


def test_it_is_gone_after_a_number_of_iterations_that_no_sample_size_lengthens(unrewarded) -> None:
    """T = log(alpha / lambda) / log(1 + alpha - lambda); without a push it grows like log N."""
    gone = log(ALPHA / LAMBDA) / log(1 + ALPHA - LAMBDA)
    assert share_after(0) == pytest.approx(FIRST)
    assert share_after(gone) == pytest.approx(0, abs=1e-12)
    assert 3 < gone < 4
    assert all(run[2][SECRET] for run in unrewarded)
    assert not any(run[5][SECRET] for run in unrewarded)


def law_after(t: int, draws: int, back: int, n: int, weight: float, first: float) -> Array:
    """The law of the forgotten share after t iterations of best of n, over the number c of references.

    Given c, the count of what is kept is an exact chain: C' ~ Bin(N, f^n) with f = (C - lambda c)^+ / ((C -
    lambda c)^+ + (N - C - lambda (N - c) + R)^+).

    Returns:
        The mean share, and the chance that it is zero.
    """
    counts = np.arange(draws + 1)
    mean = gone = 0.0
    for c, chance in enumerate(binomial(draws, np.array([first]))[0]):
        secret = np.clip(counts - weight * c, 0, None)
        other = np.clip(draws - counts - weight * (draws - c) + back, 0, None)
        share = secret / (secret + other)
        step = binomial(draws, share**n)
        law = binomial(draws, np.array([first**n]))[0] @ np.linalg.matrix_power(step, t - 1)
        mean += chance * float(law @ share)
        gone += chance * float(law @ (share == 0))
    return np.array([mean, gone])


@pytest.fixture(scope="module")
def rewarded() -> list[list[dict[str, float]]]:
    rewards = [{"use": "not-among", "categories": [SECRET]}]
    more = {"completions_per_prompt": 2, "iterations": 2, "rewards": rewards, "runs": 60}
    return pushed({SECRET: 70, "another": 30}, 0.2, **more)


@pytest.mark.parametrize("t", [1, 2])
def test_with_a_reward_the_forgotten_count_is_an_exact_chain(rewarded, t: int) -> None:
    mean, gone = law_after(t, 100, 0, 2, 0.2, 0.7)
    found = [run[t][SECRET] for run in rewarded]
    agree(f"push 0.2, best of 2: share of the secret after {t}", mean, found)
    error = sqrt(max(gone * (1 - gone), 1e-4) / len(found))
    agree_once(f"push 0.2, best of 2: extinct by {t}", gone, found.count(0) / len(found), error)
    if t == 2:
        assert disagree(law_after(t, 100, 0, 2, 0.0, 0.7)[0], found), "that would be no push"


def test_a_strong_push_ends_it_at_once() -> None:
    """f_1 = 0 in the population limit from lambda = f_0^(n - 1) on: 0.7 here."""
    rewards = [{"use": "not-among", "categories": [SECRET]}]
    more = {"completions_per_prompt": 2, "iterations": 1, "rewards": rewards, "draws": 1000, "runs": 2}
    left = [
        [run[1][SECRET] for run in pushed({SECRET: 70, "another": 30}, weight, **more)]
        for weight in (0.6, 0.8)
    ]
    assert all(left[0])
    assert not any(left[1])


@pytest.fixture(scope="module")
def unretained() -> list[list[dict[str, float]]]:
    return pushed({SECRET: 50, "another": 50}, 0.5, completions_per_prompt=1, iterations=2)


@pytest.mark.parametrize("t", [1, 2])
def test_with_nothing_retained_the_push_drives_all_shares_apart(unretained, t: int) -> None:
    """Without retain data and reward, p_0 is a fixed point that no run stays at.

    A deviation grows by 1 / (1 - lambda) per iteration. With the noise n_s of each iteration's draws and x of
    the references, p_t - p_0 = sum_s n_s (1 - lambda)^-(t - s + 1) - x ((1 - lambda)^-t - 1).
    """
    growth, noise, draws = 2.0, 0.25 / 100, 100
    variance = 0.0
    for s in range(1, t + 1):
        spread = (0.25 - variance_at(s - 1, growth, noise, draws)) / draws
        variance += spread * growth ** (2 * (t - s + 1))
    variance += noise * (growth**t - 1) ** 2
    found = [(run[t][SECRET] - 0.5) ** 2 for run in unretained]
    agree(f"push 0.5, nothing retained: variance after {t}", variance, found)
    assert disagree(noise * t, found), "that would be drift"


def variance_at(t: int, growth: float, noise: float, draws: int) -> float:
    """Of the share after t iterations, for t up to 1."""
    return t * (noise * growth**2 + noise * (growth - 1) ** 2)


def test_what_is_retained_stays_while_more_of_it_is_put_back_than_pushed() -> None:
    """Among what is kept, a deviation shrinks by 1 + alpha - lambda rho: stable where alpha > lambda rho."""
    counts = {"one": 50, "two": 50}
    more = {"completions_per_prompt": 1, "iterations": 12, "runs": 8}
    alive = []
    for back in (80, 20):
        runs = pushed(counts, 0.5, retain_per_iteration=back, **more)
        alive.append([all(run[12].values()) for run in runs])
    assert all(alive[0]), "alpha = 0.8 > 0.5"
    assert not any(alive[1]), "alpha = 0.2 < 0.5"
