"""Gradient steps on graphs: shuffled batches, fresh node orders, likelihood as the loss."""

import random
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

from collapse_core import Iteration, derive_seed, progress
from collapse_core.torch import TorchModel, scheduled_rate, seeded, step
from collapse_graph.data.content import Graph
from collapse_graph.model import TeachGraphs
from collapse_graph.model.network import GraphModel

Item = TypeVar("Item")


def adamw(model: TorchModel, weight_decay: float) -> torch.optim.Optimizer:
    """The run's AdamW."""
    return model.optimizer(lambda found: torch.optim.AdamW(found, lr=0.0, weight_decay=weight_decay))


def passes(items: Sequence[Item], size: int, seed: int) -> Iterator[list[Item]]:
    """Batches without end: shuffled passes over the items, each item once a pass."""
    waiting: list[Item] = []
    number = 0
    while items:
        while len(waiting) < size:
            waiting += random.Random(derive_seed(seed, number)).sample(list(items), len(items))
            number += 1
        yield waiting[:size]
        waiting = waiting[size:]


def mean_loss(
    model: GraphModel, examples: Sequence[tuple[str, Graph]], seed: int, dropout: float = 0.0
) -> torch.Tensor:
    """The mean negative log-likelihood a token of graphs under their conditions, in random node orders."""
    if not examples:
        return torch.zeros(())
    sequences = [
        model.vocabulary.encode(graph, derive_seed(seed, "order", place))
        for place, (_, graph) in enumerate(examples)
    ]
    condition = model.embedded([condition for condition, _ in examples])
    if dropout:
        source = random.Random(derive_seed(seed, "condition"))
        kept = [[float(source.random() >= dropout)] for _ in examples]
        condition = condition * torch.tensor(kept, device=model.device)
    return model.losses(sequences, condition).mean()


def teach(model: GraphModel, examples: Sequence[tuple[str, Graph]], settings: TeachGraphs, seed: int) -> None:
    """Fit the generator to real graphs by maximum likelihood."""
    size = min(settings.batch_size, len(examples))
    num_steps = settings.epochs * len(examples) // size
    batches = passes(examples, size, derive_seed(seed, "batches"))

    def loss(number: int) -> torch.Tensor:
        return mean_loss(model, next(batches), derive_seed(seed, number), settings.condition_dropout)

    fit(model, loss, num_steps, settings.learning_rate, settings.weight_decay, seed)


def fit(
    model: TorchModel,
    loss: Callable[[int], torch.Tensor],
    num_steps: int,
    learning_rate: float,
    weight_decay: float,
    seed: int,
) -> None:
    """Teach a model by AdamW on `loss(step)`, its rate falling linearly to zero."""
    model.module.train()
    optimizer = adamw(model, weight_decay)
    with seeded(seed):
        for number in progress.track(range(num_steps), "teach"):
            value = loss(number)
            value.backward()  # type: ignore[no-untyped-call]
            rate = scheduled_rate(learning_rate, "linear", 0.0, number + 0.5, num_steps)
            step(optimizer, value.item(), rate, 1.0, Iteration(0, 1, seed))
