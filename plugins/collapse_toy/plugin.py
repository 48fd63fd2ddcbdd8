"""What this plugin contributes."""

from collections.abc import Iterable

from collapse_core import Entry, hookimpl


@hookimpl
def collapse_components() -> Iterable[Entry]:
    """The categorical machine."""
    yield Entry("dataset", "cities", "collapse_toy.data:Cities")
    yield Entry("model", "categorical", "collapse_toy.model:CategoricalLoader")
    yield Entry("sampler", "categorical-draws", "collapse_toy.sampler:CategoricalDraws")
    yield Entry("reward", "not-among", "collapse_toy.rewards:NotAmong")
    yield Entry("updater", "categorical-mle", "collapse_toy.updater:CategoricalMle")
    yield Entry("evaluator", "category-shares", "collapse_toy.evaluators:CategoryShares")
