"""Tables to learn and to forget from: scikit-learn's, UCI Adult, and any CSV file."""

from collapse_tabular.data.conditions import Condition, Row, all_hold
from collapse_tabular.data.files import Adult, TableFile
from collapse_tabular.data.shipped import BreastCancer, Iris, Wine
from collapse_tabular.data.table import Table

__all__ = [
    "Adult",
    "BreastCancer",
    "Condition",
    "Iris",
    "Row",
    "Table",
    "TableFile",
    "Wine",
    "all_hold",
]
