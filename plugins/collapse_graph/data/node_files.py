"""The nodes of a user's graph, from what torch-geometric saved."""

import random
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple

from annotated_types import Ge, Gt, Lt
from pydantic import Field, model_validator

from collapse_core import CollapseError, derive_seed
from collapse_graph.data.nodes import Network, NodeDataset

if TYPE_CHECKING:
    from torch_geometric.data import Data

USED = ("x", "edge_index", "y", "train_mask", "val_mask", "test_mask", "num_nodes", "batch", "ptr")
"""The attributes of a graph that are read, or are no part of it."""


class Nodes(NamedTuple):
    """A graph, and which of its nodes each mask names."""

    network: Network
    masks: Mapping[str, Sequence[int]]


class NodeFile(NodeDataset):
    """The nodes of one graph with `x`, `edge_index`, `y` and perhaps masks, as torch-geometric saves it.

    Nodes of `train_mask` are taught, those of `test_mask` are the test; without masks both are drawn from the
    nodes that have a label, which is from 0. Nothing in a file is run.
    """

    provides: ClassVar[str] = "node-labels"

    path: str = Field(examples=["cora.pt"])
    """A .pt file of a Data, or the root of an InMemoryDataset, relative to where the command is given."""
    forget_label: Annotated[int, Ge(0)] | None = None
    """Forget every taught node of this label."""
    forget_mask: str | None = None
    """Forget the taught nodes that this boolean attribute names, such as forget_mask."""
    forget_share: Annotated[float, Gt(0), Lt(1)] = 0.1
    """The share of the taught nodes that is forgotten, where neither a label nor a mask is given."""
    taught_share: Annotated[float, Gt(0), Lt(1)] = 0.5
    """The share of the nodes that is taught, where there are no masks."""
    mask: Annotated[int, Ge(0)] = 0
    """Which column of the masks is taken, where there are several divisions."""
    ignore: list[str] = []
    """Attributes that may be lost, such as edge_weight or edge_attr."""
    split_seed: Annotated[int, Ge(0)] = 0
    """The seed of the division; the draws of a run follow the seed of the run."""

    @model_validator(mode="after")
    def _one_choice(self) -> "NodeFile":
        if self.forget_label is not None and self.forget_mask is not None:
            raise ValueError("give 'forget_label' or 'forget_mask', not both, to say what is forgotten")
        return self

    def network(self) -> Network:
        """Return the graph."""
        return self._nodes().network

    def nodes(self, split: str) -> Sequence[int]:
        """Return the nodes of a split, in order."""
        taught, test = self._divided()
        if split in ("full", "test"):
            return taught if split == "full" else test
        forgotten = self._forgotten(taught)
        if len(forgotten) in (0, len(taught)):
            which = "all" if forgotten else "none"
            raise CollapseError(
                f"the data set '{self.use}': {which} of the {len(taught)} taught nodes are to be forgotten, "
                f"so there is nothing to {'retain' if forgotten else 'forget'}"
            )
        return [node for node in taught if (node in forgotten) == (split == "forget")]

    def provenance(self) -> Mapping[str, object]:
        """Return the digest of the file."""
        from collapse_graph.data.stored import provenance_of

        return provenance_of(Path(self.path))

    def _divided(self) -> tuple[list[int], list[int]]:
        """Return the taught nodes and the test nodes, all with a label."""
        network, masks = self._nodes()
        labeled = [node for node, label in enumerate(network.labels) if label >= 0]
        if "train_mask" not in masks:
            taught = self._drawn(labeled, self.taught_share, "taught")
            return sorted(taught), sorted(set(labeled) - taught)
        taught = set(masks["train_mask"]) & set(labeled)
        test = set(masks["test_mask"]) if "test_mask" in masks else set(labeled) - taught
        return sorted(taught), sorted((test & set(labeled)) - taught)

    def _forgotten(self, taught: Sequence[int]) -> set[int]:
        network, masks = self._nodes()
        if self.forget_mask is not None:
            return set(masks[self.forget_mask]) & set(taught)
        if self.forget_label is not None:
            return {node for node in taught if network.labels[node] == self.forget_label}
        return self._drawn(taught, self.forget_share, "forget")

    def _drawn(self, nodes: Sequence[int], share: float, purpose: str) -> set[int]:
        source = random.Random(derive_seed(self.split_seed, purpose))
        return set(source.sample(nodes, round(share * len(nodes))))

    def _nodes(self) -> Nodes:
        from collapse_graph.data.stored import changed

        path, named = Path(self.path), (self.forget_mask,) if self.forget_mask else ()
        return _read(path, named, self.mask, tuple(self.ignore), changed(path))


