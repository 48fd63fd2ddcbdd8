"""Graphs of a user: TU files, what torch-geometric saved, what cannot be held, and a run on each."""

import networkx as nx
import pytest
import torch
from pydantic import ValidationError
from torch_geometric.data import Data, InMemoryDataset

from collapse_core import CollapseError, Iteration
from collapse_core.contracts.types import Group
from collapse_core.testing import check_dataset, numbered
from collapse_graph.data import GraphFiles
from collapse_graph.data.content import graph
from collapse_graph.data.conversion import from_data, from_networkx, to_data
from collapse_graph.data.stored import tu_graphs
from collapse_graph.evaluators import GraphForgetting
from collapse_graph.model import GraphGenerator, TeachGraphs
from collapse_graph.sampler import DrawGraphs
from collapse_graph.updater import GraphLikelihood

TYPES, BONDS = ("a", "b"), ("-",)
TRIANGLE = graph(["0", "1", "0"], [(0, 1, "0"), (0, 2, "0"), (1, 2, "0")])
PATH = graph(["0", "1", "0", "1"], [(0, 1, "0"), (1, 2, "0"), (2, 3, "0")])


def pyg(content, label):
    data = to_data(content, ("0", "1"), ("0",))
    data.y = torch.tensor([label])
    return data


GRAPHS = [pyg(TRIANGLE, 1) if i % 2 else pyg(PATH, -1) for i in range(20)]


def write_tu(folder):
    """Write the graphs as a TU data set, with labels -1 and 1."""
    first, edges, owners, nodes = 1, [], [], []
    for number, data in enumerate(GRAPHS, start=1):
        edges += [f"{i + first}, {j + first}" for i, j in data.edge_index.T.tolist()]
        owners += [str(number)] * data.num_nodes
        nodes += [str(kind) for kind in data.x.argmax(1).tolist()]
        first += data.num_nodes
    labels = [str(data.y.item()) for data in GRAPHS]
    files = {"A": edges, "graph_indicator": owners, "graph_labels": labels, "node_labels": nodes}
    files["edge_labels"] = ["0"] * len(edges)
    for name, lines in files.items():
        (folder / f"MINE_{name}.txt").write_text("\n".join(lines) + "\n")
    return folder


def write_list(folder):
    torch.save(GRAPHS, folder / "list.pt")
    return folder / "list.pt"


def write_root(folder):
    (folder / "processed").mkdir()
    InMemoryDataset.save(GRAPHS, folder / "processed" / "data.pt")
    return folder


@pytest.fixture(params=[write_tu, write_list, write_root], ids=["TU", "list", "InMemoryDataset"])
def path(request, tmp_path):
    return request.param(tmp_path)


def test_every_format_gives_the_same_graphs_under_both_kinds_of_condition(path):
    by_label = GraphFiles(use="graph-files", path=str(path), forget=1, num_draws=4)
    check_dataset(by_label)
    assert [(e.condition, e.graph) for e in by_label.examples()][:2] == [("-1", PATH), ("1", TRIANGLE)]
    assert by_label.condition(TRIANGLE) == "1"
    assert by_label.condition(PATH) == "-1"
    assert by_label.provenance()["judge_accuracy"] == 1.0
    by_motif = GraphFiles(use="graph-files", path=str(path), motif="triangle", num_draws=4)
    assert {p.content for p in by_motif.load("full")} == {"with triangle", "without triangle"}
    assert {p.content for p in by_motif.load("forget")} == {"with triangle"}
    assert not by_motif.is_valid(graph(["0", "0"], []))


SMALL = GraphGenerator(
    use="graph-generator", width=8, hidden=16, teach=TeachGraphs(epochs=20, learning_rate=1e-2), device="cpu"
)


def drawn(model, data):
    return DrawGraphs().sample(model, list(data.load("forget")), 2, Iteration(0, 1, 5))


