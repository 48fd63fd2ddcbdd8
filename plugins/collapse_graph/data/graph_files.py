"""Graphs of a user, from the files that TU data sets and torch-geometric write."""

from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple

from annotated_types import Ge
from pydantic import Field, PrivateAttr, field_validator, model_validator

from collapse_core import CollapseError
from collapse_graph.data.content import Graph, is_connected
from collapse_graph.data.graphs import Example, GraphDataset
from collapse_graph.data.motifs import MOTIFS, count_copies

if TYPE_CHECKING:
    from torch_geometric.data import Data

    from collapse_graph.data.labels import LabelJudge


class Source(NamedTuple):
    """What is read, and how."""

    path: Path
    node_type: str
    edge_type: str
    ignore: tuple[str, ...]


class Read(NamedTuple):
    """The graphs with their labels, None where one has none, and whether all are connected."""

    graphs: Sequence[tuple[Graph, str | None]]
    connected: bool


class GraphFiles(GraphDataset):
    """Graphs from a TU data set in raw files, an InMemoryDataset on disk, or a saved Data or list of them.

    The condition is a motif, "with K4" or "without K4", or the label of the graph, `y`. A motif is tested
    exactly. Of a drawn graph nobody knows the label: a random forest says it, taught shapes and types of the
    training graphs; the run's environment says how often it is right. Nothing in a file is run.
    """

    provides: ClassVar[str] = "graphs"

    path: str = Field(examples=["MUTAG"])
    """A folder or a .pt file, relative to where the command is given."""
    motif: str | None = Field(default=None, examples=["K4"])
    """Forget the graphs that hold it: triangle, K4, K5, C4, C5 or claw."""
    forget: int | str | None = None
    """Forget the graphs of this label, where no motif is given."""
    node_type: str = "x"
    """The attribute that is the type of a node, as one-hot rows or whole numbers."""
    edge_type: str = "edge_attr"
    """The attribute that is the type of an edge, likewise."""
    ignore: list[str] = []
    """Attributes that may be lost, such as edge_weight or pos, and "self-loops"."""
    num_graphs: Annotated[int, Ge(1)] | None = None
    """How many are read, from the first; by default all."""

    _taught: "LabelJudge | None" = PrivateAttr(default=None)

    @field_validator("motif")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        if value is not None and value not in MOTIFS:
            raise ValueError(f"no motif is called '{value}'; known: {', '.join(MOTIFS)}")
        return value

    @model_validator(mode="after")
    def _one_condition(self) -> "GraphFiles":
        if (self.motif is None) == (self.forget is None):
            raise ValueError("give either 'motif' or 'forget', a label, to say which graphs are forgotten")
        return self

    @property
    def forgotten(self) -> str:
        """The condition to forget."""
        return f"with {self.motif}" if self.motif else str(self.forget)

    def examples(self) -> Sequence[Example]:
        """Return the graphs, in the order of the file."""
        read = self._read().graphs[: self.num_graphs]
        if self.motif is None and any(label is None for _, label in read):
            raise CollapseError(f"{self.path}: the graphs have no labels 'y'; forget a 'motif' instead")
        return [
            Example(f"graph-{i}", self._by_motif(graph) if self.motif else str(label), graph)
            for i, (graph, label) in enumerate(read)
        ]

    def condition(self, graph: Graph) -> str:
        """Return the condition: by counting the motif, or as the forest says."""
        if self.motif:
            return self._by_motif(graph)
        return self._judge().label(graph) if graph["nodes"] else "empty"

    def is_valid(self, graph: Graph) -> bool:
        """Return whether the graph has a node, and is connected where all graphs of the data are."""
        return bool(graph["nodes"]) and (is_connected(graph) or not self._read().connected)

    def identities(self, graphs: Sequence[Graph]) -> list[Hashable]:
        """Return numbers of isomorphism classes."""
        from collapse_graph.data.isomorphism import isomorphism_classes

        return list(isomorphism_classes(graphs))

    def provenance(self) -> Mapping[str, object]:
        """Return digests of the files, and how often the forest is right about graphs it was not taught."""
        from collapse_graph.data.stored import provenance_of

        found = dict(provenance_of(Path(self.path)))
        if found and self.motif is None:
            found["judge_accuracy"] = round(self._judge().accuracy, 3)
        return found

    def _by_motif(self, graph: Graph) -> str:
        assert self.motif is not None
        return f"with{'' if count_copies(graph, self.motif) else 'out'} {self.motif}"

    def _read(self) -> "Read":
        from collapse_graph.data.stored import changed

        source = Source(Path(self.path), self.node_type, self.edge_type, tuple(self.ignore))
        return _graphs(source, changed(source.path))

    def _judge(self) -> "LabelJudge":
        from collapse_graph.data.labels import LabelJudge

        if self._taught is None:
            self._taught = LabelJudge([(prompt.content, prompt.target) for prompt in self.load("full")])
        return self._taught


@lru_cache(maxsize=4)
def _graphs(source: Source, changed: tuple[int, ...]) -> Read:
    """Return the graphs of a path."""
    from collapse_graph.data.conversion import from_data
    from collapse_graph.data.stored import saved_graphs, tu_graphs, tu_prefix

    prefix = tu_prefix(source.path)
    read = tu_graphs(prefix) if prefix else [(data, _label(data)) for data in saved_graphs(source.path)]
    found: list[tuple[Graph, str | None]] = []
    for number, (data, label) in enumerate(read):
        try:
            graph = from_data(
                data, node_type=source.node_type, edge_type=source.edge_type, ignore=source.ignore
            )
        except CollapseError as error:
            raise CollapseError(f"{source.path}: graph {number}: {error}") from None
        if not graph["nodes"]:
            raise CollapseError(f"{source.path}: graph {number} has no nodes; leave it out")
        found.append((graph, label))
    return Read(found, all(is_connected(graph) for graph, _ in found))


def _label(data: "Data") -> str | None:
    """Return the label of a graph: one whole number, or None."""
    y: Any = data.get("y")
    if y is None or y.numel() != 1 or y.item() != int(y.item()):
        return None
    return str(int(y.item()))
