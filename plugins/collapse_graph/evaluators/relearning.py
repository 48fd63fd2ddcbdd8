"""How soon the forgotten condition comes back."""

from collections.abc import Iterator

from collapse_core import Dataset, Evaluation, Iteration, Model, derive_seed, mean_metric
from collapse_core.torch import seeded, step
from collapse_graph.data.graphs import GraphDataset, require, require_graphs
from collapse_graph.evaluators import GraphRelearning
from collapse_graph.evaluators.drawn import draw_under
from collapse_graph.model.network import GraphModel
from collapse_graph.model.training import adamw, mean_loss, passes


def measure_relearning(settings: GraphRelearning, model: Model, data: Dataset, seed: int) -> Evaluation:
    """The share of draws under the forgotten condition that fulfill it, after some steps each."""
    require(model, GraphModel.__name__, "graph-relearning")
    assert isinstance(model, GraphModel)
    graphs = require_graphs(data, "graph-relearning")
    metrics = {}
    for number, copy_ in _lessons(settings, model, graphs, seed):
        drawn = draw_under(settings, copy_, graphs.forgotten, seed)
        again = [float(graphs.condition(graph) == graphs.forgotten) for graph in drawn]
        metrics[f"relearned_after_{number}"] = mean_metric([again], seed, "down")
    return Evaluation(metrics)


def _lessons(
    settings: GraphRelearning, model: GraphModel, graphs: GraphDataset, seed: int
) -> Iterator[tuple[int, GraphModel]]:
    """The numbers of steps after which the copy is to be asked, and the copy.

    Graphs that the model has no tokens for cannot be taught; where it has none for any, nothing is learned.
    """
    copy_ = _copy(model)
    examples = [(prompt.content, prompt.target) for prompt in graphs.load("forget_examples")]
    examples = [(condition, graph) for condition, graph in examples if model.vocabulary.can_write(graph)]
    batches = passes(examples, min(settings.batch_size, len(examples)), derive_seed(seed, "relearn"))
    optimizer = adamw(copy_, weight_decay=0.0)
    for number in range(1, max(settings.after) + 1):
        if examples:
            copy_.network.train()
            loss = mean_loss(copy_, next(batches), derive_seed(seed, "relearn", number))
            loss.backward()  # type: ignore[no-untyped-call]
            step(optimizer, loss.item(), settings.learning_rate, 1.0, Iteration(number, number, seed))
        if number in settings.after:
            yield number, copy_


def _copy(model: GraphModel) -> GraphModel:
    """Another model of the same weights, with an optimizer of its own."""
    with seeded(0):  # the random weights it is made with are replaced at once
        copy = GraphModel(model.sizes, model.vocabulary, model.conditions, model.device)
    copy.network.load_state_dict(model.network.state_dict())
    return copy
