"""Histograms that describe the shape of a graph."""

from typing import Any, TypeAlias

import numpy as np

from collapse_graph.data.content import Graph

Histogram: TypeAlias = "np.ndarray[tuple[int, ...], np.dtype[np.float64]]"

CLUSTERING_BINS, SPECTRUM_BINS = 100, 200


def adjacency(graph: Graph) -> Histogram:
    """Return the adjacency matrix; types are ignored."""
    joined = np.zeros((len(graph["nodes"]), len(graph["nodes"])))
    for i, j, _ in graph["edges"]:
        joined[i, j] = joined[j, i] = 1.0
    return joined


def degree_histogram(graph: Graph) -> Histogram:
    """Return the share of nodes of each degree."""
    return _shares(np.bincount(adjacency(graph).sum(0).astype(int)))


def clustering_histogram(graph: Graph, bins: int = CLUSTERING_BINS) -> Histogram:
    """Return the share of nodes by local clustering coefficient, in bins from 0 to 1."""
    joined = adjacency(graph)
    degrees = joined.sum(0)
    triangles = ((joined @ joined) * joined).sum(0) / 2
    coefficients = triangles / np.maximum(1, degrees * (degrees - 1) / 2)
    return _shares(np.histogram(coefficients, bins=bins, range=(0.0, 1.0))[0])


def spectrum_histogram(graph: Graph, bins: int = SPECTRUM_BINS) -> Histogram:
    """Return the share of eigenvalues of the normalized Laplacian, in bins from 0 to 2."""
    joined = adjacency(graph)
    scale = 1 / np.sqrt(np.maximum(1, joined.sum(0)))
    laplacian = np.diag(1.0 * (joined.sum(0) > 0)) - scale[:, None] * joined * scale
    values = np.linalg.eigvalsh(laplacian).clip(max=2.0)  # that of a bipartite graph may round to more
    return _shares(np.histogram(values, bins=bins, range=(-1e-5, 2.0))[0])


def _shares(counts: Any) -> Histogram:
    found: Histogram = np.asarray(counts, dtype=float) / max(1, counts.sum())
    return found
