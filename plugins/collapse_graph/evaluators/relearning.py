"""How soon the forgotten condition comes back."""

from collapse_core import (
    SHARE,
    Dataset,
    Evaluation,
    Model,
    check_finite,
    derive_seed,
    load_splits,
    mean_metric,
    note,
    require,
)
from collapse_core.torch import adamw, backward, descend, seeded, shuffled_passes
from collapse_graph.data.graphs import GraphDataset
from collapse_graph.evaluators import GraphRelearning
from collapse_graph.evaluators.drawn import draw_under
from collapse_graph.model.network import GraphModel
from collapse_graph.model.training import mean_loss


def measure_relearning(settings: GraphRelearning, model: Model, data: Dataset, seed: int) -> Evaluation:
    """Return the share of draws under the forgotten condition that fulfill it, after some steps each.

    Graphs that the model has no tokens for cannot be taught; where it has none for any, nothing is learned,
    which is noted.
    """
    graphs = require(data, GraphDataset, "graph-relearning")
    copy_ = _copy(require(model, GraphModel, "graph-relearning"))
    forgotten = load_splits(settings, graphs).found["forget_examples"]
    examples = [(p.content, p.target) for p in forgotten if copy_.vocabulary.can_write(p.target)]
    if not examples:
        note(
            "the model has no tokens for the forgotten graphs, so it was not taught them and cannot draw them"
        )
    batches = shuffled_passes(examples, settings.batch_size, derive_seed(seed, "relearn"))
    optimizer = copy_.optimizer(adamw(fused=None))

    def accumulate(number: int) -> float:
        if not examples:
            return 0.0
        copy_.network.train()
        return backward(mean_loss(copy_, next(batches), derive_seed(seed, "relearn", number + 1)))

    metrics = {}
    for number in descend(optimizer, max(settings.after), accumulate, lambda _: settings.learning_rate):
        if number in settings.after:
            check_finite(copy_)
            drawn = draw_under(settings, copy_, graphs.forgotten, seed)
            again = [float(graphs.condition(graph) == graphs.forgotten) for graph in drawn]
            metrics[f"relearned_after_{number}"] = mean_metric([again], seed, "down", scale=SHARE)
    return Evaluation(metrics)


def _copy(model: GraphModel) -> GraphModel:
    """Return another model of the same weights, with an optimizer of its own."""
    with seeded(0):  # the random weights it is made with are replaced at once
        copy = GraphModel(model.sizes, model.vocabulary, model.conditions, model.device)
    copy.network.load_state_dict(model.network.state_dict())
    return copy
