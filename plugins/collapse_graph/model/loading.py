"""Loading the models: taught as their recipe says, and cached."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from collapse_core import CollapseError, Dataset, derive_seed, require
from collapse_core.torch import pick_device, seeded, taught
from collapse_graph.data.digits import NodeDataset
from collapse_graph.model import GraphGenerator, NodeClassifier
from collapse_graph.model.classifier import NodeModel
from collapse_graph.model.network import GraphModel
from collapse_graph.model.training import fit, teach
from collapse_graph.model.vocabulary import Vocabulary


def load_generator(loader: GraphGenerator, data: Dataset, seed: int) -> GraphModel:
    """Return the generator, taught on a split; a condition to forget that is not in it stays untaught."""
    examples = [(prompt.content, prompt.target) for prompt in data.load(loader.teach.split)]
    asked = {prompt.content for prompt in data.load("forget", targets=False)}
    if not all(isinstance(graph, dict) and "nodes" in graph for _, graph in examples):
        raise CollapseError(
            "'graph-generator' is taught graphs, which this data set has none of; "
            "choose 'graph-atlas' or 'molecules' under data:"
        )
    conditions = sorted({condition for condition, _ in examples} | asked)
    device = pick_device(loader.device)

    def make(directory: Path) -> None:
        sizes = {"width": loader.width, "hidden": loader.hidden, "layers": loader.layers}
        vocabulary = Vocabulary.of([graph for _, graph in examples], loader.order)
        with seeded(derive_seed(seed, "weights")):
            model = GraphModel(sizes, vocabulary, conditions, device)
        teach(model, examples, loader.teach, derive_seed(seed, "teach"))
        model.export(directory)

    return GraphModel.open(_taught(loader, [examples, conditions], seed, make), device)


def load_classifier(loader: NodeClassifier, data: Dataset, seed: int) -> NodeModel:
    """Return the classifier, taught the labels of a split."""
    graph = require(data, NodeDataset, "node-classifier").network()
    taught = data.load(loader.teach.split)
    nodes, labels = [prompt.content for prompt in taught], [prompt.target for prompt in taught]
    settings, device = loader.teach, pick_device(loader.device)

    def new() -> NodeModel:
        with seeded(derive_seed(seed, "weights")):
            return NodeModel(loader.hidden, loader.dropout, graph, device)

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
    model.take(_taught(loader, [graph.features, graph.edges, nodes, labels], seed, make))
    return model


def _taught(
    loader: GraphGenerator | NodeClassifier, data: Any, seed: int, make: Callable[[Path], None]
) -> Path:
    return taught(
        make,
        {"data": data, "loader": loader.model_dump(mode="json", exclude={"use", "device"})},
        code=Path(__file__).parent,
        device=pick_device(loader.device),
        seed=seed,
        libraries=["torch_geometric"],
    )
