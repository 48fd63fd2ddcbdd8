"""One graph whose nodes have labels: handwritten digits, each joined to those most like it."""

import random
from collections.abc import Sequence
from functools import cache
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt, Le, Lt

from collapse_core import derive_seed, errors
from collapse_graph.data.nodes import Network, NodeDataset


class DigitsGraph(NodeDataset):
    """The 1,797 handwritten digits of scikit-learn, each joined to its nearest neighbors by their pixels.

    Real data that ships with a library and is large enough to be divided, which the bundled graphs (Zachary's
    karate club has 34 nodes) are not (Alpaydin and Kaynak, UCI, 1998).
    """

    provides: ClassVar[str] = "node-labels"

    forget_label: Annotated[int, Ge(0), Le(9)] | None = 8
    """Forget every taught node of this digit; with null, a random share of all."""
    forget_share: Annotated[float, Gt(0), Lt(1)] = 0.1
    """The share of the taught nodes that is forgotten where no digit is named."""
    taught_share: Annotated[float, Gt(0), Lt(1)] = 0.5
    """The share of all nodes whose labels are taught; the others are the test."""
    num_neighbors: Annotated[int, Ge(1)] = 5
    """How many nearest neighbors each digit is joined to."""
    split_seed: Annotated[int, Ge(0)] = 0
    """The seed of the division; the draws of a run follow the seed of the run."""

    def network(self) -> Network:
        """Return the graph; its features are gray values from 0 to 1."""
        return _nearest_neighbors(self.num_neighbors)

    def nodes(self, split: str) -> Sequence[int]:
        """Return the nodes of a split, in order."""
        everything = range(len(_digits()[1]))
        taught = set(self._drawn(everything, self.taught_share, "taught"))
        if split in ("full", "test"):
            return [node for node in everything if (node in taught) == (split == "full")]
        forgotten = self._forgotten(sorted(taught))
        return [node for node in sorted(taught) if (node in forgotten) == (split == "forget")]

    def _forgotten(self, taught: Sequence[int]) -> set[int]:
        if self.forget_label is None:
            return set(self._drawn(taught, self.forget_share, "forget"))
        return {node for node in taught if _digits()[1][node] == self.forget_label}

    def _drawn(self, nodes: Sequence[int], share: float, purpose: str) -> list[int]:
        source = random.Random(derive_seed(self.split_seed, purpose))
        return source.sample(nodes, round(share * len(nodes)))


@cache
def _digits() -> tuple[list[list[float]], list[int]]:
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise errors.missing_extra("scikit-learn", "graph", "the graph of digits") from None
    digits = load_digits()
    return (digits.data / 16.0).tolist(), digits.target.tolist()


@cache
def _nearest_neighbors(num: int) -> Network:
    from sklearn.neighbors import kneighbors_graph

    features, labels = _digits()
    rows, columns = kneighbors_graph(features, num).nonzero()
    pairs = {(max(i, j), min(i, j)) for i, j in zip(rows.tolist(), columns.tolist(), strict=True)}
    return Network(features, sorted(pairs), labels)
