"""What this plugin contributes."""

from collections.abc import Iterable, Mapping
from typing import Any

from collapse_core import Draft, Entry, hookimpl


@hookimpl
def collapse_draft(name: str, model: str | None, sources: Mapping[str, Any]) -> Draft | None:
    """Propose a recipe for a table."""
    from collapse_tabular.drafting import draft_recipe

    return draft_recipe(name, model, sources)


@hookimpl
def collapse_components() -> Iterable[Entry]:
    """Everything that collapse on the rows of a table needs."""
    yield Entry("dataset", "wine", "collapse_tabular.data:Wine")
    yield Entry("dataset", "iris", "collapse_tabular.data:Iris")
    yield Entry("dataset", "breast-cancer", "collapse_tabular.data:BreastCancer")
    yield Entry("dataset", "table", "collapse_tabular.data:TableFile")
    yield Entry("dataset", "adult", "collapse_tabular.data:Adult")
    yield Entry("model", "row-diffusion", "collapse_tabular.model:RowDiffusion")
    yield Entry("sampler", "draw-rows", "collapse_tabular.sampler:DrawRows")
    yield Entry("reward", "outside-subgroup", "collapse_tabular.rewards:OutsideSubgroup")
    yield Entry("reward", "row-classifier", "collapse_tabular.rewards:RowClassifier")
    yield Entry("features", "row-features", "collapse_tabular.rewards.features:RowFeatures")
    yield Entry("updater", "row-denoising", "collapse_tabular.updater:RowDenoising")
    yield Entry("evaluator", "table-forgetting", "collapse_tabular.evaluators:TableForgetting")
    yield Entry("evaluator", "table-quality", "collapse_tabular.evaluators:TableQuality")
    yield Entry("evaluator", "table-privacy", "collapse_tabular.evaluators:TablePrivacy")
    yield Entry("evaluator", "table-relearning", "collapse_tabular.evaluators:TableRelearning")
    yield Entry("evaluator", "table-shares", "collapse_tabular.evaluators:TableShares")