def test_a_generator_of_own_graphs_is_taught_trained_exported_and_opened_again(tmp_path):
    data = GraphFiles(use="graph-files", path=str(write_list(tmp_path)), motif="triangle", num_draws=4)
    model = SMALL.load(data, 0)
    kept = [Group(g.prompt, numbered([PATH]), (0.0,)).keep(0) for g in drawn(model, data)]
    GraphLikelihood(num_steps=2, batch_size=4).update(
        model, kept, list(data.load("retain")), Iteration(0, 1, 5)
    )
    (tmp_path / "model").mkdir()
    model.export(tmp_path / "model")
    opened = GraphGenerator(path=str(tmp_path / "model"), teach=None, device="cpu")
    again = opened.load(data, 3)
    assert drawn(again, data) == drawn(model, data)
    assert set(opened.provenance()) == {"config.json", "model.safetensors"}
    metrics = GraphForgetting(use="graph-forgetting", num_draws=5).evaluate(again, data, 0).metrics
    assert {"forget_rate", "goes_to_without triangle"} <= set(metrics)
    further = opened.model_copy(update={"teach": TeachGraphs(epochs=1)}).load(data, 0)
    assert drawn(further, data)
    with pytest.raises(CollapseError, match="no condition '-1'; it was made for with triangle"):
        opened.load(data.model_copy(update={"motif": None, "forget": 1}), 0)
    larger = [*GRAPHS, pyg(graph(["0"] * 9, [(i, i + 1, "0") for i in range(8)]), 1)]
    torch.save(larger, tmp_path / "list.pt")
    with pytest.raises(CollapseError, match="has no tokens for 1 of"):
        opened.load(data.model_copy(update={"test_share": 1e-3}), 0)


def test_a_model_that_comes_from_nowhere_or_from_no_export_is_refused(tmp_path):
    with pytest.raises(ValidationError, match="give it 'teach' or 'path'"):
        GraphGenerator(teach=None)
    data = GraphFiles(path=str(write_list(tmp_path)), motif="triangle")
    with pytest.raises(CollapseError, match="holds no exported generator of graphs"):
        GraphGenerator(path=str(tmp_path), teach=None).load(data, 0)


class Evil:
    def __reduce__(self):
        return (print, ("run",))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (Evil(), "cannot be opened without running what is in it"),
        ({"a": 1}, "holds no graph of torch-geometric but a dict"),
        ([1, 2], "holds no graph of torch-geometric but a list"),
        ([Data(edge_index=torch.zeros(2, 0, dtype=torch.long), num_nodes=0)], "graph 0 has no nodes"),
        ([Data(num_nodes=2, x=torch.eye(2))], "graph 0: .*no 'edge_index'"),
        (
            [Data(num_nodes=3, edge_index=torch.tensor([[0], [1]]), pos=torch.rand(3, 3))],
            r"graph 0: the attribute 'pos' of torch-geometric would be lost; .* 'ignore: \[pos\]'",
        ),
    ],
)
def test_a_file_that_holds_something_else_is_refused_and_nothing_is_run(content, said, tmp_path, capsys):
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(CollapseError, match=said):
        GraphFiles(path=str(tmp_path / "x.pt"), motif="triangle").load("full")
    assert "run" not in capsys.readouterr().out


def test_what_may_be_lost_is_left_out_when_the_recipe_says_so(tmp_path):
    graphs = [one.clone() for one in GRAPHS]
    for one in graphs:
        one.pos, one.edge_weight = torch.rand(one.num_nodes, 3), torch.rand(one.num_edges)
    torch.save(graphs, tmp_path / "x.pt")
    some = GraphFiles(path=str(tmp_path / "x.pt"), forget=1, ignore=["pos", "edge_weight", "x"])
    assert some.examples()[1].graph == graph(["*"] * 3, [(0, 1, "0"), (0, 2, "0"), (1, 2, "0")])


