"""Conditions on the columns of a row, said in plain data: nothing of a recipe is ever evaluated as code."""

import operator
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, model_validator

from collapse_core.contracts.component import Settings
from collapse_core.errors import CollapseError

Row = Mapping[str, Any]
"""A row: its value by column, a number or a text."""
Value = bool | int | float | str

MOST_SHOWN = 10
"""How many values of a column an error shows."""

COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "in": lambda value, values: value in values,
    "not in": lambda value, values: value not in values,
}


class Condition(Settings):
    """What one column of a row must be."""

    secret_fields: ClassVar[tuple[str, ...]] = ("value",)

    column: str
    """The column."""
    op: Literal["==", "!=", "<", "<=", ">", ">=", "in", "not in"] = "=="
    """How it is compared."""
    value: Value | list[Value]
    """With what; a list for "in" and "not in", else one number or text."""

    @model_validator(mode="after")
    def _a_list_where_one_belongs(self) -> "Condition":
        if isinstance(self.value, list) != (self.op in ("in", "not in")):
            raise ValueError(f"'{self.op}' takes {'a list' if 'in' in self.op else 'one value, no list'}")
        return self

    def holds(self, row: Row) -> bool:
        """Return whether the row meets the condition; none is met by a value that is missing.

        Raises:
            CollapseError: The row has no such column, or one that cannot be compared with the value.
        """
        if self.column not in row:
            raise CollapseError(
                f"a condition names the column '{self.column}', which the rows do not have; "
                f"they have {', '.join(row)}"
            )
        found = row[self.column]
        if found is None:
            return False
        values = self.value if isinstance(self.value, list) else [self.value]
        if any(isinstance(value, str) != isinstance(found, str) for value in values):
            raise CollapseError(
                f"the condition {self} compares {found!r} with {self.value!r}; "
                "give a number for a column of numbers and a text for one of texts"
            )
        return bool(COMPARISONS[self.op](found, self.value))

    def __str__(self) -> str:
        """As one would write it down: education=Doctorate, age>60."""
        sign = f" {self.op} " if self.op in ("in", "not in") else self.op.replace("==", "=")
        return f"{self.column}{sign}{self.value}"


def _written_out(value: Any) -> Any:
    """Conditions from the short form {column: value} or {column: [value, ...]}."""
    if not isinstance(value, dict):
        return value
    if "column" in value and "value" in value:
        return [value]
    return [
        {"column": column, "op": "in" if isinstance(wanted, list) else "==", "value": wanted}
        for column, wanted in value.items()
    ]


Conditions = Annotated[list[Condition], BeforeValidator(_written_out, json_schema_input_type=list | dict)]
"""A field of conditions that must all hold: a list of them, or in short {column: value or list of values}."""


def all_hold(conditions: Sequence[Condition], row: Row) -> bool:
    """Return whether a row meets every condition."""
    return all(condition.holds(row) for condition in conditions)


def values_there(conditions: Sequence[Condition], rows: Sequence[Row]) -> str:
    """Say which values the columns of the conditions have, for an error about what they select."""
    return "; ".join(f"{one.column} has {_values(one, rows)}" for one in conditions)


def _values(condition: Condition, rows: Sequence[Row]) -> str:
    """Return the range of the numbers that a condition orders, else the commonest values and their counts."""
    there = [row[condition.column] for row in rows if row[condition.column] is not None]
    if there and condition.op in ("<", "<=", ">", ">=") and not isinstance(there[0], str):
        return f"numbers from {min(there)} to {max(there)}"
    counts = Counter(there).most_common()
    shown = [f"{value!r} ({count})" for value, count in counts[:MOST_SHOWN]]
    more = f" and {len(counts) - MOST_SHOWN} more" if len(counts) > MOST_SHOWN else ""
    return ", ".join(shown) + more or "no values"
