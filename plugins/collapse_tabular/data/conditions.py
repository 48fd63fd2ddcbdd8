"""Conditions on the columns of a row, said in plain data: nothing of a recipe is ever evaluated as code."""

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from pydantic import model_validator

from collapse_core import CollapseError, Settings

Row = Mapping[str, Any]
"""A row: its value by column, a number or a text."""
Value = bool | int | float | str

MISSING = " missing"
"""What follows the name of a column of numbers in that of the column that says which are missing."""

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
        """Return whether the row meets the condition; none is met by a number that is missing.

        Raises:
            CollapseError: The row has no such column, or one that cannot be compared with the value.
        """
        if self.column not in row:
            raise CollapseError(
                f"a condition names the column '{self.column}', which the rows do not have; "
                f"they have {', '.join(row)}"
            )
        if row.get(self.column + MISSING) == "yes":
            return False
        values = self.value if isinstance(self.value, list) else [self.value]
        if any(isinstance(value, str) != isinstance(row[self.column], str) for value in values):
            raise CollapseError(
                f"the condition {self} compares {row[self.column]!r} with {self.value!r}; "
                "give a number for a column of numbers and a text for one of texts"
            )
        return bool(COMPARISONS[self.op](row[self.column], self.value))

    def __str__(self) -> str:
        """As one would write it down: education=Doctorate, age>60."""
        return f"{self.column}{'=' if self.op == '==' else self.op}{self.value}"


def all_hold(conditions: Sequence[Condition], row: Row) -> bool:
    """Return whether a row meets every condition."""
    return all(condition.holds(row) for condition in conditions)
