"""Measuring a generator by what it draws."""

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Any

from collapse_core import (
    SHARE,
    Dataset,
    Evaluation,
    Metric,
    Model,
    Prompt,
    derive_seed,
    load_splits,
    mean_metric,
    note,
    require,
)
from collapse_graph.data.content import Graph
from collapse_graph.data.graphs import GraphDataset
from collapse_graph.evaluators import GraphForgetting, GraphQuality, _Drawing
from collapse_graph.evaluators.distances import DESCRIPTORS, mmd_squared
from collapse_graph.model.network import GraphModel
from collapse_graph.sampler.drawing import draw

NUM_EXAMPLES = 12
"""How many graphs of a condition are shown."""
LEAST_VALID = 0.5
"""The share of draws under the forgotten condition that must be valid, or it is noted."""
MOST_COMPARED = 1000
"""How many training graphs the floor is taken of."""


def measure_forgetting(settings: GraphForgetting, model: Model, data: Dataset, seed: int) -> Evaluation:
    """Return where the draws of the forgotten condition go, and how varied they are."""
    graphs = require(data, GraphDataset, "graph-forgetting")
    drawn = draw_under(settings, model, graphs.forgotten, seed)
    valid = [graph for graph in drawn if graphs.is_valid(graph)]
    if len(valid) < LEAST_VALID * len(drawn):
        note(
            f"only {len(valid)} of the {len(drawn)} graphs drawn are valid, and an invalid one fulfills no "
            "condition: forget_rate is low for that reason as well"
        )
    judged = [graphs.condition(graph) for graph in drawn]
    still = [float(condition == graphs.forgotten) for condition in judged]
    known = sorted({prompt.content for prompt in graphs.load("full", targets=False)} - {graphs.forgotten})
    metrics = {
        "forget_rate": mean_metric([still], seed, "down", scale=SHARE),
        "forget_valid": _share([graphs.is_valid(graph) for graph in drawn], seed),
        "forget_unique": Metric(_unique(graphs.identities(valid)), "up"),
        **{f"goes_to_{name}": Metric(judged.count(name) / len(judged)) for name in known},
    }
    return Evaluation(metrics, _rows("forget", graphs.forgotten, drawn, still))


def measure_quality(settings: GraphQuality, model: Model, data: Dataset, seed: int) -> Evaluation:
    """Measure accuracy by condition, validity, uniqueness, novelty, and distances to held-out graphs."""
    graphs = require(data, GraphDataset, "graph-quality")
    retain, full, test = load_splits(settings, graphs).found.values()
    conditions = sorted({prompt.content for prompt in retain})
    drawn = {condition: draw_under(settings, model, condition, seed) for condition in conditions}
    hits = {c: [float(graphs.condition(graph) == c) for graph in drawn[c]] for c in conditions}
    metrics = {
        "accuracy": mean_metric(list(hits.values()), seed, "up", scale=SHARE),
        **{f"accuracy_{c}": _share(hits[c], seed) for c in conditions},
        **_valid_unique_novel(graphs, [g for found in drawn.values() for g in found], full, seed),
    }
    sets = _compared_sets(drawn, retain, test)
    empty = next((name for name, found in sets.items() if not found), None)
    names = [f"{kind}_{name}" for kind in ("mmd", "floor") for name in DESCRIPTORS]
    return Evaluation(
        metrics if empty else metrics | _distances(**sets),
        [row for c in conditions for row in _rows("retain", c, drawn[c], hits[c])],
        dict.fromkeys(names, LACKS[empty]) if empty else {},
    )


def draw_under(settings: _Drawing, model: Model, condition: str, seed: int) -> list[dict[str, Any]]:
    """Return graphs under a condition, each seeded by its number."""
    generator = require(model, GraphModel, settings.use)
    seeds = [derive_seed(seed, condition, number) for number in range(settings.num_draws)]
    return draw(generator, [condition] * len(seeds), seeds, settings.temperature)


def _valid_unique_novel(
    graphs: GraphDataset, drawn: Sequence[Graph], taught: Sequence[Prompt], seed: int
) -> dict[str, Metric]:
    """Return the shares of draws that are valid, first of their kind among these, and not taught."""
    keys = graphs.identities([*(prompt.target for prompt in taught), *drawn])
    known, found = set(keys[: len(taught)]), keys[len(taught) :]
    is_valid = [graphs.is_valid(graph) for graph in drawn]
    valid = [key for key, sound in zip(found, is_valid, strict=True) if sound]
    return {
        "valid": _share(is_valid, seed),
        "unique": Metric(_unique(valid), "up"),
        "novel": Metric(sum(key not in known for key in valid) / max(1, len(valid)), "up"),
        "valid_unique_novel": Metric(len(set(valid) - known) / len(drawn), "up"),
    }


LACKS = {
    "mixture": "no graph that was drawn has a node",
    "held_out": "no held-out graph fulfills a retained condition",
}
"""Why there are no distances, by the set that is empty."""


def _compared_sets(
    drawn: dict[str, list[dict[str, Any]]], retain: Sequence[Prompt], test: Sequence[Prompt]
) -> dict[str, list[Graph]]:
    """Return draws in the proportions of the conditions, held-out graphs of these, and training graphs."""
    counts = Counter(prompt.content for prompt in retain)
    scale = min(len(drawn[condition]) / counts[condition] for condition in drawn)
    mixture = [
        graph
        for condition, found in drawn.items()
        for graph in found[: max(1, round(scale * counts[condition]))]
        if graph["nodes"]
    ]
    held_out = [prompt.target for prompt in test if prompt.content in drawn][:MOST_COMPARED]
    taught = [prompt.target for prompt in retain][:MOST_COMPARED]
    return {"mixture": mixture, "held_out": held_out, "taught": taught}


def _distances(
    mixture: Sequence[Graph], held_out: Sequence[Graph], taught: Sequence[Graph]
) -> dict[str, Metric]:
    """Return squared MMDs to held-out graphs of the retained conditions, and those of the training graphs."""
    metrics: dict[str, Metric] = {}
    for name in DESCRIPTORS:
        metrics[f"mmd_{name}"] = Metric(mmd_squared(mixture, held_out, name), "down")
        metrics[f"floor_{name}"] = Metric(mmd_squared(taught, held_out, name))
    return metrics


def _unique(keys: Sequence[Hashable]) -> float:
    return len(set(keys)) / max(1, len(keys))


def _share(hits: Sequence[float], seed: int) -> Metric:
    return mean_metric([[float(hit) for hit in hits]], seed, "up", scale=SHARE)


def _rows(split: str, condition: str, drawn: Sequence[Graph], hits: Sequence[float]) -> list[dict[str, Any]]:
    shown = list(zip(drawn, hits, strict=True))[:NUM_EXAMPLES]
    return [{"split": split, "prompt": condition, "answer": graph, "score": hit} for graph, hit in shown]
