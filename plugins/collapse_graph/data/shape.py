"""The shape of a graph as a vector."""

from collections.abc import Sequence

import numpy as np

from collapse_graph.data.content import Graph
from collapse_graph.data.descriptors import (
    Histogram,
    clustering_histogram,
    degree_histogram,
    spectrum_histogram,
)


def shape_features(
    graphs: Sequence[Graph], node_types: Sequence[str], edge_types: Sequence[str], max_nodes: int, bins: int
) -> Histogram:
    """Return each graph as a row of blocks of equal weight; see `GraphShape`."""
    rows = [_row(graph, node_types, edge_types, max_nodes, bins) for graph in graphs]
    return np.stack(rows) if rows else np.zeros((0, 0))


def _row(
    graph: Graph, node_types: Sequence[str], edge_types: Sequence[str], max_nodes: int, bins: int
) -> Histogram:
    num = len(graph["nodes"])
    pairs = max(1, num * (num - 1) // 2)
    degrees = degree_histogram(graph)[:max_nodes]
    blocks = [
        np.array([num / max_nodes]),
        np.array([len(graph["edges"]) / pairs]),
        np.pad(degrees, (0, max_nodes - len(degrees))).cumsum(),
        clustering_histogram(graph, bins).cumsum(),
        spectrum_histogram(graph, bins).cumsum(),
        _composition(graph["nodes"], node_types),
        _composition([kind for *_, kind in graph["edges"]], edge_types),
    ]
    return np.concatenate([block / np.sqrt(len(block)) for block in blocks])


def _composition(found: Sequence[str], known: Sequence[str]) -> Histogram:
    counts = [sum(kind == one for kind in found) for one in known]
    return np.array([*counts, len(found) - sum(counts)]) / max(1, len(found))
