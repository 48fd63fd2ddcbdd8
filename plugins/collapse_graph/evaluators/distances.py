"""Distances between sets of graphs."""

from collections.abc import Callable, Sequence

import numpy as np

from collapse_graph.data.content import Graph
from collapse_graph.data.descriptors import (
    Histogram,
    clustering_histogram,
    degree_histogram,
    spectrum_histogram,
)

DESCRIPTORS: dict[str, tuple[Callable[[Graph], Histogram], float]] = {
    "degree": (degree_histogram, 1.0),
    "clustering": (clustering_histogram, 0.1),
    "spectrum": (spectrum_histogram, 1.0),
}
"""The descriptor of a graph, and the bandwidth of its kernel (Liao et al., GRAN, 2019)."""


def mmd_squared(some: Sequence[Graph], others: Sequence[Graph], name: str) -> float:
    """Return the squared maximum mean discrepancy of a descriptor between two sets of graphs.

    mean k(x, x') + mean k(y, y') - 2 mean k(x, y), over all pairs, a graph with itself included, with the
    Gaussian kernel of the total variation distance k(p, q) = exp(-TV(p, q)^2 / (2 sigma^2)) (Liao et al.,
    GRAN, 2019; Gretton et al., JMLR 13, 2012, equation 5). It is squared: no root is taken.
    """
    describe, sigma = DESCRIPTORS[name]
    x, y = _stacked([[describe(graph) for graph in graphs] for graphs in (some, others)])
    return float(_kernel(x, x, sigma).mean() + _kernel(y, y, sigma).mean() - 2 * _kernel(x, y, sigma).mean())


def _stacked(sets: Sequence[Sequence[Histogram]]) -> list[Histogram]:
    """Return each set as one matrix, all of one width."""
    width = max(len(one) for found in sets for one in found)
    return [np.stack([np.pad(one, (0, width - len(one))) for one in found]) for found in sets]


def _kernel(x: Histogram, y: Histogram, sigma: float) -> Histogram:
    distance = np.stack([np.abs(row - y).sum(1) / 2 for row in x])
    return np.asarray(np.exp(-(distance**2) / (2 * sigma**2)))
