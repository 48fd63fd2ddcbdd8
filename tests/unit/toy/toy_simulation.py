"""The real loop, many times over, and what it takes to hold the result against a closed form.

`simulate` calls `collapse` itself; only the run directory is replaced, by one that remembers the model
after every iteration instead of writing files. test_toy_recipes.py shows that both kinds of run see the
same models.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from collapse_core import Model, Recipe, Run, State, collapse, load_recipe
from collapse_core.runtime.processes import Processes

RECIPES = Path(__file__).parents[3] / "recipes" / "toy"
STANDARD_ERRORS = 4.0
START = {
    "Toronto": 0.05,
    "Montreal": 0.10,
    "Vancouver": 0.20,
    "Ottawa": 0.15,
    "Calgary": 0.10,
    "Edmonton": 0.10,
    "Winnipeg": 0.05,
    "Quebec": 0.10,
    "Hamilton": 0.10,
    "Kitchener": 0.05,
}
"""The first shares as the paper's figures show them, written down once more: not the plugin's own."""

Array = NDArray[np.float64]
Seen = TypeVar("Seen")


class Watched(Run):
    """A run without a directory: it looks at the model whenever the loop saves it."""

    def __init__(
        self, recipe: Recipe, look: Callable[[Any], Seen], until: Callable[[Seen], bool] | None
    ) -> None:
        self.recipe = recipe
        self.processes = Processes()
        self.interrupted = False
        self.seen: list[Any] = []
        self.look, self.until = look, until

    def at_work(self) -> AbstractContextManager[None]:
        """Nothing shows signs of life, as there is no directory to show them in."""
        return nullcontext()

    def save(self, model: Model, state: State) -> None:
        """Look at the model; stop the loop, as a signal would, once there is no more to see."""
        self.seen.append(self.look(model))
        self.stopped = self.until is not None and self.until(self.seen[-1])

    def restore(self, *_: object) -> None: ...

    def enter(self, phase: str) -> None: ...

    def record(self, *_: object) -> None: ...

    def evaluated(self, *_: object) -> None: ...

    def finish(self, model: Model) -> None: ...


def toy(name: str, **changes: object) -> Recipe:
    """A recipe of recipes/toy, saved after every iteration so that each one is seen."""
    overrides = [f"{path.replace('__', '.')}={value}" for path, value in changes.items()]
    return load_recipe(RECIPES / f"{name}.yaml", [*overrides, "checkpoint.every=1", "evaluate.with=[]"])


def curated(counts: Mapping[str, int], worth: Mapping[str, float], **more: Any) -> Recipe:
    """A recipe for a curated categorical machine: rewards, and a filter that looks at them."""
    draws = {"num_draws": more.pop("draws", 100), "forget": more.pop("forget", [])}
    recipe = {
        "version": 1,
        "name": "toy-curated",
        "data": {"use": "cities", "counts": dict(counts)} | draws,
        "model": "categorical",
        "sampler": "categorical-draws",
        "rewards": [{"use": "category-worth", "worth": dict(worth)}],
        "filter": {"use": "best-of-n", "memory": False},
        "updater": "categorical-mle",
        "iterations": 1,
        "retain_per_iteration": 0,
        "checkpoint": {"every": 1},
    }
    return Recipe.model_validate(recipe | more)


def changed(recipe: Recipe, draws: int | None = None, **changes: object) -> Recipe:
    """The same recipe with other numbers."""
    if draws is not None:
        changes["data"] = recipe.data.model_copy(update={"num_draws": draws})
    return recipe.model_copy(update=changes)


def simulate(
    recipe: Recipe,
    seeds: Iterable[int],
    look: Callable[[Any], Seen],
    until: Callable[[Seen], bool] | None = None,
) -> list[list[Seen]]:
    """For each seed, what was seen of the model before the first and after every iteration."""
    runs = [Watched(recipe.model_copy(update={"seed": seed}), look, until) for seed in seeds]
    for run in runs:
        collapse(run.recipe, run)
    return [run.seen for run in runs]


def shares(model: Any) -> dict[str, float]:
    """A categorical model, as plain data."""
    return dict(model.probabilities)


def shape(model: Any) -> tuple[float, float]:
    """A Gaussian model, as plain data."""
    return model.mean, model.sd


def estimate(values: Sequence[float]) -> tuple[float, float]:
    """The mean of independent runs, and its standard error."""
    return fmean(values), stdev(values) / sqrt(len(values))


def agree(what: str, expected: float, values: Sequence[float]) -> None:
    """The mean over independent runs is what theory says, within the statistical error."""
    agree_once(what, expected, *estimate(values))


def agree_once(what: str, expected: float, value: float, error: float) -> None:
    """A value whose standard error is known is what theory says, within the statistical error.

    The line is what `pytest -s` shows, and docs/science.md copies.
    """
    print(f"{what:<66} {expected:>9.4f} {value:>9.4f} +- {error:.4f}")
    assert abs(value - expected) <= STANDARD_ERRORS * error + 1e-12, what


def disagree(expected: float, values: Sequence[float]) -> bool:
    """Whether the runs contradict theory: the same comparison, and it fails."""
    value, error = estimate(values)
    return abs(value - expected) > STANDARD_ERRORS * error


def next_count(draws: int, kept: Callable[[Array], Array], put_back: int = 0) -> Array:
    """The exact Markov chain of a category's count among the draws, as a matrix of binomial rows.

    Row c holds the law of the next count when the present one is c: Bin(draws, kept(f)) with the share
    f = c / (draws + put_back), where `put_back` counts the retain balls of other categories.
    """
    counts = np.arange(draws + 1)
    return binomial(draws, kept(counts / (draws + put_back)))


def binomial(draws: int, chances: Array) -> Array:
    """Rows of binomial probabilities, one row a chance."""
    rows: Array = binom.pmf(np.arange(draws + 1)[None, :], draws, np.asarray(chances)[:, None])
    return rows


def propagate(step: Callable[[Array], Array], start: Array, draws: int, times: int) -> tuple[Array, Array]:
    """A population-limit map after some iterations, and the covariance that finite draws add.

    The delta method: each iteration adds multinomial noise (diag(q) - q q') / draws, and the map's
    Jacobian carries on the noise of the iterations before.
    """
    point, covariance = start, np.zeros((len(start), len(start)))
    nudges = 1e-6 * np.eye(len(start))
    for _ in range(times):
        jacobian = np.array([(step(point + nudge) - step(point - nudge)) / 2e-6 for nudge in nudges]).T
        point = step(point)
        noise = (np.diag(point) - np.outer(point, point)) / draws
        covariance = jacobian @ covariance @ jacobian.T + noise
    return point, covariance
