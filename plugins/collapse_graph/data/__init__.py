"""What is generated and classified: graphs, molecules, and the nodes of one graph."""

from collapse_graph.data.atlas import Atlas
from collapse_graph.data.digits import DigitsGraph
from collapse_graph.data.graph_files import GraphFiles
from collapse_graph.data.molecules import Molecules
from collapse_graph.data.node_files import NodeFile

__all__ = ["Atlas", "DigitsGraph", "GraphFiles", "Molecules", "NodeFile"]
