"""Contents as graphs of networkx and torch-geometric, and back; what cannot be held is refused by name."""

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from collapse_core import CollapseError
from collapse_graph.data.content import EDGE, NODE, Graph, graph

if TYPE_CHECKING:
    import networkx as nx
    from torch_geometric.data import Data

LOOPS = "self-loops"
"""What `ignore` calls edges from a node to itself."""
PARTS = ("edge_index", "y", "batch", "ptr", "num_nodes")
"""Attributes of torch-geometric that are always read, or are no part of a graph."""


def to_networkx(content: Graph) -> "nx.Graph[int]":
    """Return a networkx graph; types are the attribute `kind` of nodes and edges."""
    import networkx as nx

    made: nx.Graph[int] = nx.Graph()
    made.add_nodes_from((i, {"kind": kind}) for i, kind in enumerate(content["nodes"]))
    made.add_edges_from((i, j, {"kind": kind}) for i, j, kind in content["edges"])
    return made


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


def from_networkx(
    source: "nx.Graph[Any]", node_type: str = "kind", edge_type: str = "kind", ignore: Collection[str] = ()
) -> dict[str, Any]:
    """Return the content of a networkx graph; nodes are numbered in its order.

    Args:
        source: The graph. Of a directed one each edge must be there in both directions.
        node_type: The attribute that is the type of a node.
        edge_type: The attribute that is the type of an edge.
        ignore: Further attributes that may be lost, and "self-loops".

    Raises:
        CollapseError: It has something that a content cannot hold.
    """
    place = {node: number for number, node in enumerate(source)}
    nodes = [str(_only(data, node_type, NODE, ignore, "nodes")) for _, data in source.nodes(data=True)]
    edges = [
        (place[i], place[j], str(_only(data, edge_type, EDGE, ignore, "edges")))
        for i, j, data in source.edges(data=True)
    ]
    if source.is_directed():
        there = {(i, j) for i, j, _ in edges}
        if one_way := next((edge for edge in edges if (edge[1], edge[0]) not in there), None):
            raise CollapseError(
                f"the edge from node {one_way[0]} to {one_way[1]} has a direction, which graphs here do not "
                "have; convert it with to_undirected()"
            )
    if source.is_multigraph() and len({(i, j) for i, j, _ in edges}) < len(edges):
        raise CollapseError(
            "two nodes are joined by several edges, which graphs here do not have; merge them"
        )
    return graph(nodes, once(edges, ignore))


def _only(data: dict[str, Any], kind: str, default: str, ignore: Collection[str], what: str) -> Any:
    if lost := sorted(set(map(str, data)) - {kind, *ignore}):
        raise CollapseError(
            f"the attribute '{lost[0]}' of {what} would be lost; remove it, or say that it may be: "
            f"ignore=['{lost[0]}']"
        )
    return data.get(kind, default)


def from_data(
    data: "Data",
    node_types: Sequence[str] | None = None,
    edge_types: Sequence[str] | None = None,
    node_type: str = "x",
    edge_type: str = "edge_attr",
    ignore: Collection[str] = (),
) -> dict[str, Any]:
    """Return the content of a graph of torch-geometric; an edge in one direction or in both is one edge.

    Args:
        data: The graph. Types are one-hot rows, or whole numbers.
        node_types: The names of the types; by default their numbers.
        edge_types: Likewise.
        node_type: The attribute that is the type of nodes; without it they have none.
        edge_type: The attribute that is the type of edges; without it they have none.
        ignore: Further attributes that may be lost, these two among them, and "self-loops".

    Raises:
        CollapseError: It has something that a content cannot hold.
    """
    for key in data.to_dict():
        per_part = data.is_node_attr(key) or data.is_edge_attr(key)
        if per_part and key not in {*PARTS, node_type, edge_type, *ignore}:
            raise CollapseError(
                f"the attribute '{key}' of torch-geometric would be lost; remove it, or "
                f"write 'ignore: [{key}]'"
            )
    if data.edge_index is None:
        raise CollapseError(
            "a graph of torch-geometric has no 'edge_index'; convert others, such as 'adj_t', to it"
        )
    pairs = data.edge_index.T.tolist()
    nodes = _types(data, node_type, node_types, ignore) or [NODE] * int(data.num_nodes or 0)
    kinds = _types(data, edge_type, edge_types, ignore) or [EDGE] * len(pairs)
    return graph(nodes, once([(i, j, kind) for (i, j), kind in zip(pairs, kinds, strict=True)], ignore))


def once(edges: Iterable[tuple[int, int, str]], ignore: Collection[str]) -> list[tuple[int, int, str]]:
    """Return each undirected edge once.

    Raises:
        CollapseError: One joins a node to itself, or has another type in the other direction.
    """
    found: dict[tuple[int, int], str] = {}
    for i, j, kind in edges:
        if i == j and LOOPS not in ignore:
            raise CollapseError(
                f"node {i} has an edge to itself, which graphs here do not have; remove it, or write "
                f"'ignore: [{LOOPS}]'"
            )
        if i != j and found.setdefault((max(i, j), min(i, j)), kind) != kind:
            raise CollapseError(
                f"the edge between nodes {min(i, j)} and {max(i, j)} has two types, "
                f"{found[max(i, j), min(i, j)]} and {kind}; an undirected edge has one"
            )
    return [(i, j, kind) for (i, j), kind in found.items()]


def _types(data: "Data", key: str, names: Sequence[str] | None, ignore: Collection[str]) -> list[str] | None:
    """Return the name of each node's or edge's type; None where there are none."""
    values = data.get(key)
    if values is None or key in ignore:
        return None
    places = _places(values)
    if places is None:
        raise CollapseError(
            f"'{key}' of torch-geometric holds numbers that are no types (one-hot rows, or whole numbers "
            f"from 0), which graphs here do not have; write 'ignore: [{key}]' to leave them out"
        )
    if names is None:
        return [str(place) for place in places]
    if places and max(places) >= len(names):
        raise CollapseError(f"'{key}' holds the type {max(places)}, and there are names for {len(names)}")
    return [names[place] for place in places]


def _places(values: Any) -> list[int] | None:
    """Return the numbers of types that are one-hot rows or whole numbers; None for anything else."""
    flat = values.reshape(len(values), -1) if values.numel() else values.reshape(len(values), 1)
    if flat.shape[1] > 1 or bool((flat == 1).all() and flat.is_floating_point()):
        one_hot = bool(((flat == 0) | (flat == 1)).all() and (flat.sum(1) == 1).all())
        return flat.argmax(1).tolist() if one_hot else None
    whole = bool((flat == flat.round()).all() and (flat >= 0).all()) if flat.numel() else True
    return [int(value) for value in flat[:, 0].tolist()] if whole else None
