"""Graphs as plain JSON, and as the libraries know them.

A graph is `{"nodes": [type, ...], "edges": [[i, j, type], ...]}` with types as texts and each undirected edge
once, i > j, sorted: the same graph with the same numbering is always the same JSON.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import networkx as nx
    from torch_geometric.data import Data

Graph: TypeAlias = Mapping[str, Any]

NODE, EDGE = "*", "-"
"""The only types there are in a graph without types."""

ORDERS = {"=": 2, "#": 3}
"""How often an edge counts for its two nodes, where not once: double and triple bonds."""


def graph(nodes: Sequence[str], edges: Iterable[tuple[int, int, str]]) -> dict[str, Any]:
    """Return the content of a graph; edges may come in any order and direction."""
    return {"nodes": list(nodes), "edges": sorted([max(i, j), min(i, j), kind] for i, j, kind in edges)}


def renumbered(content: Graph, order: Sequence[int]) -> dict[str, Any]:
    """Return the same graph, with node `order[k]` as its node k."""
    place = {node: number for number, node in enumerate(order)}
    nodes = [content["nodes"][node] for node in order]
    return graph(nodes, [(place[i], place[j], kind) for i, j, kind in content["edges"]])


def neighbors(content: Graph) -> list[set[int]]:
    """Return the neighbors of each node."""
    found: list[set[int]] = [set() for _ in content["nodes"]]
    for i, j, _ in content["edges"]:
        found[i].add(j)
        found[j].add(i)
    return found


def loads(content: Graph) -> list[int]:
    """Return how many edges each node has, counted with their orders: its degree, or its valence."""
    found = [0] * len(content["nodes"])
    for i, j, kind in content["edges"]:
        found[i] += ORDERS.get(kind, 1)
        found[j] += ORDERS.get(kind, 1)
    return found


def is_connected(content: Graph) -> bool:
    """Return whether there is a node, and a path from it to every other."""
    adjacent = neighbors(content)
    reached, waiting = {0}, [0]
    while waiting and adjacent:
        new = adjacent[waiting.pop()] - reached
        reached |= new
        waiting += new
    return len(reached) == len(adjacent)


def to_networkx(content: Graph) -> "nx.Graph[int]":
    """Return a networkx graph; types are the attribute `kind` of nodes and edges."""
    import networkx as nx

    made: nx.Graph[int] = nx.Graph()
    made.add_nodes_from((i, {"kind": kind}) for i, kind in enumerate(content["nodes"]))
    made.add_edges_from((i, j, {"kind": kind}) for i, j, kind in content["edges"])
    return made


def from_networkx(source: "nx.Graph[Any]") -> dict[str, Any]:
    """Return the content of a networkx graph; nodes are numbered in its order."""
    place = {node: number for number, node in enumerate(source)}
    nodes = [data.get("kind", NODE) for _, data in source.nodes(data=True)]
    return graph(
        nodes, [(place[i], place[j], data.get("kind", EDGE)) for i, j, data in source.edges(data=True)]
    )


def to_data(content: Graph, node_types: Sequence[str], edge_types: Sequence[str]) -> "Data":
    """Make a graph of torch-geometric: one-hot `x` and `edge_attr`, `edge_index` in both directions."""
    import torch
    from torch.nn.functional import one_hot
    from torch_geometric.data import Data

    both = [pair for i, j, kind in content["edges"] for pair in ((i, j, kind), (j, i, kind))]
    index = torch.tensor([[i, j] for i, j, _ in both], dtype=torch.long).reshape(-1, 2).T.contiguous()
    kinds = torch.tensor([edge_types.index(kind) for *_, kind in both], dtype=torch.long)
    types = torch.tensor([node_types.index(kind) for kind in content["nodes"]], dtype=torch.long)
    return Data(
        x=one_hot(types, len(node_types)).float(),
        edge_index=index,
        edge_attr=one_hot(kinds, len(edge_types)).float(),
    )


def from_data(data: "Data", node_types: Sequence[str], edge_types: Sequence[str]) -> dict[str, Any]:
    """Return the content of an undirected graph of torch-geometric whose types are one-hot, or absent."""
    assert data.edge_index is not None
    nodes = [NODE] * int(data.num_nodes or 0) if data.x is None else _types(data.x, node_types)
    pairs = data.edge_index.T.tolist()
    kinds = [EDGE] * len(pairs) if data.edge_attr is None else _types(data.edge_attr, edge_types)
    once = {(max(pair), min(pair), kind) for pair, kind in zip(pairs, kinds, strict=True)}
    return graph(nodes, once)


def _types(one_hot: Any, names: Sequence[str]) -> list[str]:
    return [names[place] for place in one_hot.argmax(1).tolist()]
