"""A graph as a sequence of tokens: node after node, each with its edges back to earlier nodes.

An edge is its type and its gap, the distance to the earlier node in the order of the nodes (gap encoding:
Jang, Lee and Ahn, A Simple and Scalable Representation for Graph Generation, ICLR 2024). A graph of n nodes
and m edges takes n + m + 1 tokens, however many edges are possible.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from collapse_graph.data.content import Graph, graph, is_connected, loads, neighbors, renumbered

Order = Literal["breadth-first", "given"]

END = 0
"""The token that ends a graph, and that stands before its first."""


@dataclass(frozen=True)
class Vocabulary:
    """What the tokens mean."""

    node_types: Sequence[str]
    edge_types: Sequence[str]
    max_nodes: int
    """The largest graph that can be written."""
    max_tokens: int
    """The longest sequence that is drawn, its end included."""
    capacities: Sequence[int]
    """For each node type the most edges, counted with their orders, that a node of it has in the data."""
    connected: bool = False
    """Whether every graph of the data is connected, and so must be what is drawn."""
    order: Order = "breadth-first"
    """How nodes are numbered before a graph is written; "given" takes them as they come."""

    @classmethod
    def of(cls, graphs: Sequence[Graph], order: Order) -> "Vocabulary":
        """Return what it takes to write these graphs."""
        most: dict[str, int] = {}
        for one in graphs:
            for kind, load in zip(one["nodes"], loads(one), strict=True):
                most[kind] = max(load, most.get(kind, 0))
        return cls(
            sorted(most),
            sorted({kind for one in graphs for *_, kind in one["edges"]}),
            max(len(one["nodes"]) for one in graphs),
            max(len(one["nodes"]) + len(one["edges"]) for one in graphs) + 1,
            [most[kind] for kind in sorted(most)],
            all(map(is_connected, graphs)),
            order,
        )

    def __len__(self) -> int:
        return len(self.meanings)

    @cached_property
    def meanings(self) -> list[tuple[str, int]]:
        """For each token its type and its gap: 0 for nodes; the end has no type."""
        nodes = [(kind, 0) for kind in self.node_types]
        return [("", 0), *nodes, *((k, gap) for k in self.edge_types for gap in range(1, self.max_nodes))]

    @cached_property
    def _tokens(self) -> dict[tuple[str, int], int]:
        return {meaning: token for token, meaning in enumerate(self.meanings)}

    def encode(self, content: Graph, seed: int) -> list[int]:
        """Return the tokens of a graph, its end included; the seed decides among breadth-first orders."""
        if self.order == "breadth-first":
            content = renumbered(content, breadth_first(content, seed))
        back: list[list[tuple[int, str]]] = [[] for _ in content["nodes"]]
        for later, earlier, kind in content["edges"]:
            back[later].append((later - earlier, kind))
        tokens = []
        for kind, edges in zip(content["nodes"], back, strict=True):
            tokens.append(self._tokens[kind, 0])
            tokens += [self._tokens[edge, gap] for gap, edge in sorted(edges)]
        return [*tokens, END]

    def decode(self, tokens: Iterable[int]) -> dict[str, Any]:
        """Return the graph that tokens write, up to its end or the last token."""
        nodes: list[str] = []
        edges: list[tuple[int, int, str]] = []
        for token in tokens:
            kind, gap = self.meanings[token]
            if token == END:
                break
            if gap:
                edges.append((len(nodes) - 1, len(nodes) - 1 - gap, kind))
            else:
                nodes.append(kind)
        return graph(nodes, edges)

    def can_write(self, content: Graph) -> bool:
        """Return whether every node and edge of a graph has a token."""
        kinds = {(kind, 0) for kind in content["nodes"]} | {(kind, 1) for *_, kind in content["edges"]}
        return len(content["nodes"]) <= self.max_nodes and all(kind in self._tokens for kind in kinds)


def breadth_first(content: Graph, seed: int) -> list[int]:
    """Return the nodes in a random breadth-first order, by components (You et al., GraphRNN, 2018)."""
    adjacent = neighbors(content)
    shuffled = random.Random(seed).sample(range(len(adjacent)), len(adjacent))
    rank = {node: place for place, node in enumerate(shuffled)}
    order: list[int] = []
    seen: set[int] = set()
    for start in shuffled:
        queue = [] if start in seen else [start]
        seen |= {start}
        for node in queue:
            queue += sorted(adjacent[node] - seen, key=rank.__getitem__)
            seen |= adjacent[node]
        order += queue
    return order