def test_a_path_without_graphs_and_a_condition_that_is_missing_or_double_are_refused(tmp_path):
    with pytest.raises(CollapseError, match="holds no graphs; give a folder with the raw files of a TU"):
        GraphFiles(path=str(tmp_path), motif="triangle").load("full")
    with pytest.raises(ValidationError, match="either 'motif' or 'forget'"):
        GraphFiles(path="x")
    (tmp_path / "y.pt").write_text("no torch")
    with pytest.raises(CollapseError, match=r"y\.pt: "):
        GraphFiles(path=str(tmp_path / "y.pt"), motif="triangle").load("full")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("A", "1, 2\n2, x\n", r"MINE_A\.txt:2: 'x' is no number"),
        ("A", "1, 2\n2\n", r"MINE_A\.txt:2: expected 2 values, found 1"),
        ("A", "1, 999\n", "names a node that MINE_graph_indicator.txt does not have"),
        ("node_labels", "1\n", r"MINE_node_labels\.txt: has 1 lines"),
    ],
)
def test_a_torn_tu_file_is_named(name, text, said, tmp_path):
    (write_tu(tmp_path) / f"MINE_{name}.txt").write_text(text)
    if name == "A":
        (tmp_path / "MINE_edge_labels.txt").unlink()
    with pytest.raises(CollapseError, match=said):
        tu_graphs(tmp_path / "MINE")


# --- conversion --------------------------------------------------------------------------------------


def edges_of(*pairs, **attributes):
    return Data(edge_index=torch.tensor(pairs).T, num_nodes=3, **attributes)


def test_an_edge_of_torch_geometric_in_both_directions_is_one_and_whole_numbers_are_types():
    both = edges_of((0, 1), (1, 0), (1, 2), x=torch.tensor([1, 0, 1]), edge_attr=torch.tensor([2, 2, 0]))
    assert from_data(both) == graph(["1", "0", "1"], [(0, 1, "2"), (1, 2, "0")])
    column = edges_of((0, 1), x=torch.tensor([[1.0], [0.0], [1.0]]))
    assert from_data(column, TYPES, BONDS)["nodes"] == ["b", "a", "b"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (edges_of((0, 1), x=torch.rand(3, 4)), r"'x' .* holds numbers that are no types"),
        (edges_of((0, 1), x=torch.tensor([0, 1, 2])), "'x' holds the type 2, and there are names for 2"),
        (edges_of((1, 1)), "node 1 has an edge to itself"),
        (edges_of((0, 1), (1, 0), edge_attr=torch.tensor([0, 1])), "between nodes 0 and 1 has two types"),
        (edges_of((0, 1), edge_weight=torch.rand(1)), "the attribute 'edge_weight'"),
    ],
)
def test_what_a_graph_cannot_hold_of_torch_geometric_is_named(data, said):
    with pytest.raises(CollapseError, match=said):
        from_data(data, TYPES, ("-", "="))


def digraph(kind, *edges, **attributes):
    made = kind()
    made.add_nodes_from("abc")
    made.add_edges_from(edges, **attributes)
    return made


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (digraph(nx.DiGraph, "ab"), "the edge from node 0 to 1 has a direction"),
        (digraph(nx.MultiGraph, "ab", "ab"), "joined by several edges"),
        (digraph(nx.Graph, "aa"), "node 0 has an edge to itself"),
        (digraph(nx.Graph, "ab", weight=0.5), r"'weight' of edges would be lost; .*ignore=\['weight'\]"),
    ],
)
def test_what_a_graph_cannot_hold_of_networkx_is_named(source, said):
    with pytest.raises(CollapseError, match=said):
        from_networkx(source)


def test_a_directed_graph_with_both_directions_is_undirected_and_other_names_of_types_are_read():
    source = digraph(nx.DiGraph, "ab", "ba", label=7, weight=1)
    nx.set_node_attributes(source, "C", "label")
    found = from_networkx(source, node_type="label", edge_type="label", ignore=["weight"])
    assert found == graph(["C"] * 3, [(0, 1, "7")])
    assert from_networkx(digraph(nx.Graph, "aa", "ab"), ignore=["self-loops"])["edges"] == [[1, 0, "-"]]