@lru_cache(maxsize=2)
def _read(
    path: Path, named: tuple[str, ...], column: int, ignore: tuple[str, ...], changed: tuple[int, ...]
) -> Nodes:
    from collapse_graph.data.stored import saved_graphs

    graphs = saved_graphs(path)
    if len(graphs) != 1:
        raise CollapseError(
            f"{path}: holds {len(graphs)} graphs, and the nodes of one are labeled; save one of them, or use "
            "'graph-files'"
        )
    try:
        return _nodes(graphs[0], named, column, ignore)
    except CollapseError as error:
        raise CollapseError(f"{path}: {error}") from None


def _nodes(data: "Data", named: Sequence[str], column: int, ignore: Sequence[str]) -> Nodes:
    """Return what is needed of a graph; what would be lost is refused by name."""
    for key in data.to_dict():
        if key not in {*USED, *named, *ignore} and (data.is_node_attr(key) or data.is_edge_attr(key)):
            raise CollapseError(f"the attribute '{key}' would be lost; write 'ignore: [{key}]' if it may be")
    features = data.x
    if features is None or data.edge_index is None:
        lacks = "edge_index" if features is not None else "x"
        raise CollapseError(f"the graph has no '{lacks}'; node classifiers need x, edge_index and y")
    features = (features if features.dim() > 1 else features[:, None]).float()
    if not bool(features.isfinite().all()):
        raise CollapseError("'x' holds numbers that are not finite; fill in what is missing")
    masks = {
        key: _masked(data, key, column)
        for key in ("train_mask", "test_mask", *named)
        if data.get(key) is not None
    }
    if lacking := [key for key in named if key not in masks]:
        raise CollapseError(f"the graph has no '{lacking[0]}'; it has {', '.join(data.to_dict())}")
    edges = [(int(i), int(j)) for i, j in data.edge_index.T.tolist()]
    network = Network(features.numpy(), edges, _labels(data.get("y"), len(features)), data.is_directed())
    return Nodes(network, masks)


def _labels(y: Any, num_nodes: int) -> list[int]:
    """Return a label for each node; any number below 0 is none."""
    if y is None or len(y) != num_nodes or y.numel() != num_nodes:
        shape = "is not there" if y is None else f"is of shape {tuple(y.shape)}"
        raise CollapseError(f"'y' {shape}; a classifier needs one label for each of the {num_nodes} nodes")
    flat = y.reshape(-1)
    if not bool((flat == flat.round()).all()):
        raise CollapseError("'y' holds numbers that are not whole; labels are whole numbers from 0")
    return [max(-1, int(label)) for label in flat.tolist()]


def _masked(data: "Data", key: str, column: int) -> list[int]:
    """Return the nodes that a mask names."""
    mask: Any = data.get(key)
    if mask.dim() > 1:
        if column >= mask.shape[1]:
            raise CollapseError(
                f"'{key}' has {mask.shape[1]} columns, and 'mask: {column}' is counted from 0"
            )
        mask = mask[:, column]
    if len(mask) != data.num_nodes or not bool(((mask == 0) | (mask == 1)).all()):
        raise CollapseError(f"'{key}' does not say yes or no for each of the {data.num_nodes} nodes")
    found: list[int] = mask.bool().nonzero()[:, 0].tolist()
    return found
