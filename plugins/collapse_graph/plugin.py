"""What this plugin contributes."""

from collections.abc import Iterable, Mapping
from typing import Any

from collapse_core import Draft, Entry, hookimpl


@hookimpl
def collapse_draft(name: str, model: str | None, sources: Mapping[str, Any]) -> Draft | None:
    """Propose a recipe for graphs, or for the nodes of one."""
    from collapse_graph.drafting import draft_recipe

    return draft_recipe(name, model, sources)


@hookimpl
def collapse_components() -> Iterable[Entry]:
    """A conditional generator of graphs and molecules, a classifier of nodes, and what goes with them."""
    yield Entry("dataset", "graph-atlas", "collapse_graph.data:Atlas")
    yield Entry("dataset", "molecules", "collapse_graph.data:Molecules")
    yield Entry("dataset", "digits-graph", "collapse_graph.data:DigitsGraph")
    yield Entry("dataset", "graph-files", "collapse_graph.data:GraphFiles")
    yield Entry("dataset", "node-file", "collapse_graph.data:NodeFile")
    yield Entry("model", "graph-generator", "collapse_graph.model:GraphGenerator")
    yield Entry("model", "node-classifier", "collapse_graph.model:NodeClassifier")
    yield Entry("sampler", "draw-graphs", "collapse_graph.sampler:DrawGraphs")
    yield Entry("sampler", "draw-labels", "collapse_graph.sampler:DrawLabels")
    yield Entry("reward", "without-motif", "collapse_graph.rewards:WithoutMotif")
    yield Entry("reward", "connected", "collapse_graph.rewards:Connected")
    yield Entry("reward", "without-substructure", "collapse_graph.rewards:WithoutSubstructure")
    yield Entry("reward", "valid-molecule", "collapse_graph.rewards:ValidMolecule")
    yield Entry("reward", "other-label", "collapse_graph.rewards:OtherLabel")
    yield Entry("features", "graph-shape", "collapse_graph.rewards.features:GraphShape")
    yield Entry("updater", "graph-likelihood", "collapse_graph.updater:GraphLikelihood")
    yield Entry("updater", "label-likelihood", "collapse_graph.updater:LabelLikelihood")
    yield Entry("evaluator", "graph-forgetting", "collapse_graph.evaluators:GraphForgetting")
    yield Entry("evaluator", "graph-quality", "collapse_graph.evaluators:GraphQuality")
    yield Entry("evaluator", "graph-relearning", "collapse_graph.evaluators:GraphRelearning")
    yield Entry("evaluator", "node-accuracy", "collapse_graph.evaluators:NodeAccuracy")
    yield Entry("evaluator", "membership-inference", "collapse_graph.evaluators:MembershipInference")
