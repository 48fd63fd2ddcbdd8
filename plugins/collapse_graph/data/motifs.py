"""Motifs in graphs: which there are, and how often a graph holds one."""

from collapse_graph.data.content import Graph, neighbors

MOTIFS = {
    "triangle": [(0, 1), (0, 2), (1, 2)],
    "K4": [(i, j) for j in range(4) for i in range(j)],
    "K5": [(i, j) for j in range(5) for i in range(j)],
    "C4": [(0, 1), (1, 2), (2, 3), (3, 0)],
    "C5": [(0, 1), (1, 2), (2, 3), (3, 4), (4, 0)],
    "claw": [(0, 1), (0, 2), (0, 3)],
}
"""The motifs by name, as their edges."""


def count_copies(graph: Graph, motif: str) -> int:
    """Count the copies of a motif in a graph, as subgraphs that need not be induced; types are ignored.

    Copies are sets of edges: embeddings of the motif, divided by the number of its automorphisms.
    """
    pattern = _adjacency(MOTIFS[motif])
    return _embeddings(neighbors(graph), pattern) // _embeddings(pattern, pattern)


def _adjacency(edges: list[tuple[int, int]]) -> list[set[int]]:
    return neighbors({"nodes": [""] * (1 + max(map(max, edges))), "edges": [(i, j, "") for i, j in edges]})


def _embeddings(adjacent: list[set[int]], pattern: list[set[int]]) -> int:
    """Count the injective maps of a connected pattern's nodes that keep its edges, by backtracking."""

    def extend(images: tuple[int, ...]) -> int:
        if len(images) == len(pattern):
            return 1
        fixed = [images[node] for node in pattern[len(images)] if node < len(images)]
        free = set.intersection(*(adjacent[image] for image in fixed)) if fixed else set(range(len(adjacent)))
        return sum(extend((*images, image)) for image in sorted(free - set(images)))

    return extend(())
