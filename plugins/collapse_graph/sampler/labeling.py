"""Drawing the labels of nodes."""

import random
from collections.abc import Sequence

from collapse_core import Completion, Group, Iteration, Model, Prompt, derive_seed, require
from collapse_graph.model.classifier import NodeModel
from collapse_graph.sampler import DrawLabels


def sample_labels(
    settings: DrawLabels, model: Model, prompts: Sequence[Prompt], num: int, iteration: Iteration
) -> list[Group]:
    """Return a group of `num` labels for each prompt."""
    shares = _probabilities(model, [prompt.content for prompt in prompts], settings.temperature)

    def label(prompt: Prompt, number: int, share: Sequence[float]) -> Completion:
        source = random.Random(derive_seed(iteration.seed, prompt.id, number))
        drawn = source.choices(range(len(share)), weights=share)[0]
        return Completion(drawn, number, iteration.number)

    return [
        Group(prompt, tuple(label(prompt, number, share) for number in range(num)))
        for prompt, share in zip(prompts, shares, strict=True)
    ]


def likeliest_labels(model: Model, nodes: Sequence[int]) -> list[int]:
    """Return the likeliest label of each node."""
    shares = _probabilities(model, nodes, 1.0)
    return [max(range(len(share)), key=share.__getitem__) for share in shares]


def _probabilities(model: Model, nodes: Sequence[int], temperature: float) -> list[list[float]]:
    classifier = require(model, NodeModel, "draw-labels")
    shares: list[list[float]] = classifier.probabilities(nodes, temperature).tolist()
    return shares
