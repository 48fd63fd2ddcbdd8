"""Molecules: SMILES as graphs, substructures, validity."""

import gzip

import pytest
from rdkit import Chem

from collapse_core import CollapseError
from collapse_core.testing import check_dataset, score
from collapse_graph.data import Molecules
from collapse_graph.data.chemistry import from_smiles, to_molecule, to_smiles
from collapse_graph.data.content import graph, renumbered
from collapse_graph.rewards import ValidMolecule, WithoutSubstructure


def same(smiles):
    """What RDKit calls the molecule, without stereochemistry."""
    molecule = Chem.MolFromSmiles(smiles)
    Chem.RemoveStereochemistry(molecule)
    return Chem.MolToSmiles(molecule)


@pytest.mark.parametrize(
    "smiles",
    [
        "CCO",
        "c1ccc2[nH]ccc2c1",
        "C[N+](C)(C)CC(=O)[O-]",
        "O=[N+]([O-])c1ccccc1",
        "N#Cc1cc(Cl)sc1",
        "C[C@H](N)O",
    ],
)
def test_a_molecule_survives_being_a_graph(smiles):
    content = from_smiles(smiles)
    assert to_smiles(content) == same(smiles)
    assert to_smiles(renumbered(content, range(len(content["nodes"]))[::-1])) == same(smiles)


def test_zinc_survives_being_graphs(zinc):
    for line in zinc.read_text().splitlines()[::50]:
        assert to_smiles(from_smiles(line)) == same(line)


def test_the_atoms_of_a_graph_stand_in_the_order_of_the_smiles():
    assert from_smiles("C[NH3+].[Cl-]")["nodes"] == ["C", "N+", "Cl-"]
    assert from_smiles("C=CC#N")["edges"] == [[1, 0, "="], [2, 1, "-"], [3, 2, "#"]]
    assert from_smiles("no molecule") is None


@pytest.mark.parametrize(
    "content",
    [
        graph([], []),
        graph(["C", "C"], []),
        graph(["F", "C", "F"], [(0, 1, "="), (1, 2, "-")]),
        graph(["*"], []),
        graph(["C", "C"], [(0, 1, "~")]),
        graph(["Zz", "C"], [(0, 1, "-")]),
    ],
    ids=["empty", "in pieces", "a valence too many", "no element", "no bond", "no such element"],
)
def test_what_is_no_molecule_is_none(content):
    assert to_molecule(content) is None
    assert to_smiles(content) is None


def test_the_data_keep_the_promises_and_divide_by_the_substructure(molecules):
    check_dataset(molecules)
    everything = [*molecules.load("full"), *molecules.load("test")]
    assert len(everything) == 20
    assert sum(prompt.content == "banned" for prompt in everything) == 5
    for prompt in everything:
        assert (prompt.content == "banned") == ("Cl" in prompt.target["nodes"])
        assert molecules.condition(prompt.target) == prompt.content
    assert molecules.condition(graph(["F", "F"], [(0, 1, "=")])) == "invalid"


def test_two_ways_to_write_a_molecule_are_one_identity_and_invalid_ones_are_none(molecules):
    benzene = from_smiles("c1ccccc1")
    turned = renumbered(benzene, [1, 2, 3, 4, 5, 0])
    bad = graph(["F", "F"], [(0, 1, "=")])
    first, second, third, fourth = molecules.identities([benzene, turned, bad, bad])
    assert first == second
    assert third != fourth


def test_a_compressed_table_of_smiles_is_read_too(tmp_path):
    path = tmp_path / "train.csv.gz"
    path.write_bytes(gzip.compress(b"SMILES,SPLIT\nCCO,train\nCCCl,train\n"))
    data = Molecules(path=str(path), test_share=0.1)
    assert [p.content for p in data.load("full")] == ["allowed", "banned"]
    assert data.provenance()["train.csv.gz"]


def test_a_missing_file_or_pattern_says_what_to_do(tmp_path, monkeypatch):
    with pytest.raises(CollapseError, match=r"none\.txt"):
        Molecules(path=str(tmp_path / "none.txt")).load("full")
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(CollapseError, match="holds no SMILES that RDKit can read"):
        Molecules(path=str(tmp_path / "empty.txt")).load("full")
    monkeypatch.setattr("collapse_graph.data.molecules.find_spec", lambda name: None)
    with pytest.raises(CollapseError, match="pip install --no-deps molsets"):
        Molecules().load("full")
    with pytest.raises(CollapseError, match="is no SMARTS"):
        score(WithoutSubstructure(smarts="(("), [from_smiles("CC")])


def test_rewards_on_molecules_are_exact():
    contents = [from_smiles(s) for s in ("CCO", "CCCl", "ClCCl")] + [graph(["F", "F"], [(0, 1, "=")])]
    assert score(WithoutSubstructure(smarts="[Cl]"), contents) == [0, -1, -2, None]
    assert score(ValidMolecule(), contents) == [0, 0, 0, -1]
