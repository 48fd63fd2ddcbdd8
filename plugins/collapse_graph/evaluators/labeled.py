"""Measuring a classifier of nodes by the labels that it gives."""

from collections.abc import Sequence

from collapse_core import SHARE, Dataset, Evaluation, Metric, Model, Prompt, area_metric, mean_metric, require
from collapse_graph.data.nodes import NodeDataset
from collapse_graph.model.classifier import NodeModel
from collapse_graph.sampler.labeling import likeliest_labels


def measure_accuracy(model: Model, data: Dataset, seed: int) -> Evaluation:
    """Measure accuracy on forgotten, retained and test nodes, these also by whether their label stays."""
    nodes = require(data, NodeDataset, "node-accuracy")
    sets = {split: list(nodes.load(split)) for split in ("forget", "retain", "test")}
    kept = {prompt.target for prompt in sets["retain"]}
    gone = {prompt.target for prompt in sets["forget"]} - kept
    if gone:
        sets["test_retained"] = [prompt for prompt in sets["test"] if prompt.target in kept]
        sets["test_forgotten"] = [prompt for prompt in sets["test"] if prompt.target in gone]
    empty = [name for name, found in sets.items() if not found]
    return Evaluation(
        {f"accuracy_{name}": _accuracy(model, found, name, seed) for name, found in sets.items() if found},
        missing={f"accuracy_{name}": "no node of the data set is in it" for name in empty},
    )


def _accuracy(model: Model, prompts: Sequence[Prompt], name: str, seed: int) -> Metric:
    labels = likeliest_labels(model, [prompt.content for prompt in prompts])
    hits = [float(label == prompt.target) for label, prompt in zip(labels, prompts, strict=True)]
    return mean_metric([hits], seed, "down" if name in ("forget", "test_forgotten") else "up", scale=SHARE)


def measure_membership(model: Model, data: Dataset, seed: int) -> Evaluation:
    """Return the AUC of the attack, with an interval over the nodes of both sets."""
    classifier = require(model, NodeModel, "membership-inference")
    nodes = require(data, NodeDataset, "membership-inference")
    members = list(nodes.load("forget"))
    labels = {prompt.target for prompt in members}
    others = [prompt for prompt in nodes.load("test") if prompt.target in labels]
    if not others:
        return Evaluation({}, missing={"membership_auc": "no test node has a label that is forgotten"})
    known, unknown = (_true_label_probability(classifier, some) for some in (members, others))
    return Evaluation({"membership_auc": area_metric(known, unknown)})


def _true_label_probability(model: NodeModel, prompts: Sequence[Prompt]) -> list[float]:
    shares = model.probabilities([prompt.content for prompt in prompts]).tolist()
    return [share[prompt.target] for share, prompt in zip(shares, prompts, strict=True)]
