"""The gradient steps of an iteration."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from collapse_core import Iteration, Kept, Model, Prompt, derive_seed, require
from collapse_core.torch import (
    Losses,
    TorchModel,
    adamw,
    backward_weighted,
    mean_losses,
    seeded,
    shuffled_passes,
    train,
)
from collapse_graph.model.classifier import NodeModel
from collapse_graph.model.network import GraphModel
from collapse_graph.model.training import mean_loss
from collapse_graph.updater import GraphLikelihood, LabelLikelihood, _Steps

Example = tuple[Any, Any]
"""What was asked, and what is to be answered."""
Loss = Callable[[Sequence[Example], int], torch.Tensor]
"""The mean loss of examples; the integer seeds what is random in it."""


def train_on_graphs(
    settings: GraphLikelihood,
    model: Model,
    kept: Sequence[Kept],
    retain: Sequence[Prompt],
    iteration: Iteration,
) -> dict[str, float]:
    """Train the generator on an iteration's graphs; returns the mean losses for the journal."""
    generator = require(model, GraphModel, "graph-likelihood")
    writable = [one for one in kept if generator.vocabulary.can_write(one.completion.content)]

    def loss(examples: Sequence[Example], seed: int) -> torch.Tensor:
        return mean_loss(generator, examples, seed)

    return _train(settings, generator, loss, _kept(writable), _retained(retain), iteration)


def train_on_labels(
    settings: LabelLikelihood,
    model: Model,
    kept: Sequence[Kept],
    retain: Sequence[Prompt],
    iteration: Iteration,
) -> dict[str, float]:
    """Train the classifier on an iteration's labels; returns the mean losses for the journal."""
    classifier = require(model, NodeModel, "label-likelihood")

    def loss(examples: Sequence[Example], seed: int) -> torch.Tensor:
        return classifier.mean_loss([node for node, _ in examples], [label for _, label in examples])

    return _train(settings, classifier, loss, _kept(kept), _retained(retain), iteration)


def _kept(kept: Sequence[Kept]) -> list[Example]:
    return [(one.prompt.content, one.completion.content) for one in kept]


def _retained(retain: Sequence[Prompt]) -> list[Example]:
    return [(prompt.content, prompt.target) for prompt in retain]


def _train(
    settings: _Steps,
    model: TorchModel,
    loss: Loss,
    kept: Sequence[Example],
    retain: Sequence[Example],
    iteration: Iteration,
) -> dict[str, float]:
    if not kept and not retain:
        return {}
    seed, size = derive_seed(iteration.seed, "update"), settings.batch_size
    kept_batches = shuffled_passes(kept, size, derive_seed(seed, "kept"))
    retain_batches = shuffled_passes(retain, size, derive_seed(seed, "retain"))

    def accumulate(number: int) -> Losses:
        kept_loss = loss(next(kept_batches), derive_seed(seed, "kept", number))
        retain_loss = loss(next(retain_batches), derive_seed(seed, "retain", number))
        return backward_weighted(kept_loss, retain_loss, settings.retain_weight)

    model.module.train()
    with seeded(derive_seed(seed, "dropout")):
        optimizer = model.optimizer(adamw(settings.weight_decay, fused=None))
        return mean_losses(train(settings, optimizer, settings.num_steps, accumulate, iteration))
