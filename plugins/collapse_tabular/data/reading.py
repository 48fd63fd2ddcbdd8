"""Reading a table of texts with pandas, and finding which of its columns are numbers."""

import csv
import math
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from collapse_core import CollapseError, errors
from collapse_tabular.data.conditions import MISSING, Row
from collapse_tabular.data.parquet import SUFFIXES, parquet_columns

NUMBER = re.compile(r"-?(0|[1-9][0-9]*)?(?<=[0-9])(\.[0-9]*)?([eE][+-][0-9]+)?|-?\.[0-9]+([eE][+-][0-9]+)?")
"""A plain number: no leading zeros, digits of ASCII, and a sign in its exponent, as programs write it."""
INFINITE = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
NO_NUMBERS = ("", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NULL", "null", "None", "none")
"""What a missing number is written as."""
NEAREST_TO_ZERO = 1e-300
"""What is nearer to zero is read as zero; differences of such numbers have no inverse."""
DELIMITERS = (",", ";", "\t", "|")


@dataclass(frozen=True)
class Dialect:
    """How a file of a table is written."""

    encoding: str | None = None
    """By default UTF-8, or UTF-16 where the file begins with its mark."""
    delimiter: str | None = None
    """By default what divides the first line into most cells: comma, semicolon, tab or bar; else blanks."""
    decimal: str = "."
    """What stands before decimals."""
    missing: tuple[str, ...] = NO_NUMBERS
    """What a missing number is written as."""
    categories: tuple[str, ...] = ()
    """Columns whose cells are texts, even if all are numbers."""


def changed(path: Path) -> int:
    """Return when a file was last changed, for `read_rows`."""
    try:
        return path.stat().st_mtime_ns
    except OSError as error:
        raise errors.unreadable(path, error) from None


@lru_cache(maxsize=4)
def read_rows(path: Path, columns: tuple[str, ...], dialect: Dialect, changed: int) -> Sequence[Row]:
    """Return the rows of a file, numbers as numbers; without columns the first line is a header."""
    if path.suffix in SUFFIXES:
        return _of_parquet(path, dialect)
    lines = _lines(path, dialect)
    names = columns or tuple(unicodedata.normalize("NFC", name) for name in (lines.pop(0) if lines else ()))
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise CollapseError(
            f"{path}: the header has the column '{twice[0]}' twice; give each a name of its own"
        )
    for number, line in enumerate(lines, start=1 if columns else 2):
        if len(line) != len(names):
            raise errors.bad_row(path, number, f"expected {len(names)} values, found {len(line)}")
    _check(path, len(lines), names, dialect)
    try:
        return typed(names, lines, dialect)
    except _BadCellError as bad:
        raise errors.bad_row(path, bad.row + (1 if columns else 2), str(bad)) from None


def _of_parquet(path: Path, dialect: Dialect) -> list[Row]:
    columns: dict[str, Sequence[Any]] = dict(parquet_columns(path, dialect.categories))
    _check(path, len(next(iter(columns.values()), [])), tuple(columns), dialect)
    return _filled(columns)


def _check(path: Path, num_rows: int, names: Sequence[str], dialect: Dialect) -> None:
    if not num_rows:
        raise CollapseError(f"{path}: holds no rows")
    if unknown := sorted(set(dialect.categories) - set(names)):
        raise CollapseError(
            f"{path}: 'categories' names '{unknown[0]}'; {errors.did_you_mean(unknown[0], names)}"
        )


def typed(names: Sequence[str], lines: Sequence[Sequence[str]], dialect: Dialect) -> list[Row]:
    """Return rows of texts with their numbers as numbers.

    A missing number becomes the median of its column, and a further column "<name> missing" says which did.
    """
    columns: dict[str, Sequence[Any]] = {}
    for name, cells in zip(names, zip(*lines, strict=True), strict=True):
        numbers = None if name in dialect.categories else _numbers(name, cells, dialect)
        columns[name] = cells if numbers is None else numbers
    return _filled(columns)


def _filled(columns: dict[str, Sequence[Any]]) -> list[Row]:
    """Return rows of columns whose missing numbers are filled in."""
    for name in list(columns):
        if None in columns[name]:
            if name + MISSING in columns:
                raise CollapseError(f"the column '{name}' lacks numbers; rename the column '{name}{MISSING}'")
            columns[name + MISSING] = ["yes" if value is None else "no" for value in columns[name]]
            columns[name] = _imputed(columns[name])
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


class _BadCellError(Exception):
    """A cell that cannot be used, in a row counted from 0."""

    def __init__(self, row: int, what: str) -> None:
        self.row = row
        super().__init__(what)


def _numbers(name: str, cells: Sequence[str], dialect: Dialect) -> list[int | float | None] | None:
    """Return a column's numbers, None where one is missing; None for a column of texts.

    Raises:
        _BadCellError: One is infinite, or all are numbers if another decimal sign is meant.
    """
    there = [(row, cell) for row, cell in enumerate(cells) if cell not in dialect.missing]
    plain = [cell.replace(dialect.decimal, ".") if dialect.decimal != "." else cell for _, cell in there]
    if not there or not all(NUMBER.fullmatch(cell) or INFINITE.fullmatch(cell) for cell in plain):
        if there and all(re.fullmatch(r"-?[0-9]+(,[0-9]+)?", cell) for _, cell in there):
            _refuse_commas(name, there)
        return None
    if all(INFINITE.fullmatch(cell) for cell in plain):
        return None
    kind = int if all(re.fullmatch("-?[0-9]+", cell) for cell in plain) else float
    found: list[int | float | None] = [None] * len(cells)
    for (row, _), cell in zip(there, plain, strict=True):
        value = float(cell)
        if math.isinf(value):
            what = f"the column '{name}' has an infinite number, or one beyond 1.8e308"
            raise _BadCellError(row, f"{what}; mend it, or leave it empty")
        found[row] = 0.0 if 0 < abs(value) < NEAREST_TO_ZERO else kind(cell)
    return found


def _refuse_commas(name: str, there: Sequence[tuple[int, str]]) -> None:
    for row, cell in there:
        if "," in cell:
            what = f"the column '{name}' has the cell '{cell}', a number with a comma"
            raise _BadCellError(
                row, f"{what}; write 'decimal: \",\"', or 'categories: [{name}]' to read texts"
            )


def _imputed(column: Sequence[Any]) -> list[Any]:
    there = sorted(value for value in column if value is not None)
    median = there[(len(there) - 1) // 2]
    return [median if value is None else value for value in column]


def _lines(path: Path, dialect: Dialect) -> list[list[str]]:
    """Return the cells of each line that is not blank, without blanks around them."""
    import pandas as pd

    encoding = dialect.encoding or _encoding(path)
    try:
        delimiter = dialect.delimiter or _delimiter(path, encoding)
        with _long_cells():
            frame = pd.read_csv(
                path, sep=r"\s+" if delimiter == " " else delimiter, encoding=encoding, engine="python",
                header=None, dtype=object, keep_default_na=False, na_values=[], skipinitialspace=True,
            )  # fmt: skip
    except pd.errors.EmptyDataError:
        return []
    except pd.errors.ParserError as error:
        if found := re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(error)):
            raise errors.bad_row(
                path, int(found[2]), f"expected {found[1]} values, found {found[3]}"
            ) from None
        raise CollapseError(f"{path}: cannot be read as a table: {error}") from None
    except UnicodeError:
        raise CollapseError(
            f"{path}: cannot be read as {encoding}; name its encoding, such as 'encoding: latin-1'"
        ) from None
    except LookupError:
        raise CollapseError(f"{path}: there is no encoding '{encoding}'; write utf-8 or latin-1") from None
    return [[cell.strip() for cell in line if isinstance(cell, str)] for line in frame.to_numpy().tolist()]


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        return "utf-16" if file.read(2) in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"


def _delimiter(path: Path, encoding: str) -> str:
    """Return what divides the first line that is not blank into most cells."""
    with path.open(encoding=encoding, newline="") as file:
        first = next((line for line in file if line.strip()), "")
    counts = {delimiter: len(next(csv.reader([first], delimiter=delimiter))) for delimiter in DELIMITERS}
    best = max(DELIMITERS, key=lambda delimiter: counts[delimiter])
    return " " if counts[best] == 1 and len(first.split()) > 1 else best


@contextmanager
def _long_cells() -> Iterator[None]:
    """Let the csv module read cells of any length."""
    before = csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    try:
        yield
    finally:
        csv.field_size_limit(before)
