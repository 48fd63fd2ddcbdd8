"""How to get the models: a generator of graphs, and a classifier of nodes, taught by the recipe."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt, Lt
from pydantic import Field, model_validator

from collapse_core import Dataset, ExportedModel, Model, ModelLoader, Settings, environment

LOAD = """\
import json
from safetensors.torch import load_file

weights = load_file("{}/model.safetensors")
config = json.load(open("{}/config.json"))  # what the weights mean
"""


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
    path: str | None = None
    """A directory that was exported, to begin from; its sizes and its order count, not those above."""
    teach: TeachGraphs | None = TeachGraphs()
    """How it is taught; the result is cached by the digest of everything that made it."""
    device: str = "auto"
    """A torch device, or "auto" for what accelerate finds."""

    @model_validator(mode="after")
    def _comes_from_somewhere(self) -> "GraphGenerator":
        if self.teach is None and self.path is None:
            raise ValueError("neither taught nor read from anywhere; give it 'teach' or 'path'")
        return self

    def describe_export(self, directory: Path) -> ExportedModel | None:
        """Return what a card says of the exported generator."""
        return ExportedModel(
            library="collapse",
            task="graph-ml",
            load=LOAD,
            files=("config.json", "model.safetensors"),
            architecture="recurrent network over the tokens of graphs",
            family="graph generator",
        )

    def provenance(self) -> Mapping[str, object]:
        """Return digests of the files that it begins from."""
        return _digests(self.path)

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
    """A network that gives each node of one graph a label.

    By default two graph convolutions (Kipf and Welling, Semi-Supervised Classification with Graph
    Convolutional Networks, 2017) of torch-geometric; or a torch.nn.Module of yours, called with features and
    edges, (nodes, features) and (2, edges), that returns logits of shape (nodes, labels).
    """

    provides: ClassVar[str] = "node-classifier"
    works_on: ClassVar[tuple[str, ...]] = ("node-labels",)

    reads: ClassVar[tuple[str, ...]] = ("full", "retain")

    hidden: Annotated[int, Ge(1)] = 64
    """The size of the hidden layer."""
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.5
    """The share of hidden values that are dropped in training."""
    path: str | None = None
    """A directory that was exported, to begin from; its network counts, not what is said here of another."""
    network: Annotated[str, Field(pattern=r"^(\w+(\.\w+)*|.+\.py):\w+$")] | None = None
    """What makes a module of yours, as "module:callable" or "file.py:callable"."""
    arguments: dict[str, Any] = {}
    """What that is called with, by name."""
    weights: str | None = None
    """The state dict of the network, a file of safetensors."""
    teach: TeachLabels | None = TeachLabels()
    """How it is taught; the result is cached by the digest of everything that made it."""
    device: str = "auto"
    """A torch device, or "auto" for what accelerate finds."""

    @model_validator(mode="after")
    def _comes_from_somewhere(self) -> "NodeClassifier":
        if self.teach is None and self.path is None and self.weights is None:
            raise ValueError("neither taught nor read from anywhere; give it 'teach', 'path' or 'weights'")
        if self.path is not None and self.weights is not None:
            raise ValueError("give 'path', an exported directory, or 'weights', not both")
        return self

    def load(self, data: Dataset, seed: int) -> Model:
        """Load the classifier, taught on the data if the recipe says so."""
        from collapse_graph.model.loading import load_classifier

        return load_classifier(self, data, seed)

    def describe_export(self, directory: Path) -> ExportedModel | None:
        """Return what a card says of the exported classifier."""
        return ExportedModel(
            library="collapse",
            task="graph-ml",
            load=LOAD,
            files=("config.json", "model.safetensors"),
            architecture="graph neural network",
            family="node classifier",
        )

    def provenance(self) -> Mapping[str, object]:
        """Return digests of the files that it begins from, and what makes its network."""
        made = {"network": self.network} if self.network else {}
        return {**made, **_digests(self.path), **_digests(self.weights)}


def _digests(path: str | None) -> Mapping[str, object]:
    """Return the digests of a file, or of the files of an exported directory."""
    if path is None:
        return {}
    folder = Path(path)
    files = [folder] if folder.is_file() else [folder / "config.json", folder / "model.safetensors"]
    return {file.name: environment.file_digest(file) for file in files if file.is_file()}
