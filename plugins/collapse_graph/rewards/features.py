"""Where a graph lies by its shape."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from annotated_types import Ge
from pydantic import PrivateAttr

from collapse_core import Content, Dataset, Features


class GraphShape(Features):
    """Size, degrees, clustering, spectrum, and the shares of types of nodes and edges.

    Histograms are cumulative, so that near values are near: the distance between two is of the kind of
    Cramer's, where that of plain histograms would not know a degree of 3 from one of 30. Each block counts
    the same; the types are those of the retain data, and one for all others.
    """

    works_on: ClassVar[tuple[str, ...]] = ("graphs", "molecules")

    max_nodes: Annotated[int, Ge(1)] = 40
    """The number of nodes, and of degrees, that is mapped to one; larger graphs lie beyond."""
    bins: Annotated[int, Ge(2)] = 20
    """Bins of the histograms of clustering and of the spectrum."""

    _node_types: list[str] = PrivateAttr(default_factory=list)
    _edge_types: list[str] = PrivateAttr(default_factory=list)

    def prepare(self, data: Dataset) -> None:
        """Learn which types there are in the retain data."""
        graphs = [prompt.target for prompt in data.load("retain")]
        self._node_types = sorted({kind for graph in graphs for kind in graph["nodes"]})
        self._edge_types = sorted({kind for graph in graphs for *_, kind in graph["edges"]})

    def extract(self, contents: Sequence[Content]) -> Any:
        """Return an array of shape (graphs, features)."""
        from collapse_graph.data.shape import shape_features

        return shape_features(contents, self._node_types, self._edge_types, self.max_nodes, self.bins)
