"""What data sets of nodes have in common: one graph, whose nodes have labels."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from collapse_core import Dataset, Prompt, PromptSet, errors


class Network(NamedTuple):
    """One graph: its nodes' features, its edges, and its nodes' labels."""

    features: Sequence[Sequence[float]]
    """One row of numbers per node; an array will do."""
    edges: Sequence[tuple[int, int]]
    """Pairs of nodes. An undirected edge counts once, whether it is there in one direction or in both."""
    labels: Sequence[int]
    """Whole numbers from 0; -1 for a node without a label."""
    directed: bool = False
    """Whether edges lead from the first node to the second alone."""


class NodeDataset(Dataset):
    """The nodes of one graph; a prompt is the number of a node, the answer its label.

    Splits: "forget", "retain", "full" (both: the nodes whose labels are taught), "test" (never trained on).
    """

    SPLITS: ClassVar[tuple[str, ...]] = ("forget", "retain", "full", "test")

    @abstractmethod
    def network(self) -> Network:
        """Return the graph."""

    @abstractmethod
    def nodes(self, split: str) -> Sequence[int]:
        """Return the numbers of the nodes in a split."""

    def splits(self) -> Sequence[str]:
        """All splits; they are divided from one source."""
        return self.SPLITS

    def load(self, split: str, *, targets: bool = True) -> PromptSet:
        """Load a split."""
        if split not in self.SPLITS:
            raise errors.no_split(self.use, split, self.SPLITS)
        labels = self.network().labels if targets else None
        nodes = self.nodes(split)
        return PromptSet(tuple(Prompt(f"node-{n}", n, labels[n] if labels else None) for n in nodes))
