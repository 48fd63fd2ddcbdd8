"""Files of molecules: SMILES in lines or columns, and SDF by RDKit's reader."""

import csv
import gzip
import io
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from rdkit import Chem
from rdkit.rdBase import BlockLogs

from collapse_core import CollapseError, errors
from collapse_graph.data.chemistry import from_molecule, from_smiles

Entry = tuple[int, dict[str, Any] | None]


def graphs(path: Path, column: str | None, most: int | None) -> Iterator[Entry]:
    """Yield the number of each entry of a file and its graph, None for what RDKit cannot read."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise errors.unreadable(path, error) from None
    if path.suffix == ".gz":
        raw = gzip.decompress(raw)
    if ".sdf" in path.suffixes:
        yield from enumerate(_of_sdf(raw, most), start=1)
        return
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeError as error:
        raise CollapseError(f"{path}: {errors.cannot_be_read(error)}") from None
    yield from islice(_of_text(path, text, column), most)


def _of_sdf(raw: bytes, most: int | None) -> Iterator[dict[str, Any] | None]:
    with BlockLogs():
        for molecule in islice(Chem.ForwardSDMolSupplier(io.BytesIO(raw)), most):
            yield None if molecule is None else from_molecule(molecule)


def _of_text(path: Path, text: str, column: str | None) -> Iterator[Entry]:
    """Yield the SMILES of each line; a header is a line that names a column, or one whose first is none."""
    first = text.partition("\n")[0]
    delimiter = next((sign for sign in ("\t", ",", ";") if sign in first), None)
    words = map(str.split, text.splitlines())
    lines = csv.reader(io.StringIO(text), delimiter=delimiter) if delimiter else words
    numbered = [(number, [*map(str.strip, line)]) for number, line in enumerate(lines, 1) if any(line)]
    names = numbered[0][1] if numbered else []
    place = _place(path, names, column)
    if place is not None:
        numbered = numbered[1:]
    for number, cells in numbered:
        yield number, from_smiles(cells[place or 0]) if len(cells) > (place or 0) else None


def _place(path: Path, names: list[str], column: str | None) -> int | None:
    """Return the place of the column of SMILES in a header; None where there is no header."""
    if column is not None:
        if column not in names:
            raise CollapseError(f"{path}: has no column '{column}'; {errors.did_you_mean(column, names)}")
        return names.index(column)
    return next((place for place, name in enumerate(names) if "smiles" in name.lower()), None)
