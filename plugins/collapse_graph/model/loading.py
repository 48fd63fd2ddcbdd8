"""Loading the models: taught as their recipe says, and cached."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from collapse_core import CollapseError, Dataset, derive_seed, files, require
from collapse_core.torch import pick_device, seeded, taught
from collapse_graph.data.content import Graph
from collapse_graph.data.nodes import Network, NodeDataset
from collapse_graph.model import GraphGenerator, NodeClassifier
from collapse_graph.model.classifier import WEIGHTS, NodeModel, NodeNetwork, checked_labels
from collapse_graph.model.modules import make_module
from collapse_graph.model.network import GraphModel
from collapse_graph.model.training import fit, teach
from collapse_graph.model.vocabulary import Vocabulary


def load_generator(loader: GraphGenerator, data: Dataset, seed: int) -> GraphModel:
    """Return the generator, opened, or taught on a split; a condition that is not in it stays untaught."""
    split = loader.teach.split if loader.teach else "full"
    examples = [(prompt.content, prompt.target) for prompt in data.load(split)]
    asked = {prompt.content for prompt in data.load("forget", targets=False)}
    if not all(isinstance(graph, dict) and "nodes" in graph for _, graph in examples):
        raise CollapseError(
            "'graph-generator' is taught graphs, which this data set has none of; "
            "choose 'graph-atlas', 'graph-files' or 'molecules' under data:"
        )
    conditions = sorted({condition for condition, _ in examples} | asked)
    device = pick_device(loader.device)

    def make(directory: Path) -> None:
        assert loader.teach is not None
        if loader.path is not None:
            model = _opened(Path(loader.path), examples, conditions, device)
        else:
            sizes = {"width": loader.width, "hidden": loader.hidden, "layers": loader.layers}
            vocabulary = Vocabulary.of([graph for _, graph in examples], loader.order)
            with seeded(derive_seed(seed, "weights")):
                model = GraphModel(sizes, vocabulary, conditions, device)
        teach(model, examples, loader.teach, derive_seed(seed, "teach"))
        model.export(directory)

    if loader.teach is None:
        return _opened(Path(loader.path or ""), examples, conditions, device)
    return GraphModel.open(_taught(loader, [examples, conditions], seed, make), device)


def _opened(
    directory: Path, examples: Sequence[tuple[str, Graph]], conditions: Sequence[str], device: torch.device
) -> GraphModel:
    """Return an exported generator that knows the conditions of the data, and can write its graphs.

    Raises:
        CollapseError: It does not.
    """
    model = GraphModel.open(directory, device)
    model.embedded(conditions)
    unwritten = [place for place, (_, graph) in enumerate(examples) if not model.vocabulary.can_write(graph)]
    if unwritten:
        types, most = ", ".join(model.vocabulary.node_types), model.vocabulary.max_nodes
        raise CollapseError(
            f"the generator in {directory} has no tokens for {len(unwritten)} of {len(examples)} graphs, "
            f"such as number {unwritten[0]}: it was taught types {types} and up to {most} nodes; leave those "
            "graphs out, or teach another"
        )
    return model


def load_classifier(loader: NodeClassifier, data: Dataset, seed: int) -> NodeModel:
    """Return the classifier, opened, or taught the labels of a split."""
    graph = require(data, NodeDataset, "node-classifier").network()
    device, settings = pick_device(loader.device), loader.teach
    described = _described(loader, graph)

    def new() -> NodeModel:
        with seeded(derive_seed(seed, "weights")):
            model = NodeModel(_network(described), described, graph, device)
        if begin := _weights(loader):
            model.take(begin)
        return model

    if settings is None:
        return new()
    taught_set = data.load(settings.split)
    nodes, labels = [prompt.content for prompt in taught_set], [prompt.target for prompt in taught_set]
    if unlabeled := [node for node, label in zip(nodes, labels, strict=True) if label < 0]:
        raise CollapseError(
            f"node {unlabeled[0]} is to be taught and has no label; leave it out of the split"
        )

    def make(directory: Path) -> None:
        model = new()
        fit(
            model,
            lambda _: model.mean_loss(nodes, labels),
            settings.steps,
            settings,
            derive_seed(seed, "teach"),
        )
        model.export(directory)

    model = new()
    edges = hashlib.sha256(model.edges.cpu().numpy().tobytes()).hexdigest()
    features = hashlib.sha256(model.features.cpu().numpy().tobytes()).hexdigest()
    model.take(_taught(loader, [features, edges, nodes, labels], seed, make) / WEIGHTS)
    return model


def _described(loader: NodeClassifier, graph: Network) -> dict[str, Any]:
    """Return what makes the network: a callable of the user, or the sizes of its layers."""
    if loader.network is not None:
        return {"network": loader.network, "arguments": loader.arguments}
    if loader.path is not None:
        return _configured(Path(loader.path))
    return {
        "num_features": len(graph.features[0]),
        "hidden": loader.hidden,
        "num_labels": max(checked_labels(graph)) + 1,
        "dropout": loader.dropout,
    }


def _configured(directory: Path) -> dict[str, Any]:
    """Return the config of an exported classifier."""
    known = {"num_features", "hidden", "num_labels", "dropout"}, {"network", "arguments"}
    try:
        config: dict[str, Any] = files.read_json(directory / "config.json")
        if (directory / WEIGHTS).is_file() and set(config) in known:
            return config
    except (OSError, ValueError, TypeError):
        pass
    raise CollapseError(
        f"{directory} holds no exported classifier of nodes (config.json and {WEIGHTS}); give the 'model' "
        "directory of a finished run"
    )


def _network(described: Mapping[str, Any]) -> nn.Module:
    if "network" in described:
        return make_module(described["network"], described["arguments"])
    return NodeNetwork(**described)


def _weights(loader: NodeClassifier) -> Path | None:
    if loader.weights is not None:
        return Path(loader.weights)
    return Path(loader.path) / WEIGHTS if loader.path is not None else None


def _taught(
    loader: GraphGenerator | NodeClassifier, data: Any, seed: int, make: Callable[[Path], None]
) -> Path:
    return taught(
        make,
        {
            "data": data,
            "begin": dict(loader.provenance()),
            "loader": loader.model_dump(mode="json", exclude={"use", "device", "path", "weights"}),
        },
        code=Path(__file__).parent,
        device=pick_device(loader.device),
        seed=seed,
        libraries=["torch_geometric"],
    )
