"""Tables from files: any CSV, and UCI Adult."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge
from pydantic import Field, model_validator

from collapse_core import CollapseError, environment, errors
from collapse_tabular.data.conditions import MISSING, Condition, Row
from collapse_tabular.data.identifiers import refuse_identifiers, without_rare
from collapse_tabular.data.reading import NO_NUMBERS, Dialect, changed, read_rows, typed
from collapse_tabular.data.table import Table

MOST_CLASSES = 100
"""More different values than this are nothing to predict."""


class _Columns(Table):
    """A table whose every column is drawn, those that the prompt says included."""

    drop: list[str] = []
    """Columns to leave out, such as one that only repeats another."""

    @model_validator(mode="after")
    def _nothing_dropped_is_needed(self) -> "_Columns":
        needed = {*self.said(), self.label(), *(condition.column for condition in self.subgroup())}
        if clash := sorted(needed & set(self.drop)):
            raise ValueError(f"'{clash[0]}' cannot be dropped: a prompt, a condition or the label needs it")
        return self

    def drawn(self) -> tuple[str, ...]:
        """Return every column that is not dropped."""
        return tuple(self.rows()[0])

    def _kept(self, rows: Sequence[Row]) -> list[Row]:
        left_out = {*self.drop, *(column + MISSING for column in self.drop)}
        return [{key: row[key] for key in row if key not in left_out} for row in rows]


class TableFile(_Columns):
    """Any table in a file of text with a header, read by pandas, or in a Parquet file (.parquet, .pq).

    A column is of numbers if every cell is a plain one, without leading zeros; else its cells are texts. A
    missing number is read as the median of its column, and the further column "<name> missing" says where;
    no condition holds of it. A column whose texts name its rows, such as ids, is refused by name.
    """

    provides: ClassVar[str] = "rows"

    path: str = Field(examples=["table.csv"])
    """The file, relative to where the command is given."""
    prompt: list[str] = Field(min_length=1, examples=[["group"]])
    """The columns that a prompt says; the model draws them too, and may disobey."""
    forget: list[Condition] = Field(min_length=1, examples=[[{"column": "group", "value": "a"}]])
    """What makes a row one to forget; all must hold."""
    predict: str = Field(examples=["group"])
    """The column that a model trained on drawn rows is to predict of real ones."""
    categories: list[str] = []
    """Columns whose cells are texts even where all are numbers, such as codes."""
    encoding: str | None = None
    """How characters are written, such as latin-1; by default UTF-8, or UTF-16 where its mark comes first."""
    delimiter: str | None = None
    """What stands between cells, " " for blanks; by default found in the first line."""
    decimal: Literal[".", ","] = "."
    """What stands before decimals."""
    missing: list[str] = list(NO_NUMBERS)
    """What a missing number is written as."""
    rare: Annotated[int, Ge(1)] = 1
    """A text that fewer rows have becomes "(rare)", in columns that no prompt, condition or label needs."""

    def rows(self) -> Sequence[Row]:
        """Return the rows of the file."""
        return self._rows()[0]

    def _rows(self) -> tuple[list[Row], dict[str, int]]:
        """Return the rows, and by column how many different texts were rare."""
        path = Path(self.path)
        rows = self._read(path)
        needed = [*self.prompt, self.predict, *(condition.column for condition in self.forget)]
        for column in [*needed, *self.drop]:
            if column not in rows[0]:
                raise CollapseError(f"{path}: has no column '{column}'; it has {', '.join(rows[0])}")
        self._check_needed(path, rows)
        found, merged = without_rare(self._kept(rows), self.rare, needed)
        refuse_identifiers(path, found, {*needed, *self.categories})
        return found, merged

    def _read(self, path: Path) -> Sequence[Row]:
        dialect = Dialect(
            self.encoding, self.delimiter, self.decimal, tuple(self.missing), tuple(self.categories)
        )
        return read_rows(path, (), dialect, changed(path))

    def _check_needed(self, path: Path, rows: Sequence[Row]) -> None:
        """Refuse prompts that lack numbers, and a label of too many classes."""
        for column in [*self.prompt, self.predict]:
            if column + MISSING in rows[0]:
                raise CollapseError(
                    f"{path}: the column '{column}' lacks numbers, which no prompt can say; "
                    f"fill them in, leave their rows out, or write 'categories: [{column}]' to read texts"
                )
        values = {row[self.predict] for row in rows}
        if len(values) > MOST_CLASSES or any(
            value != int(value) for value in values if isinstance(value, float)
        ):
            raise CollapseError(
                f"{path}: 'predict' names the column '{self.predict}', which has {len(values)} different "
                f"{'texts' if isinstance(rows[0][self.predict], str) else 'numbers'}; name one of few classes"
            )

    def said(self) -> tuple[str, ...]:
        """Return the columns of `prompt`."""
        return tuple(self.prompt)

    def label(self) -> str:
        """Return the column of `predict`."""
        return self.predict

    def subgroup(self) -> Sequence[Condition]:
        """Return the conditions of `forget`."""
        return self.forget

    def provenance(self) -> Mapping[str, object]:
        """Return the file's digest, and how many different texts of which columns were rare."""
        path = Path(self.path)
        if not path.exists():
            return {}
        merged = {"rare": self._rows()[1]} if self.rare > 1 else {}
        return {path.name: environment.file_digest(path)} | merged


