"""All small graphs: networkx's atlas, by the cliques they hold."""

from collections.abc import Hashable, Sequence
from functools import cache
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Le

from collapse_graph.data.content import Graph, is_connected
from collapse_graph.data.conversion import from_networkx
from collapse_graph.data.graphs import Example, GraphDataset
from collapse_graph.data.motifs import count_copies

CONDITIONS = ("triangle-free", "triangle", "K4")


class Atlas(GraphDataset):
    """Every connected graph of up to seven nodes, from the atlas that ships with networkx.

    The condition is the largest clique that matters: "triangle-free", "triangle" (but no K4), or "K4": four
    nodes all joined to each other (Read and Wilson, An Atlas of Graphs, 1998).
    """

    provides: ClassVar[str] = "graphs"

    forget: Literal["triangle-free", "triangle", "K4"] = "K4"
    """The condition to forget."""
    min_nodes: Annotated[int, Ge(1), Le(7)] = 4
    """Smaller graphs are left out."""

    @property
    def forgotten(self) -> str:
        """The condition to forget."""
        return self.forget

    def examples(self) -> Sequence[Example]:
        """Return the connected graphs, in the order of the atlas."""
        return [
            Example(name, condition, graph)
            for name, condition, graph in _connected()
            if len(graph["nodes"]) >= self.min_nodes
        ]

    def condition(self, graph: Graph) -> str:
        """Return the condition, by counting cliques."""
        return _largest_clique(graph)

    def is_valid(self, graph: Graph) -> bool:
        """Return whether the graph is connected and has enough nodes."""
        return len(graph["nodes"]) >= self.min_nodes and is_connected(graph)

    def identities(self, graphs: Sequence[Graph]) -> list[Hashable]:
        """Return numbers of isomorphism classes."""
        from collapse_graph.data.isomorphism import isomorphism_classes

        return list(isomorphism_classes(graphs))


def _largest_clique(graph: Graph) -> str:
    if count_copies(graph, "K4"):
        return "K4"
    return "triangle" if count_copies(graph, "triangle") else "triangle-free"


@cache
def _connected() -> tuple[tuple[str, str, Graph], ...]:
    from networkx.generators.atlas import graph_atlas_g

    graphs = [(source.name, from_networkx(source)) for source in graph_atlas_g()[1:]]
    return tuple((name, _largest_clique(graph), graph) for name, graph in graphs if is_connected(graph))
