"""Guessing the label of a graph that no one has labeled."""

from collections.abc import Sequence
from typing import Any

from collapse_graph.data.content import Graph
from collapse_graph.data.shape import shape_features

BINS = 20
TREES = 100


class LabelJudge:
    """A random forest on the shapes and types of graphs."""

    def __init__(self, examples: Sequence[tuple[str, Graph]]) -> None:
        """Teach it graphs with their labels."""
        from sklearn.ensemble import RandomForestClassifier

        graphs = [graph for _, graph in examples]
        self.node_types = sorted({kind for graph in graphs for kind in graph["nodes"]})
        self.edge_types = sorted({kind for graph in graphs for *_, kind in graph["edges"]})
        self.max_nodes = max(len(graph["nodes"]) for graph in graphs)
        self.forest = RandomForestClassifier(TREES, oob_score=True, random_state=0)
        self.forest.fit(self._points(graphs), [label for label, _ in examples])
        self.accuracy = float(self.forest.oob_score_)
        """How often it is right about graphs that a tree was not taught with (out of bag)."""

    def label(self, graph: Graph) -> str:
        """Return the likeliest label."""
        return str(self.forest.predict(self._points([graph]))[0])

    def _points(self, graphs: Sequence[Graph]) -> Any:
        return shape_features(graphs, self.node_types, self.edge_types, self.max_nodes, BINS)
