"""`collapse init recipe` looks at graphs and at nodes, and what it writes runs as it stands."""

import pytest
import torch
from torch_geometric.data import Data

from collapse_core import load_recipe
from collapse_graph.data.conversion import to_data


def ring(num, chord):
    """A ring of nodes, with a chord that makes a triangle or without."""
    edges = [(i, (i + 1) % num, "0") for i in range(num)] + ([(0, 2, "0")] if chord else [])
    content = {"nodes": ["0"] * num, "edges": sorted((min(i, j), max(i, j), t) for i, j, t in edges)}
    data = to_data(content, ("0",), ("0",))
    data.y = torch.tensor([int(chord)])
    return data


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save([ring(4 + i % 5, i % 2 == 0) for i in range(40)], "rings.pt")
    torch.manual_seed(0)
    y = torch.arange(60) % 3
    around = torch.stack([torch.arange(60), (torch.arange(60) + 3) % 60])
    edges = torch.cat([around, around.flip(0)], 1)
    torch.save(Data(x=torch.eye(3)[y] + 0.1 * torch.randn(60, 3), edge_index=edges, y=y), "nodes.pt")
    return tmp_path


@pytest.fixture
def draft(here, collapse_here):
    def draft(source, *more):
        (here / "mine.yaml").unlink(missing_ok=True)
        return collapse_here("init", "recipe", "mine", "--forget", source, "--no-estimate", *more)

    return draft


KINDS = {
    "motif": (
        "{from: rings.pt, where: {motif: triangle}}",
        ["graphs rings.pt: 32 to train on and 8 held out, of 4 to 8 nodes, all connected",
         "to forget: with triangle, 16 of those to train on; the others are without triangle (16)"],
    ),
    "label": ("{from: rings.pt, where: {label: 1}}", ["to forget: 1, 16 of those to train on"]),
    "nodes": (
        "{from: nodes.pt, where: {label: 2}}",
        ["nodes of nodes.pt: 60 with 3 features, 60 edges, 3 labels", "to forget: those of the label 2, "],
    ),
    "share": ("nodes.pt", ["to forget: a share of 0.1 of all, 3 nodes; 27 are retained and 30 held out"]),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_recipe_for_ones_own_graphs_can_be_run(kind, draft, here, collapse_here):
    source, said = KINDS[kind]
    done = draft(source)
    assert (done.code, done.out) == (0, "collapse run mine.yaml\n"), done.err
    assert all(line in done.err for line in said), done.err
    assert all(block.startswith("#") for block in (here / "mine.yaml").read_text().split("\n\n"))
    assert load_recipe("mine.yaml").evaluate.baselines["never trained on it"].teach.split == "retain"
    assert collapse_here("run", "mine.yaml", "--dry-run").code == 0


def test_a_recipe_for_nodes_runs_as_written_and_so_does_one_for_what_it_exported(draft, collapse_here):
    run_and_draft_again(KINDS["nodes"][0], "exported classifier", draft, collapse_here)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["motif", "label"])
def test_a_recipe_for_graphs_runs_as_written_and_so_does_one_for_what_it_exported(kind, draft, collapse_here):
    run_and_draft_again(KINDS[kind][0], "exported generator", draft, collapse_here)


def run_and_draft_again(source, said, draft, collapse_here):
    assert draft(source).code == 0
    done = collapse_here("run", "mine.yaml", "--run-dir", "run", "--set", "iterations=1")
    assert done.code == 0, done.err
    again = draft(source, "--model", "run/model")
    assert said in again.err
    assert load_recipe("mine.yaml").model.teach is None
    done = collapse_here("run", "mine.yaml", "--run-dir", "again", "--set", "iterations=1")
    assert done.code == 0, done.err


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("rings.pt", "motifs are triangle, K4"),
        ("{from: rings.pt, where: {size: 4}}", "'where' names one of motif, label here"),
        ("{from: rings.pt, where: {motif: star}}", "no motif is called 'star'"),
        ("{from: rings.pt, where: {label: 7}}", "none of the 32 training graphs are '7'"),
        ("{from: nodes.pt, where: {mask: gone}}", "has no 'gone'"),
        ("missing.pt", "missing.pt: holds no graphs"),
    ],
)
def test_what_cannot_be_drafted_says_why(source, said, draft, here):
    done = draft(source)
    assert (done.code, said in done.err) == (1, True), done.err
    assert not (here / "mine.yaml").exists()
