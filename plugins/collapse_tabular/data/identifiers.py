"""Columns of texts that name rows, such as ids, and rare texts: what no model of categories can learn."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from collapse_core import CollapseError
from collapse_tabular.data.conditions import MISSING, Row

RARE = "(rare)"
"""What a rare text becomes."""
MOST_OF_AN_IDENTIFIER = 50
"""A column of texts with more different ones than this, in most of its rows, names its rows."""
MOST_CATEGORIES = 1000
"""More different texts than this, in one column, are no categories."""
MOST_IN_ALL = 5000
"""More different texts than this, over all columns, make rows too wide to be noised."""


def without_rare(
    rows: Sequence[Row], least: int, spared: Collection[str]
) -> tuple[list[Row], dict[str, int]]:
    """Return the rows with rare texts as one, and how many different ones that were, by column.

    Args:
        rows: The rows.
        least: A text that fewer rows have is rare.
        spared: Columns that stay as they are.
    """
    counts = {
        name: counted
        for name, counted in _texts(rows).items()
        if name not in spared and not name.endswith(MISSING)
    }
    rare = {name: {text for text, num in c.items() if num < least} for name, c in counts.items()}
    rare = {name: texts for name, texts in rare.items() if texts}
    changed: list[Row] = [
        {n: RARE if n in rare and v in rare[n] else v for n, v in row.items()} for row in rows
    ]
    return changed, {name: len(texts) for name, texts in rare.items()}


def refuse_identifiers(path: Path, rows: Sequence[Row], spared: Collection[str]) -> None:
    """Refuse columns of texts that are no categories.

    Raises:
        CollapseError: A column has too many different texts, or all of them together have.
    """
    counts = {name: len(counted) for name, counted in _texts(rows).items()}
    advice = "leave it out with 'drop', or merge what few rows have with 'rare: 5'"
    if naming := naming_columns(rows, spared):
        raise CollapseError(
            f"{path}: the column '{naming[0]}' has {counts[naming[0]]} different texts in {len(rows)} rows: "
            f"it names rows and is no category; {advice}"
        )
    for name, num in counts.items():
        if num > MOST_CATEGORIES:
            raise CollapseError(
                f"{path}: the column '{name}' has {num} different texts, too many for categories; {advice}"
            )
    if (in_all := sum(counts.values())) > MOST_IN_ALL:
        most = sorted(counts, key=lambda name: -counts[name])[:3]
        named = ", ".join(f"'{name}' ({counts[name]})" for name in most)
        raise CollapseError(
            f"{path}: the columns of texts have {in_all} different ones in all, more than {MOST_IN_ALL}; "
            f"most are in {named}; leave some out with 'drop', or merge what few rows have with 'rare: 5'"
        )


def naming_columns(rows: Sequence[Row], spared: Collection[str]) -> list[str]:
    """Return the columns of texts that name rows: most rows have a text of their own."""
    counts = {name: len(counted) for name, counted in _texts(rows).items() if name not in spared}
    return [name for name, num in counts.items() if num > MOST_OF_AN_IDENTIFIER and 2 * num > len(rows)]


def _texts(rows: Sequence[Row]) -> Mapping[str, Counter[str]]:
    """Return how many rows have each text, by column of texts."""
    return {
        name: Counter(row[name] for row in rows) for name, value in rows[0].items() if isinstance(value, str)
    }
