"""The gradient steps of an iteration."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from collapse_core import Iteration, Kept, Model, Prompt, derive_seed, require
from collapse_core.torch import (
    Losses,
    TorchModel,
    adamw,
    backward_weighted,
    mean_losses,
    push_away,
    seeded,
    shuffled_passes,
    train,
)
from collapse_graph.model.classifier import NodeModel
from collapse_graph.model.network import GraphModel
from collapse_graph.model.training import mean_loss, token_losses
from collapse_graph.updater import GraphLikelihood, LabelLikelihood, _Steps

Example = tuple[Any, Any]
"""What was asked, and what is to be answered."""
Loss = Callable[[Sequence[Example], int], torch.Tensor]
"""The mean loss of examples; the integer seeds what is random in it."""
EachLoss = Callable[[Model, Sequence[Example], int], torch.Tensor]
"""Each token's or label's loss under a model, of shape (losses,); the integer seeds what is random in it."""


def train_on_graphs(
    settings: GraphLikelihood,
    model: Model,
    kept: Sequence[Kept],
    retain: Sequence[Prompt],
    iteration: Iteration,
) -> dict[str, float]:
    """Train the generator on an iteration's graphs; returns the mean losses for the journal."""
    generator = require(model, GraphModel, "graph-likelihood")
    can_write = generator.vocabulary.can_write

    def loss(examples: Sequence[Example], seed: int) -> torch.Tensor:
        return mean_loss(generator, examples, seed)

    def each_loss(any_model: Model, examples: Sequence[Example], seed: int) -> torch.Tensor:
        return token_losses(require(any_model, GraphModel, "graph-likelihood"), examples, seed)

    learned = [example for example in _kept(kept) if can_write(example[1])]
    pushed = [example for example in _pushed(settings, kept) if can_write(example[1])]
    examples = Examples(learned, pushed, _retained(retain))
    return _train(settings, generator, (loss, each_loss), examples, iteration)


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

    def each_loss(any_model: Model, examples: Sequence[Example], seed: int) -> torch.Tensor:
        nodes, labels = zip(*examples, strict=True)
        return require(any_model, NodeModel, "label-likelihood").losses(nodes, labels)

    examples = Examples(_kept(kept), _pushed(settings, kept), _retained(retain))
    return _train(settings, classifier, (loss, each_loss), examples, iteration)


@dataclass(frozen=True)
class Examples:
    """What an iteration trains on: examples to learn, to push away, and to retain."""

    kept: Sequence[Example]
    pushed: Sequence[Example]
    retain: Sequence[Example]


def _kept(kept: Sequence[Kept]) -> list[Example]:
    return [(one.prompt.content, one.completion.content) for one in kept]


def _pushed(settings: _Steps, kept: Sequence[Kept]) -> list[Example]:
    """Return what is set against the kept; nothing where it does not count."""
    return [
        (one.prompt.content, one.against)
        for one in kept
        if settings.against_weight and one.against is not None
    ]


def _retained(retain: Sequence[Prompt]) -> list[Example]:
    return [(prompt.content, prompt.target) for prompt in retain]


def _train(
    settings: _Steps,
    model: TorchModel,
    losses: tuple[Loss, EachLoss],
    examples: Examples,
    iteration: Iteration,
) -> dict[str, float]:
    if not (examples.kept or examples.pushed or examples.retain):
        return {}
    loss, each_loss = losses
    seed, size = derive_seed(iteration.seed, "update"), settings.batch_size
    kept_batches = shuffled_passes(examples.kept, size, derive_seed(seed, "kept"))
    pushed_batches = shuffled_passes(examples.pushed, size, derive_seed(seed, "against"))
    retain_batches = shuffled_passes(examples.retain, size, derive_seed(seed, "retain"))

    def push(number: int) -> torch.Tensor:
        batch, against_seed = next(pushed_batches), derive_seed(seed, "against", number)
        return push_away(
            model, lambda any_model: each_loss(any_model, batch, against_seed), settings.against_limit
        )

    def accumulate(number: int) -> Losses:
        kept_loss = loss(next(kept_batches), derive_seed(seed, "kept", number))
        if examples.pushed:
            kept_loss = kept_loss + settings.against_weight * push(number)
        retain_loss = loss(next(retain_batches), derive_seed(seed, "retain", number))
        return backward_weighted(kept_loss, retain_loss, settings.retain_weight)

    model.module.train()
    with seeded(derive_seed(seed, "dropout")):
        optimizer = model.optimizer(adamw(settings.weight_decay, fused=None))
        return mean_losses(train(settings, optimizer, settings.num_steps, accumulate, iteration))
