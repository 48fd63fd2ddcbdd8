"""Writing graphs token by token."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from collapse_core import Completion, Group, Iteration, Model, Prompt, derive_seed, errors, progress, require
from collapse_graph.model.network import GraphModel
from collapse_graph.model.vocabulary import END
from collapse_graph.sampler import DrawGraphs
from collapse_graph.sampler.grammar import Grammar


def sample_graphs(
    settings: DrawGraphs, model: Model, prompts: Sequence[Prompt], num: int, iteration: Iteration
) -> list[Group]:
    """Return a group of `num` graphs for each prompt."""
    generator = require(model, GraphModel, "draw-graphs")
    rows = [(prompt, number) for prompt in prompts for number in range(num)]
    conditions = [prompt.content for prompt, _ in rows]
    seeds = [derive_seed(iteration.seed, prompt.id, number) for prompt, number in rows]
    graphs = iter(draw(generator, conditions, seeds, settings.temperature, settings.batch_size))
    return [
        Group(prompt, tuple(Completion(next(graphs), number, iteration.number) for number in range(num)))
        for prompt in prompts
    ]


def draw(
    model: GraphModel,
    conditions: Sequence[str],
    seeds: Sequence[int],
    temperature: float = 1.0,
    batch_size: int = 512,
) -> list[dict[str, Any]]:
    """Return one graph for each condition, each from the random stream of its own seed."""
    drawn: list[dict[str, Any]] = []
    model.network.eval()
    for start in progress.track(range(0, len(seeds), batch_size), "sample"):
        rows = slice(start, start + batch_size)
        drawn += _write(model, conditions[rows], seeds[rows], temperature)
    return drawn


@torch.inference_mode()
def _write(
    model: GraphModel, conditions: Sequence[str], seeds: Sequence[int], temperature: float
) -> list[dict[str, Any]]:
    length = model.vocabulary.max_tokens
    chances = np.stack([np.random.Generator(np.random.Philox(key=seed)).random(length) for seed in seeds])
    grammar = Grammar(model.vocabulary, len(seeds), model.device)
    condition, state = model.embedded(conditions), None
    last = torch.full((len(seeds),), END, device=model.device)
    written = []
    for chance in torch.from_numpy(chances).to(model.device).T:
        logits, state = model.network(last[:, None], condition, state)
        logits = logits[:, 0].double().div(temperature).masked_fill(~grammar.allowed(), -torch.inf)
        # Inverting the distribution function makes a row depend on its own uniform number alone.
        edges = logits.softmax(-1).cumsum(-1)
        if not edges.isfinite().all():
            raise errors.outputs_not_finite("probabilities of tokens")
        last = torch.searchsorted(edges, chance[:, None] * edges[:, -1:], right=True)[:, 0]
        written.append(last)
        grammar.read(last)
        if grammar.ended.all():
            break
    return [model.vocabulary.decode(row) for row in torch.stack(written, 1).tolist()]
