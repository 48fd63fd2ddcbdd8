"""What a run has recorded as tables: a list of flat rows each, or a pandas frame."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from collapse_core import errors

if TYPE_CHECKING:
    import pandas

Table = Literal["metrics", "iterations", "completions", "examples", "timings"]
"""The tables of a run."""


def metric_records(evaluations: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row for each metric of each measurement, with its interval."""
    return [
        {**_measured(row), "metric": name, **metric}
        for row in evaluations
        for name, metric in row["metrics"].items()
    ]


def example_records(evaluations: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row for each example that an evaluator noted down."""
    return [{**_measured(row), **flat(example)} for row in evaluations for example in row.get("examples", ())]


def _measured(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: row.get(key) for key in ("model", "iteration", "evaluator")}


def flat(row: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """The row with the keys of mappings within it joined by dots; lists stay as they are."""
    found: dict[str, Any] = {}
    for key, value in row.items():
        path = f"{above}{key}"
        found |= flat(value, f"{path}.") if isinstance(value, dict) else {path: value}
    return found


def to_frame(rows: Sequence[Mapping[str, Any]]) -> "pandas.DataFrame":
    """The rows as a pandas frame.

    Raises:
        CollapseError: pandas is not installed.
    """
    try:
        import pandas
    except ModuleNotFoundError:
        raise errors.missing_extra("pandas", "tabular", "a table as a frame") from None
    return pandas.DataFrame(list(rows))
