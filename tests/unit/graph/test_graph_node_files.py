"""The nodes of a user's graph, and a network of the user's own."""

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file
from torch_geometric.data import Data, InMemoryDataset
from torch_geometric.nn import GCN

from collapse_core import CollapseError, Iteration
from collapse_core.contracts.types import Group
from collapse_core.testing import check_dataset, check_loader, numbered
from collapse_graph.data import NodeFile
from collapse_graph.data.nodes import Network, NodeDataset
from collapse_graph.evaluators import MembershipInference, NodeAccuracy
from collapse_graph.model import NodeClassifier, TeachLabels
from collapse_graph.model.classifier import NodeModel, edge_index
from collapse_graph.model.loading import load_classifier
from collapse_graph.sampler import DrawLabels
from collapse_graph.updater import LabelLikelihood

NUM = 40


def ring(**attributes):
    """A ring of nodes of two labels, its edges in both directions; every fifth node has no label."""
    i = torch.arange(NUM)
    labels = torch.where(i % 5 == 0, -1, i % 2)
    there = torch.stack([i, (i + 1) % NUM])
    x = torch.nn.functional.one_hot(i % 2, 2).float() + 0.1 * torch.randn(
        NUM, 2, generator=torch.manual_seed(0)
    )
    return Data(x=x, edge_index=torch.cat([there, there.flip(0)], 1), y=labels, **attributes)


def write(data, folder):
    torch.save(data, folder / "nodes.pt")
    return str(folder / "nodes.pt")


MASKS = {"train_mask": torch.arange(NUM) < 20, "val_mask": torch.arange(NUM) >= 35}
MASKS["test_mask"] = ~(MASKS["train_mask"] | MASKS["val_mask"])


def nodes_of(data, split):
    return [prompt.content for prompt in data.load(split)]


def test_masks_divide_the_nodes_and_nodes_without_a_label_are_left_out(tmp_path):
    data = NodeFile(use="node-file", path=write(ring(**MASKS), tmp_path), forget_label=1)
    check_dataset(data)
    assert nodes_of(data, "full") == [n for n in range(20) if n % 5]
    assert nodes_of(data, "test") == [n for n in range(20, 35) if n % 5]
    assert nodes_of(data, "forget") == [n for n in range(20) if n % 5 and n % 2]
    taught = nodes_of(data, "full")
    columns = {key: torch.stack([~mask, mask], 1) for key, mask in MASKS.items()}
    second = NodeFile(path=write(ring(**columns), tmp_path), forget_label=1, mask=1)
    assert nodes_of(second, "full") == taught


def test_without_masks_the_labeled_nodes_are_divided_and_a_mask_of_ones_own_is_forgotten(tmp_path):
    data = NodeFile(path=write(ring(gone=torch.arange(NUM) < 9), tmp_path), forget_mask="gone")
    assert len(nodes_of(data, "full")) == len(nodes_of(data, "test")) == 16
    assert set(nodes_of(data, "forget")) == set(nodes_of(data, "full")) & set(range(9))
    InMemoryDataset.save([ring()], tmp_path / "data.pt")
    some = NodeFile(path=str(tmp_path), forget_share=0.25)
    assert len(nodes_of(some, "forget")) == 4


@pytest.mark.parametrize(
    ("data", "fields", "said"),
    [
        (ring(edge_weight=torch.rand(2 * NUM)), {}, r"nodes\.pt: the attribute 'edge_weight' would be lost"),
        (Data(edge_index=ring().edge_index, y=ring().y, num_nodes=NUM), {}, "the graph has no 'x'"),
        (Data(x=ring().x, edge_index=ring().edge_index), {}, "'y' is not there"),
        (
            Data(x=ring().x, edge_index=ring().edge_index, y=torch.rand(NUM, 3)),
            {},
            r"'y' is of shape \(40, 3\)",
        ),
        (Data(x=ring().x, edge_index=ring().edge_index, y=torch.rand(NUM)), {}, "not whole"),
        (Data(x=ring().x / 0, edge_index=ring().edge_index, y=ring().y), {}, "not finite"),
        ([ring(), ring()], {}, "holds 2 graphs, and the nodes of one"),
        (ring(), {"forget_label": 7}, "none of the 16 taught nodes are to be forgotten"),
        (
            ring(),
            {"forget_label": None, "forget_mask": "gone"},
            "the graph has no 'gone'; it has x, edge_index, y",
        ),
        (
            ring(**MASKS, gone=torch.rand(NUM)),
            {"forget_label": None, "forget_mask": "gone"},
            "does not say yes or no",
        ),
        (ring(train_mask=torch.ones(NUM, 1)), {"mask": 3}, "'train_mask' has 1 columns"),
    ],
)
def test_a_graph_whose_nodes_cannot_be_classified_says_why(data, fields, said, tmp_path):
    with pytest.raises(CollapseError, match=said):
        NodeFile(path=write(data, tmp_path), **{"forget_label": 1} | fields).load("forget")


