"""Molecules: SMILES as graphs, substructures, validity."""

import gzip

import pytest
from pydantic import ValidationError
from rdkit import Chem

from collapse_core import CollapseError
from collapse_core.testing import check_dataset, score
from collapse_graph.data import Molecules
from collapse_graph.data.chemistry import from_smiles, pattern, to_molecule, to_smiles
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


FILES = {
    "csv": ("m.csv", "name,smiles\nCO,c1ccccc1Cl\nCC,CCO\n"),
    "quoted": ("m.csv", '"id","SMILES"\n"a, b","c1ccccc1Cl"\n"c","CCO"\n'),
    "tabs": ("m.tsv", "id\tsmiles\n1\tc1ccccc1Cl\n2\tCCO\n"),
    "mark": ("m.smi", "\ufeffc1ccccc1Cl one\nCCO two\n"),
    "sdf": (
        "m.sdf",
        "".join(Chem.MolToMolBlock(Chem.MolFromSmiles(s)) + "$$$$\n" for s in ("c1ccccc1Cl", "CCO")),
    ),
}


@pytest.mark.parametrize("kind", FILES)
def test_files_of_molecules_are_read_as_what_they_are(kind, tmp_path):
    name, text = FILES[kind]
    (tmp_path / name).write_text(text)
    found = Molecules(path=str(tmp_path / name)).examples()
    assert [(one.condition, to_smiles(one.graph)) for one in found] == [
        ("banned", "Clc1ccccc1"),
        ("allowed", "CCO"),
    ]


def test_a_column_is_named_and_what_is_no_molecule_is_counted(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("a,b\nx,CCO\ny,CCCl\nz,[CH3]\nw,CC.Cl\n")
    data = Molecules(path=str(path), column="b")
    assert [one.name for one in data.examples()] == ["2", "3"]
    assert data.provenance()["dropped"] == 2
    with pytest.raises(CollapseError, match="has no column 'c'"):
        Molecules(path=str(path), column="c").examples()
    with pytest.raises(CollapseError, match="or few: 0 molecules, and 5 entries"):
        Molecules(path=str(path)).examples()


@pytest.mark.parametrize(("banned", "which"), [("[Br]", "none"), ("[#6,#8]", "all")])
def test_a_substructure_of_no_molecule_or_all_is_refused(banned, which, molecules):
    with pytest.raises(CollapseError, match=f"{which} of the 16 training graphs are 'banned'"):
        molecules.model_copy(update={"banned": banned}).load("full")


def test_stereochemistry_cannot_be_banned_and_a_count_is_positive():
    with pytest.raises(CollapseError, match="asks for stereochemistry"):
        pattern("[C@H]")
    with pytest.raises(ValidationError):
        Molecules(num_molecules=-1)
