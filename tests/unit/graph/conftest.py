"""Small graphs to look at, and models that are taught in a second."""

from pathlib import Path

import pytest
import torch

from collapse_graph.data import Atlas, DigitsGraph, Molecules
from collapse_graph.data.content import graph
from collapse_graph.data.conversion import from_networkx
from collapse_graph.model import GraphGenerator, NodeClassifier, TeachGraphs, TeachLabels

ZINC = Path(__file__).resolve().parents[4] / "shared" / "data" / "molecules" / "zinc_test.txt"

SMILES = [
    "CCO", "c1ccccc1", "CC(=O)O", "Clc1ccccc1", "CCN", "CCCl", "C#N", "c1ccsc1", "CC(C)C", "ClCCCl", "OCCO",
    "C[N+](C)(C)C", "CC(=O)[O-]", "c1ccncc1", "CC=O", "ClC=CCl", "C1CC1", "NCC(=O)O", "Oc1ccccc1", "CCCCl",
]  # fmt: skip
"""Twenty molecules, five of them with chlorine."""


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def cliques():
    """A graph with all edges between so many nodes."""

    def make(num):
        return graph(["*"] * num, [(i, j, "-") for j in range(num) for i in range(j)])

    return make


@pytest.fixture(scope="session")
def atlas_graphs():
    """Every graph of the atlas, disconnected ones too, as networkx has it and as content."""
    from networkx.generators.atlas import graph_atlas_g

    return [(source, from_networkx(source)) for source in graph_atlas_g()[1:]]


@pytest.fixture(scope="session")
def atlas():
    return Atlas(use="graph-atlas", num_draws=24)


SMALL = GraphGenerator(
    use="graph-generator", width=16, hidden=48, teach=TeachGraphs(epochs=6, learning_rate=1e-2)
)


@pytest.fixture
def make_generator(atlas):
    """The same small generator each time; it writes graphs, but not yet good ones."""
    return lambda: SMALL.load(atlas, 0)


@pytest.fixture
def generator(make_generator):
    return make_generator()


@pytest.fixture
def molecules(tmp_path):
    path = tmp_path / "molecules.txt"
    path.write_text("".join(f"{smiles} name-{i}\n" for i, smiles in enumerate(SMILES)))
    return Molecules(use="molecules", path=str(path), num_draws=8)


@pytest.fixture
def zinc():
    if not ZINC.exists():
        pytest.skip("the ZINC molecules are not here (shared/data/molecules)")
    return ZINC


@pytest.fixture(scope="session")
def digits():
    return DigitsGraph(use="digits-graph")


@pytest.fixture
def make_classifier(digits):
    loader = NodeClassifier(use="node-classifier", hidden=16, teach=TeachLabels(steps=30, learning_rate=3e-2))
    return lambda: loader.load(digits, 0)