def test_edges_in_one_direction_in_both_or_twice_give_the_same_network_and_no_edges_are_fine():
    once, both = [(1, 0), (2, 1)], [(0, 1), (1, 0), (1, 2), (2, 1)]
    graphs = [Network([[0.0]] * 3, edges, [0, 1, 0]) for edges in (once, both, [*both, *once])]
    assert all(torch.equal(edge_index(one), edge_index(graphs[0])) for one in graphs)
    assert edge_index(graphs[0]).shape == (2, 4)
    assert edge_index(Network([[0.0]], [], [0])).shape == (2, 0)
    assert edge_index(Network([[0.0]] * 2, [(0, 1)], [0, 1], directed=True)).tolist() == [[0], [1]]


def plain_logits(data, model):
    """What torch-geometric's own network makes of the file as it is."""
    names = {"first": "convs.0", "second": "convs.1"}
    plain = GCN(2, model.settings["hidden"], 2, 2).eval()
    state = model.network.state_dict()
    plain.load_state_dict({k.replace(k.split(".")[0], names[k.split(".")[0]]): v for k, v in state.items()})
    return plain(data.x, data.edge_index)


def test_the_network_sees_the_file_as_torch_geometric_does(tmp_path):
    directed = Data(x=ring().x, edge_index=ring().edge_index[:, :NUM], y=ring().y)
    loader = NodeClassifier(use="node-classifier", hidden=4, teach=TeachLabels(steps=3), device="cpu")
    for data in (ring(), directed):
        model = loader.load(NodeFile(path=write(data, tmp_path), forget_label=1), 0)
        model.network.eval()
        assert torch.allclose(plain_logits(data, model), model.logits(), atol=1e-6)


OWN = """
import torch
from torch_geometric.nn import SAGEConv

class Mine(torch.nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.conv, self.norm = SAGEConv(2, hidden), torch.nn.BatchNorm1d(hidden)
        self.out = torch.nn.Linear(hidden, 2)

    def forward(self, x, edges):
        return self.out(self.norm(self.conv(x, edges)).relu())
"""


def trained(model, data):
    kept = [Group(p, numbered([0]), (1.0,)).keep(0) for p in data.load("forget")]
    LabelLikelihood(num_steps=3, batch_size=8).update(
        model, kept, list(data.load("retain")), Iteration(0, 1, 1)
    )


@pytest.mark.parametrize("own", [False, True], ids=["two convolutions", "a module of the user"])
def test_a_classifier_is_taught_sampled_trained_measured_exported_and_opened_again(own, tmp_path):
    data = NodeFile(use="node-file", path=write(ring(**MASKS), tmp_path), forget_label=1)
    (tmp_path / "mine.py").write_text(OWN)
    named = {"network": f"{tmp_path}/mine.py:Mine", "arguments": {"hidden": 4}} if own else {"hidden": 4}
    loader = NodeClassifier(use="node-classifier", **named, teach=TeachLabels(steps=5), device="cpu")
    check_loader(loader, data)
    model = loader.load(data, 0)
    groups = DrawLabels(temperature=3).sample(model, list(data.load("forget")), 4, Iteration(0, 1, 1))
    assert {c.content for group in groups for c in group.completions} == {0, 1}
    before = model.probabilities(range(NUM))
    trained(model, data)
    assert not torch.equal(model.probabilities(range(NUM)), before)
    for evaluator in (NodeAccuracy(), MembershipInference()):
        assert evaluator.evaluate(model, data, 0).metrics
    (tmp_path / "model").mkdir()
    model.export(tmp_path / "model")
    again = NodeClassifier(path=str(tmp_path / "model"), teach=None, device="cpu").load(data, 7)
    assert torch.equal(again.probabilities(range(NUM)), model.probabilities(range(NUM)))


