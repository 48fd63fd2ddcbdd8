"""What this plugin contributes."""

from collections.abc import Iterable

from collapse_core import Entry, hookimpl


@hookimpl
def collapse_components() -> Iterable[Entry]:
    """Yield the categorical machine and the Gaussian, and rewards for either."""
    yield Entry("dataset", "cities", "collapse_toy.data:Cities")
    yield Entry("dataset", "numbers", "collapse_toy.data:Numbers")
    yield Entry("model", "categorical", "collapse_toy.model:CategoricalLoader")
    yield Entry("model", "gaussian", "collapse_toy.model:GaussianLoader")
    yield Entry("sampler", "categorical-draws", "collapse_toy.sampler:CategoricalDraws")
    yield Entry("sampler", "gaussian-draws", "collapse_toy.sampler:GaussianDraws")
    yield Entry("reward", "not-among", "collapse_toy.rewards:NotAmong")
    yield Entry("reward", "category-worth", "collapse_toy.rewards:CategoryWorth")
    yield Entry("reward", "larger", "collapse_toy.rewards:Larger")
    yield Entry("reward", "near", "collapse_toy.rewards:Near")
    yield Entry("updater", "categorical-mle", "collapse_toy.updater:CategoricalMle")
    yield Entry("updater", "gaussian-fit", "collapse_toy.updater:GaussianFit")
    yield Entry("evaluator", "category-shares", "collapse_toy.evaluators:CategoryShares")
    yield Entry("evaluator", "gaussian-shape", "collapse_toy.evaluators:GaussianShape")
