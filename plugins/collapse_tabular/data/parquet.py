"""Reading a table from Parquet, whose columns have types of their own."""

import math
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from collapse_core import CollapseError, errors

SUFFIXES = (".parquet", ".pq")


def parquet_columns(path: Path, categories: Sequence[str]) -> dict[str, list[Any]]:
    """Return the columns of a file: numbers, None where one is missing, or texts.

    Booleans, dates and times become texts, and a text that is missing is the empty text.

    Raises:
        CollapseError: It cannot be read, or a column has infinite numbers, or cells that are no single value.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise errors.missing_extra("pyarrow", "tabular", f"{path}: reading Parquet") from None
    try:
        table = pyarrow.parquet.read_table(path)
    except OSError as error:
        raise errors.unreadable(path, error) from None
    except pyarrow.ArrowException as error:
        raise CollapseError(f"{path}: cannot be read as Parquet: {error}") from None
    return {
        name: _texts(path, name, cells)
        if name in categories or not _is_numeric(cells)
        else _numbers(path, name, cells)
        for name, cells in zip(
            table.column_names, (column.to_pylist() for column in table.columns), strict=True
        )
    }


def _is_numeric(cells: Iterable[Any]) -> bool:
    """Return whether all cells that there are, at least one, are numbers."""
    there = [cell for cell in cells if cell is not None]
    return bool(there) and all(
        isinstance(cell, (int, float, Decimal)) and not isinstance(cell, bool) for cell in there
    )


def _numbers(path: Path, name: str, cells: Sequence[Any]) -> list[int | float | None]:
    found: list[int | float | None] = []
    for row, cell in enumerate(cells, start=1):
        value = float(cell) if isinstance(cell, Decimal) else cell
        if value is not None and math.isinf(value):
            raise errors.bad_row(
                path, row, f"the column '{name}' has an infinite number; mend it, or leave it empty"
            )
        found.append(None if value is None or value != value else value)
    return found


def _texts(path: Path, name: str, cells: Sequence[Any]) -> list[str]:
    for row, cell in enumerate(cells, start=1):
        if isinstance(cell, (list, dict, bytes)):
            raise errors.bad_row(
                path,
                row,
                f"the column '{name}' has a {type(cell).__name__} in a cell; leave it out, or unpack it",
            )
    return ["" if cell is None else str(cell) for cell in cells]
