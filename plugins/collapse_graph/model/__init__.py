"""How to get the models: a generator of graphs, and a classifier of nodes, taught by the recipe."""

from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, Lt

from collapse_core import Dataset, Model, ModelLoader, Settings


class TeachGraphs(Settings):
    """Teaching the generator by maximum likelihood, before unlearning begins."""

    split: Literal["full", "retain"] = "full"
    """What is taught; "retain" makes a model never trained on what is to be forgotten."""
    epochs: Annotated[int, Ge(1)] = 60
    """How often each graph is seen."""
    learning_rate: Annotated[float, Gt(0)] = 3e-3
    """The peak learning rate of AdamW; it falls linearly to zero."""
    batch_size: Annotated[int, Ge(1)] = 64
    """Graphs per step."""
    weight_decay: Annotated[float, Ge(0)] = 0.01
    """AdamW's weight decay."""
    condition_dropout: Annotated[float, Ge(0), Lt(1)] = 0.1
    """The share of graphs that are taught without their condition.

    A condition that was never trained on then means none: the model draws from all it knows.
    """


class GraphGenerator(ModelLoader):
    """An autoregressive generator of graphs with typed nodes and edges, under a condition.

    A recurrent network (GRU) writes node after node, each with its edges back to earlier nodes. One
    pass draws a graph, its likelihood is exact, and the same network writes plain graphs and molecules. What
    is drawn keeps to a grammar: no node bears more edges than its type does in the data.
    """

    provides: ClassVar[str] = "graph-generator"
    works_on: ClassVar[tuple[str, ...]] = ("graphs", "molecules")

    reads: ClassVar[tuple[str, ...]] = ("full", "retain")

    width: Annotated[int, Ge(1)] = 64
    """The size of the embeddings of tokens and of conditions."""
    hidden: Annotated[int, Ge(1)] = 192
    """The size of the recurrent state."""
    layers: Annotated[int, Ge(1)] = 1
    """How many recurrent layers there are."""
    order: Literal["breadth-first", "given"] = "breadth-first"
    """How nodes are numbered: in a random breadth-first order at each step, or as the data has them."""
    teach: TeachGraphs = TeachGraphs()
    """How it is taught; the result is cached by the digest of everything that made it."""
    device: str = "auto"
    """A torch device, or "auto" for what accelerate finds."""

    def load(self, data: Dataset, seed: int) -> Model:
        """Load the generator, taught on the data."""
        from collapse_graph.model.loading import load_generator

        return load_generator(self, data, seed)


class TeachLabels(Settings):
    """Teaching the classifier the labels of nodes, before unlearning begins."""

    split: Literal["full", "retain"] = "full"
    """What is taught; "retain" makes a model never trained on the labels to be forgotten."""
    steps: Annotated[int, Ge(1)] = 200
    """Optimizer steps, each on all labels at once."""
    learning_rate: Annotated[float, Gt(0)] = 1e-2
    """The learning rate of AdamW."""
    weight_decay: Annotated[float, Ge(0)] = 5e-4
    """AdamW's weight decay."""


class NodeClassifier(ModelLoader):
    """A graph convolutional network that gives each node of one graph a label.

    Two layers (Kipf and Welling, Semi-Supervised Classification with Graph Convolutional Networks, 2017) of
    torch-geometric.
    """

    provides: ClassVar[str] = "node-classifier"
    works_on: ClassVar[tuple[str, ...]] = ("node-labels",)

    reads: ClassVar[tuple[str, ...]] = ("full", "retain")

    hidden: Annotated[int, Ge(1)] = 64
    """The size of the hidden layer."""
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.5
    """The share of hidden values that are dropped in training."""
    teach: TeachLabels = TeachLabels()
    """How it is taught; the result is cached by the digest of everything that made it."""
    device: str = "auto"
    """A torch device, or "auto" for what accelerate finds."""

    def load(self, data: Dataset, seed: int) -> Model:
        """Load the classifier, taught on the data."""
        from collapse_graph.model.loading import load_classifier

        return load_classifier(self, data, seed)
