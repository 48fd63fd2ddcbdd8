"""Conditions on the columns of a table, where a number that is missing was filled in."""

from collapse_core import Condition as PlainCondition
from collapse_core import Row, all_hold

__all__ = ["MISSING", "Condition", "Row", "all_hold"]

MISSING = " missing"
"""What follows the name of a column of numbers in that of the column that says which are missing."""


class Condition(PlainCondition):
    """What one column of a row must be."""

    def holds(self, row: Row) -> bool:
        """Return whether the row meets the condition; none is met by a number that is missing.

        Raises:
            CollapseError: The row has no such column, or one that cannot be compared with the value.
        """
        return row.get(self.column + MISSING) != "yes" and super().holds(row)
