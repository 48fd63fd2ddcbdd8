"""Gradient steps on graphs: shuffled batches, fresh node orders, likelihood as the loss."""

import random
from collections.abc import Callable, Sequence

import torch

from collapse_core import derive_seed
from collapse_core.torch import TorchModel, adamw, backward, descend, falling_rate, seeded, shuffled_passes
from collapse_graph.data.content import Graph
from collapse_graph.model import TeachGraphs, TeachLabels
from collapse_graph.model.network import GraphModel


def mean_loss(
    model: GraphModel, examples: Sequence[tuple[str, Graph]], seed: int, dropout: float = 0.0
) -> torch.Tensor:
    """Compute the mean negative log-likelihood per token of graphs, in random node orders."""
    return token_losses(model, examples, seed, dropout).mean() if examples else torch.zeros(())


def token_losses(
    model: GraphModel, examples: Sequence[tuple[str, Graph]], seed: int, dropout: float = 0.0
) -> torch.Tensor:
    """Compute the negative log-likelihood of each token of graphs, in random node orders.

    Args:
        model: The generator.
        examples: Conditions and graphs, at least one.
        seed: Decides the node orders, and which conditions are left out.
        dropout: How often a graph is read without its condition.

    Returns:
        Shape (tokens of all graphs,), in nats.
    """
    sequences = [
        model.vocabulary.encode(graph, derive_seed(seed, "order", place))
        for place, (_, graph) in enumerate(examples)
    ]
    condition = model.embedded([condition for condition, _ in examples])
    if dropout:
        source = random.Random(derive_seed(seed, "condition"))
        kept = [[float(source.random() >= dropout)] for _ in examples]
        condition = condition * torch.tensor(kept, device=model.device)
    return model.losses(sequences, condition)


def teach(model: GraphModel, examples: Sequence[tuple[str, Graph]], settings: TeachGraphs, seed: int) -> None:
    """Fit the generator to real graphs by maximum likelihood."""
    size = min(settings.batch_size, len(examples))
    num_steps = settings.epochs * len(examples) // size
    batches = shuffled_passes(examples, size, derive_seed(seed, "batches"))

    def loss(number: int) -> torch.Tensor:
        return mean_loss(model, next(batches), derive_seed(seed, number), settings.condition_dropout)

    fit(model, loss, num_steps, settings, seed)


def fit(
    model: TorchModel,
    loss: Callable[[int], torch.Tensor],
    num_steps: int,
    settings: TeachGraphs | TeachLabels,
    seed: int,
) -> None:
    """Teach a model by AdamW on `loss(step)`, its rate falling linearly to zero."""
    model.module.train()
    optimizer = model.optimizer(adamw(settings.weight_decay, fused=None))
    rate = falling_rate(settings.learning_rate, 0.0, num_steps)
    with seeded(seed):
        for _ in descend(optimizer, num_steps, lambda number: backward(loss(number)), rate):
            pass
