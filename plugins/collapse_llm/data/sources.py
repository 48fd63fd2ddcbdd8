"""Where rows come from, as a recipe names it: a file, a directory, a saved data set, or the hub."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from collapse_core import Conditions, Settings

THE_REST = "the rest"


class Source(Settings):
    """Rows of a file, of the files of a directory, of a data set that was saved to disk, or of the hub."""

    from_: str = Field(alias="from", serialization_alias="from", min_length=1, examples=["rows.jsonl"])
    """A .jsonl, .json, .csv, .tsv, .parquet or .arrow file, a directory of such files or of `save_to_disk`,
    relative to where the command is given; or the id of a data set on the hub."""
    columns: dict[str, str] = {}
    """How the rows call what the formats call otherwise: {question: Frage, answer: Antwort}."""
    where: Conditions | Literal["the rest"] = []
    """Which rows: conditions that must all hold, in short {column: value}; or "the rest", those of the same
    file that no other source takes."""
    config: str | None = None
    """The configuration of a data set on the hub."""
    split: str | None = None
    """Which split, where there are several."""
    revision: str | None = None
    """The branch, tag or commit on the hub; by default its newest."""
    encoding: str | None = None
    """How the characters of a text file are written, such as latin-1; by default UTF-8, or UTF-16 where its
    mark comes first."""
    delimiter: str | None = None
    """What stands between the cells of a .csv file; by default a comma."""

    @model_validator(mode="after")
    def _maps_each_column_once(self) -> "Source":
        if len(set(self.columns.values())) < len(self.columns):
            raise ValueError("'columns' gives one column two meanings; give each its own")
        return self

    @property
    def selects(self) -> bool:
        """Whether some rows may be left out."""
        return bool(self.where)

    def alike(self, other: "Source") -> bool:
        """Return whether another source chooses from the same rows."""
        return self.model_copy(update={"where": [], "columns": {}}) == other.model_copy(
            update={"where": [], "columns": {}}
        )


def _written_out(value: Any) -> Any:
    return {"from": value} if isinstance(value, str) else value


Named = Annotated[Source, BeforeValidator(_written_out, json_schema_input_type=str | dict)]
"""A field that names a source: a path or hub id, or a mapping with `from:`."""
