"""Contents of a run, group by group, as their people look at them: in grids, tables, or planes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from collapse_core.contracts.pictures import Cells, Place
from collapse_core.contracts.types import Content
from collapse_core.plugins.registry import Registry
from collapse_core.report.marginals import marginals
from collapse_core.report.tiles import MARGIN, PLANE, Image, Strokes, Tile, tile

NUM_ROWS, NUM_COLUMNS, NUM_PLACES = 8, 60, 1000
"""How many rows and columns of a table are shown, and how many points in the plane, of each group."""

Look = Callable[[Content], Tile | None]


@dataclass(frozen=True)
class Item:
    """A content to be shown."""

    content: Content
    caption: Any
    """A number, or what it was asked."""
    about: str = ""
    """What else there is to say of it."""
    scores: Mapping[str, float | None] = field(default_factory=dict)
    kept: bool = False


Choose = Callable[[Sequence[Item], int], Sequence[Item]]
Drawn = Sequence[tuple[Item, Tile | None]]


def look_of(recipe: Mapping[str, Any]) -> Look:
    """How the contents of a run look: as its data set says, where the plugin of that is installed.

    A file that the recipe names as a plugin is not run: whoever reads a report need not trust the run.
    """
    try:
        data: Any = Registry().make("dataset", recipe["data"])
    except Exception:  # not installed, or no longer what it was
        return lambda content: None

    def look(content: Content) -> Tile | None:
        try:
            return tile(data.picture(content))
        except Exception:  # a run may hold anything, and has a report nevertheless
            return None

    return look


def exhibit(
    groups: Mapping[str, Sequence[Item]], look: Look, choose: Choose, most: int
) -> dict[str, Any] | None:
    """Contents to be shown group by group, such as those of each iteration; None where all is text.

    Args:
        groups: The contents, by what to call them together.
        look: How they look.
        choose: Which so many of a group are shown, where not all can be.
        most: How many images or sketches of a group are shown.
    """
    contents = (item.content for items in groups.values() for item in items)
    kind = next((type(found) for content in contents if (found := look(content))), None)
    if kind is None:
        return None
    if kind is Cells:
        return {"kind": "table", **_table(groups, look, choose)}
    most = NUM_PLACES if kind is Place else most
    shown = {name: [(item, look(item.content)) for item in choose(g, most)] for name, g in groups.items()}
    if kind is Place:
        return {"kind": "planes", "groups": _planes(shown)}
    return {"kind": "grid", "groups": {name: [_framed(*pair) for pair in g] for name, g in shown.items()}}


def spread_out(values: Sequence[Any], most: int) -> list[Any]:
    """The first, the last, and some in between at even distances, at most so many."""
    if len(values) <= most:
        return list(values)
    return [values[round(place * (len(values) - 1) / (most - 1))] for place in range(most)]


def _framed(item: Item, drawn: Tile | None) -> dict[str, Any]:
    """A tile of a grid; what cannot be drawn is text there."""
    return {
        "item": item,
        "image": drawn if isinstance(drawn, Image) else None,
        "sketch": drawn if isinstance(drawn, Strokes) else None,
    }


def _planes(groups: Mapping[str, Drawn]) -> dict[str, list[tuple[float, float, bool]]]:
    """The points of each group, those kept on top, on axes that all groups share."""
    found = {
        name: [(one.x, one.y, item.kept) for item, one in pairs if isinstance(one, Place)]
        for name, pairs in groups.items()
    }
    found = {name: sorted(some, key=lambda point: point[2]) for name, some in found.items()}
    every = [point for points in found.values() for point in points] or [(0.0, 0.0, False)]
    (left, right), (low, high) = ((min(side), max(side)) for side in (*zip(*every, strict=True),)[:2])
    scale = (PLANE - 2 * MARGIN) / (max(right - left, high - low) or 1.0)
    return {
        name: [(MARGIN + scale * (x - left), PLANE - MARGIN - scale * (y - low), kept) for x, y, kept in some]
        for name, some in found.items()
    }


def _table(groups: Mapping[str, Sequence[Item]], look: Look, choose: Choose) -> dict[str, Any]:
    """Some rows of each group, and how the columns of all its rows are distributed."""
    cells = {name: {id(item): _cells(look(item.content)) for item in g} for name, g in groups.items()}
    every = [row for rows in cells.values() for row in rows.values()]
    columns = list(dict.fromkeys(column for row in every for column in row))[:NUM_COLUMNS]
    shown = {
        name: [_row(item, cells[name][id(item)], columns) for item in choose(g, NUM_ROWS)]
        for name, g in groups.items()
    }
    drawn = {name: [row for row in rows.values() if row] for name, rows in cells.items()}
    return {"columns": columns, "groups": shown, "marginals": marginals(columns, drawn)}


def _row(item: Item, cells: Mapping[str, Any], columns: Sequence[str]) -> dict[str, Any]:
    """A row of a table; what is none is text there."""
    return {"item": item, "cells": [cells.get(column) for column in columns] if cells else None}


def _cells(drawn: Tile | None) -> Mapping[str, Any]:
    return drawn.cells if isinstance(drawn, Cells) else {}
