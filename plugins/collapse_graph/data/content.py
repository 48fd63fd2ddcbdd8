"""Graphs as plain JSON.

A graph is `{"nodes": [type, ...], "edges": [[i, j, type], ...]}` with types as texts and each undirected edge
once, i > j, sorted: the same graph with the same numbering is always the same JSON.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

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
