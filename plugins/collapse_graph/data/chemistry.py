"""Molecules as graphs, and back, by RDKit: atoms as symbol and charge, kekulized bonds."""

import re
from functools import cache
from typing import Any

from rdkit import Chem
from rdkit.rdBase import BlockLogs

from collapse_core import CollapseError
from collapse_graph.data.content import Graph, graph, is_connected

BONDS = {"-": Chem.BondType.SINGLE, "=": Chem.BondType.DOUBLE, "#": Chem.BondType.TRIPLE}
ELEMENTS = frozenset(Chem.GetPeriodicTable().GetElementSymbol(number) for number in range(1, 119))
_SYMBOLS = {kind: symbol for symbol, kind in BONDS.items()}


def from_smiles(smiles: str) -> dict[str, Any] | None:
    """Return the graph of a molecule, its atoms in the order of the SMILES; None for what is no molecule."""
    with BlockLogs():  # that a draw is no molecule is a result, not a warning
        molecule = Chem.MolFromSmiles(smiles)
    return None if molecule is None else from_molecule(molecule)


def from_molecule(molecule: Any) -> dict[str, Any] | None:
    """Return the graph of a molecule of RDKit; None for a bond or a radical that graphs do not have."""
    molecule = Chem.RemoveHs(molecule)
    if any(atom.GetNumRadicalElectrons() for atom in molecule.GetAtoms()):
        return None
    Chem.Kekulize(molecule, clearAromaticFlags=True)
    if any(bond.GetBondType() not in _SYMBOLS for bond in molecule.GetBonds()):
        return None
    nodes = [_kind(atom) for atom in molecule.GetAtoms()]
    bonds = [
        (bond.GetBeginAtomIdx(), bond.GetEndAtomIdx(), _SYMBOLS[bond.GetBondType()])
        for bond in molecule.GetBonds()
    ]
    return graph(nodes, bonds)


def _kind(atom: Any) -> str:
    """Return an atom's type: C, N+, O-; hydrogens follow from valences."""
    symbol, charge = str(atom.GetSymbol()), int(atom.GetFormalCharge())
    return symbol + ("+" if charge > 0 else "-") * abs(charge)


def to_molecule(content: Graph) -> Any | None:
    """Return the sanitized molecule of a graph; None where valences do not hold or it falls into pieces."""
    if not content["nodes"] or not is_connected(content):
        return None
    molecule = Chem.RWMol()
    for kind in content["nodes"]:
        found = re.fullmatch(r"([A-Z][a-z]?)([+-]*)", kind)
        if found is None or found[1] not in ELEMENTS:
            return None
        atom = Chem.Atom(found[1])
        atom.SetFormalCharge(found[2].count("+") - found[2].count("-"))
        molecule.AddAtom(atom)
    for i, j, kind in content["edges"]:
        if kind not in BONDS:
            return None
        molecule.AddBond(i, j, BONDS[kind])
    with BlockLogs():  # that a draw is no molecule is a result, not a warning
        failed = Chem.SanitizeMol(molecule, catchErrors=True)
    return None if failed else molecule.GetMol()


def to_smiles(content: Graph) -> str | None:
    """Return canonical SMILES, the same for every numbering of the atoms; None for what is no molecule."""
    molecule = to_molecule(content)
    return None if molecule is None else Chem.MolToSmiles(Chem.MolFromSmiles(Chem.MolToSmiles(molecule)))


def holds(molecule: Any, smarts: str) -> bool:
    """Return whether a molecule holds a substructure."""
    return bool(molecule.HasSubstructMatch(pattern(smarts)))


def num_matches(molecule: Any, smarts: str) -> int:
    """Return how many sets of atoms of a molecule match a substructure."""
    return len(molecule.GetSubstructMatches(pattern(smarts)))


@cache
def pattern(smarts: str) -> Any:
    """Return a substructure to look for.

    Raises:
        CollapseError: It is no SMARTS.
    """
    with BlockLogs():  # that a draw is no molecule is a result, not a warning
        found = Chem.MolFromSmarts(smarts)
    if re.search(r"\[[^\]]*@", smarts):
        raise CollapseError(f"'{smarts}' asks for stereochemistry, which graphs of molecules do not have")
    if found is None:
        raise CollapseError(f"'{smarts}' is no SMARTS; write a substructure such as '[Cl]' or 'c1ccsc1'")
    return found
