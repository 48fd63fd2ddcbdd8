"""Which graphs are isomorphic."""

from collections import defaultdict
from collections.abc import Sequence

import networkx as nx

from collapse_graph.data.content import Graph
from collapse_graph.data.conversion import to_networkx


def isomorphism_classes(graphs: Sequence[Graph]) -> list[int]:
    """Return a number for each graph, the same for graphs that are isomorphic with their types.

    Weisfeiler-Lehman hashes distinguish graphs, and where these agree VF2 does, so it is exact.
    """
    seen: dict[str, list[tuple[int, nx.Graph[int]]]] = defaultdict(list)
    numbers: list[int] = []
    for graph in graphs:
        made = to_networkx(graph)
        bucket = seen[nx.weisfeiler_lehman_graph_hash(made, node_attr="kind", edge_attr="kind")]
        known = next((number for number, other in bucket if _same(made, other)), None)
        if known is None:
            known = len(numbers)
            bucket.append((known, made))
        numbers.append(known)
    return numbers


def _same(some: "nx.Graph[int]", other: "nx.Graph[int]") -> bool:
    def alike(a: dict[str, str], b: dict[str, str]) -> bool:
        return a["kind"] == b["kind"]

    return bool(nx.is_isomorphic(some, other, node_match=alike, edge_match=alike))