class Adult(_Columns):
    """UCI Adult (Becker and Kohavi 1996): 32561 people of the 1994 census, 15 mixed columns.

    Read from the file `adult.data`, or without a path fetched by name from OpenML (then 48842 people).
    A missing value is a category of its own, "?".
    """

    provides: ClassVar[str] = "rows"

    COLUMNS: ClassVar[tuple[str, ...]] = (
        "age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation",
        "relationship", "race", "sex", "capital-gain", "capital-loss", "hours-per-week", "native-country",
        "income",
    )  # fmt: skip

    path: str | None = None
    """The file, relative to where the command is given; without it the table is downloaded."""
    prompt: list[str] = Field(default=["education", "income"], min_length=1)
    """The columns that a prompt says; the model draws them too, and may disobey."""
    forget: list[Condition] = Field(
        default=[Condition(column="education", value="Doctorate"), Condition(column="income", value=">50K")],
        min_length=1,
    )
    """What makes a row one to forget; all must hold."""
    drop: list[str] = ["education-num"]
    """Columns to leave out; education-num only repeats education, and would give away what that hides."""

    @model_validator(mode="after")
    def _columns_there_are(self) -> "Adult":
        for column in [*self.prompt, *self.drop, *(condition.column for condition in self.forget)]:
            if column not in self.COLUMNS:
                raise ValueError(
                    f"Adult has no column '{column}'; {errors.did_you_mean(column, self.COLUMNS)}"
                )
        return self

    def rows(self) -> Sequence[Row]:
        """Return the rows of the file, or of OpenML."""
        if self.path is None:
            return self._kept(_fetched())
        path = Path(self.path)
        return self._kept(read_rows(path, self.COLUMNS, Dialect(delimiter=",", missing=()), changed(path)))

    def said(self) -> tuple[str, ...]:
        """Return the columns of `prompt`."""
        return tuple(self.prompt)

    def label(self) -> str:
        """Return the income."""
        return "income"

    def subgroup(self) -> Sequence[Condition]:
        """Return the conditions of `forget`."""
        return self.forget

    def provenance(self) -> Mapping[str, object]:
        """Return the file's digest, or where it comes from."""
        if self.path is None:
            return {"openml": "adult", "version": 2}
        path = Path(self.path)
        return {path.name: environment.file_digest(path)} if path.exists() else {}


@lru_cache(maxsize=1)
def _fetched() -> Sequence[Row]:
    from sklearn.datasets import fetch_openml

    try:
        frame = fetch_openml("adult", version=2, as_frame=True, parser="liac-arff").frame
    except Exception as error:
        raise errors.not_fetched("adult of OpenML", error, "data: {use: adult, path: adult.data}") from None
    frame = frame.rename(columns={"class": "income"})[list(Adult.COLUMNS)]
    cells = [frame[column].astype(object).where(frame[column].notna(), "?") for column in frame]
    lines = list(zip(*([_plain(cell) for cell in column] for column in cells), strict=True))
    return typed(Adult.COLUMNS, lines, Dialect(missing=()))


def _plain(cell: Any) -> str:
    """Return a number that is whole without its point, as the file has it."""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)