def test_a_module_begins_with_its_state_dict(tmp_path):
    data = NodeFile(path=write(ring(**MASKS), tmp_path), forget_label=1)
    torch.manual_seed(3)
    gcn = GCN(2, 5, 2, 2)
    save_file(gcn.state_dict(), tmp_path / "gcn.safetensors")
    own = NodeClassifier(
        network="torch_geometric.nn:GCN",
        arguments={"in_channels": 2, "hidden_channels": 5, "num_layers": 2, "out_channels": 2},
        weights=str(tmp_path / "gcn.safetensors"),
        teach=None,
        device="cpu",
    )
    wanted = gcn.eval()(ring().x, ring().edge_index).double().softmax(-1)
    assert torch.allclose(own.load(data, 0).probabilities(range(NUM)), wanted, atol=1e-6)
    assert set(own.provenance()) == {"network", "gcn.safetensors"}
    wrong = own.model_copy(update={"arguments": own.arguments | {"hidden_channels": 6}})
    with pytest.raises(
        CollapseError, match=r"gcn\.safetensors: holds no weights of the network: .*size mismatch"
    ):
        wrong.load(data, 0)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"network": "nowhere.at_all:Net"}, "cannot be made: ModuleNotFoundError"),
        ({"network": "torch.nn:Linear", "arguments": {"a": 1}}, "cannot be made: TypeError"),
        ({"network": "math:exp", "arguments": {}}, "cannot be made: TypeError"),
        ({"network": "builtins:dict"}, "is a dict, no torch.nn.Module"),
        (
            {"network": "torch.nn:Linear", "arguments": {"in_features": 2, "out_features": 2}},
            r"cannot be called with features of shape \(40, 2\)",
        ),
        (
            {"network": "torch_geometric.nn:SAGEConv", "arguments": {"in_channels": 2, "out_channels": 1}},
            r"returns the shape \(40, 1\), but the graph needs",
        ),
        ({"path": "nowhere"}, "nowhere holds no exported classifier of nodes"),
    ],
)
def test_a_network_that_cannot_be_used_says_why(fields, said, tmp_path):
    data = NodeFile(path=write(ring(**MASKS), tmp_path), forget_label=1)
    with pytest.raises(CollapseError, match=said):
        NodeClassifier(**fields, device="cpu").load(data, 0)


def test_a_classifier_that_comes_from_nowhere_is_refused():
    with pytest.raises(ValidationError, match="give it 'teach', 'path' or 'weights'"):
        NodeClassifier(teach=None)
    with pytest.raises(ValidationError, match="not both"):
        NodeClassifier(path="a", weights="b")


# --- a data set and a model of a plugin author --------------------------------------------------------


class Three(NodeDataset):
    """Three nodes in a row."""

    labels: list[object] = [0, 1, 0]

    def network(self):
        return Network([[0.0], [1.0], [0.5]], [(0, 1), (1, 2)], self.labels)

    def nodes(self, split):
        return {"forget": [1], "retain": [0], "full": [0, 1], "test": [2]}[split]


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["cat", "dog", "cat"], "the label of node 0 is 'cat'; a classifier needs whole numbers"),
        ([0, -2, 1], "the label of node 1 is -2"),
        ([-1, -1, -1], "no node of the graph has a label"),
        ([-1, 1, 0], "node 0 is to be taught and has no label"),
    ],
)
def test_labels_that_are_no_numbers_are_refused_in_words(labels, said):
    with pytest.raises(CollapseError, match=said):
        NodeClassifier(device="cpu").load(Three(labels=labels), 0)


class Cautious(NodeModel):
    """A model that is never quite sure."""

    def probabilities(self, nodes, temperature=1.0):
        return super().probabilities(nodes, 2 * temperature)


class CautiousClassifier(NodeClassifier):
    """It with the same networks."""

    def load(self, data, seed):
        made = load_classifier(self, data, seed)
        return Cautious(made.network, made.settings, data.network(), made.device)


def test_a_subclass_of_the_model_is_accepted_everywhere(tmp_path):
    data = Three(use="three")
    model = CautiousClassifier(use="cautious", teach=TeachLabels(steps=2), device="cpu").load(data, 0)
    asked = list(data.load("forget"))
    assert DrawLabels().sample(model, asked, 2, Iteration(0, 1, 0))[0].completions
    trained(model, data)
    assert NodeAccuracy().evaluate(model, data, 0).metrics
