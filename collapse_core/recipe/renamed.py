"""Keys of recipes that have another name now; the old name is read for one version more."""

from collections.abc import Iterator
from typing import Any

KeyPath = tuple[str | int, ...]
"""The keys and list positions that lead to a piece of a recipe."""

RENAMED: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (("evaluate",), "beside", "baselines"),
    (("sampler",), "twins", "paired_references"),
    (("sampler",), "unsaid", "condition_dropout"),
    (("model",), "unsaid", "condition_dropout"),
    (("evaluate", "baselines", "*"), "unsaid", "condition_dropout"),
)
"""Where a key stands ("*" is any key), what it was called, and what it is called since version 0.2."""
READ_UNTIL = "0.3"


class RenamedKeyWarning(FutureWarning):
    """A recipe uses the old name of a key."""


def rename_keys(recipe: Any) -> list[tuple[KeyPath, str]]:
    """Give keys of plain data their present names, in place; an old name next to its new one stays.

    Returns:
        The path of each key that was renamed, by its old name, and its new name.
    """
    renamed: list[tuple[KeyPath, str]] = []
    for place, old, new in RENAMED:
        for path, mapping in _at(recipe, place):
            if old in mapping and new not in mapping:
                items = [(new if key == old else key, value) for key, value in mapping.items()]
                mapping.clear()
                mapping.update(items)
                renamed.append(((*path, old), new))
    return renamed


def _at(node: Any, place: tuple[str, ...], path: KeyPath = ()) -> Iterator[tuple[KeyPath, dict[str, Any]]]:
    """The mappings at a place, each with its path."""
    if not isinstance(node, dict):
        return
    if not place:
        yield path, node
        return
    for key in list(node) if place[0] == "*" else [place[0]]:
        yield from _at(node.get(key), place[1:], (*path, key))
