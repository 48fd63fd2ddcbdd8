"""Molecules from SMILES, by whether they hold a banned substructure."""

from collections.abc import Hashable, Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, ClassVar

from annotated_types import Ge

from collapse_core import CollapseError, Sketch, environment
from collapse_graph.data.content import Graph
from collapse_graph.data.graphs import Example, GraphDataset

BANNED, ALLOWED = "banned", "allowed"


class Molecules(GraphDataset):
    """Molecules as graphs of heavy atoms, the condition being whether they hold a banned substructure.

    Read from a file of SMILES, one per line or in a column, or from an SDF; without one, from the MOSES data
    that the package `molsets` brings (Polykovskiy et al., Molecular Sets, 2020). Bonds are kekulized, and
    stereochemistry is dropped. What RDKit cannot read, salts and radicals are left out; the run's environment
    says how many.
    """

    provides: ClassVar[str] = "molecules"

    banned: str = "[Cl]"
    """The substructure to forget, as SMARTS."""
    path: str | None = None
    """A file of SMILES or an SDF (.sdf), relative to where the command is run; .gz is decompressed."""
    column: str | None = None
    """The column of SMILES in a file with a header; by default the one called SMILES, else the first."""
    num_molecules: Annotated[int, Ge(1)] | None = None
    """How many are read, from the beginning of the file; by default all."""

    @property
    def forgotten(self) -> str:
        """Molecules that hold the substructure."""
        return BANNED

    def source(self) -> Path:
        """Return the file of SMILES.

        Raises:
            CollapseError: None is named, and the package that brings one is not installed.
        """
        if self.path is not None:
            return Path(self.path)
        package = find_spec("moses")
        if package is None or package.origin is None:
            raise CollapseError(
                "the data set 'molecules' has no file of SMILES; name one, data: {use: molecules, path: "
                "<file>}, or install MOSES with pip install --no-deps molsets"
            )
        return Path(package.origin).parent / "dataset" / "data" / "train.csv.gz"

    def examples(self) -> Sequence[Example]:
        """Return the molecules that RDKit can read, in the order of the file."""
        return _read(self.source(), self.column, self.banned, self.num_molecules)[0]

    def condition(self, graph: Graph) -> str:
        """Return whether the molecule holds the substructure; what is no molecule is "invalid"."""
        from collapse_graph.data.chemistry import holds, to_molecule

        molecule = to_molecule(graph)
        if molecule is None:
            return "invalid"
        return BANNED if holds(molecule, self.banned) else ALLOWED

    def is_valid(self, graph: Graph) -> bool:
        """Return whether RDKit takes it for one molecule: valences hold, and it is connected."""
        from collapse_graph.data.chemistry import to_molecule

        return to_molecule(graph) is not None

    def identities(self, graphs: Sequence[Graph]) -> list[Hashable]:
        """Return canonical SMILES; what is no molecule is like nothing else."""
        from collapse_graph.data.chemistry import to_smiles

        return [to_smiles(graph) or ("invalid", number) for number, graph in enumerate(graphs)]

    def picture(self, content: Graph) -> Sketch | None:
        """Return the structural formula, as RDKit lays it out."""
        from collapse_graph.data.layout import formula

        return formula(content)

    def provenance(self) -> Mapping[str, object]:
        """Return the digest of the file, and how many of its entries are molecules or none."""
        path = self.source()
        if not path.exists():
            return {}
        examples, dropped = _read(path, self.column, self.banned, self.num_molecules)
        return {path.name: environment.file_digest(path), "molecules": len(examples), "dropped": dropped}


@cache
def _read(path: Path, column: str | None, banned: str, most: int | None) -> tuple[list[Example], int]:
    """Return the molecules of a file, and how many of its entries are none."""
    from collapse_graph.data.chemistry import holds, to_molecule
    from collapse_graph.data.molecule_files import graphs

    examples, dropped = [], 0
    for number, graph in graphs(path, column, most):
        molecule = to_molecule(graph) if graph else None
        if graph and molecule:
            examples.append(Example(str(number), BANNED if holds(molecule, banned) else ALLOWED, graph))
        else:
            dropped += 1
    if 2 * len(examples) <= dropped or not examples:
        raise CollapseError(
            f"{path} holds no SMILES that RDKit can read, or few: {len(examples)} molecules, and {dropped} "
            "entries that are none; give a file with one per line, or name its column, data: {column: ...}"
        )
    return examples, dropped
