"""Removing texts from the files that a scrub keeps."""

import io
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from collapse_core.runtime import files
from collapse_core.scrubbing.searching import Search
from collapse_core.scrubbing.secrets import KeyPath, rows

REMOVED = "[removed]"
NAMES = frozenset({"use", "version", "metric", "against", "claim", "model", "evaluator", "phase", "status"})
"""Keys whose values are names of the program, and stay."""


class Redaction:
    """Replaces texts by "[removed]", with any white space between their words."""

    def __init__(self, texts: Collection[str]) -> None:
        """Take the texts; the longest is removed first."""
        patterns = [_pattern(text) for text in sorted(texts, key=len, reverse=True)]
        self._pattern = re.compile("|".join(patterns)) if patterns else None

    def text(self, text: str) -> str:
        """The text without them."""
        return self._pattern.sub(REMOVED, text) if self._pattern else text

    def value(self, value: Any) -> Any:
        """Plain data without them; its keys, and names of the program, stay."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: one if key in NAMES else self.value(one) for key, one in value.items()}
        return [self.value(one) for one in value] if isinstance(value, list) else value


def _pattern(text: str) -> str:
    words = r"\s+".join(map(re.escape, text.split()))
    begins, ends = (r"(?<!\w)" if text[:1].isalnum() else ""), (r"(?!\w)" if text[-1:].isalnum() else "")
    return f"{begins}{words}{ends}" if text.isascii() else words


def emptied(value: Any) -> Any:
    """The value with every text in it replaced."""
    if isinstance(value, str):
        return REMOVED
    if isinstance(value, dict):
        return {key: emptied(one) for key, one in value.items()}
    return [emptied(one) for one in value] if isinstance(value, list) else value


def redact_recipe(
    directory: Path, places: Sequence[KeyPath], redaction: Redaction, search: Search
) -> list[str]:
    """Remove from resolved.json and recipe.yaml what is to be forgotten.

    A recipe.yaml that holds any of it is replaced by the resolved recipe.

    Returns:
        The names of the files that were changed.
    """
    path, written = directory / "resolved.json", directory / "recipe.yaml"
    stored = files.read_json(path)
    recipe = redaction.value(stored["recipe"])
    for place in places:
        _empty(recipe, place)
    changed = []
    text = written.read_text(encoding="utf-8") if written.exists() else ""
    holds = any(hit.kind != "words" for hit in search.within(written, written.name)) if text else False
    if text and (recipe != stored["recipe"] or holds or redaction.text(text) != text):
        yaml = io.StringIO()
        YAML(typ="rt").dump(recipe, yaml)
        if yaml.getvalue() != text:
            files.write_text(written, yaml.getvalue())
            changed.append(written.name)
    if recipe != stored["recipe"]:
        files.write_json(path, stored | {"recipe": recipe})
        changed.append(path.name)
    return changed


def _empty(recipe: Any, place: KeyPath) -> None:
    node = recipe
    for key in place[:-1]:
        try:
            node = node[key]
        except (LookupError, TypeError):
            return
    if isinstance(node, dict) and place[-1] in node:
        node[place[-1]] = emptied(node[place[-1]])


def redact_rows(path: Path, redaction: Redaction) -> bool:
    """Remove texts from a file of JSON lines, and all examples; tells whether it was changed."""
    if not path.exists():
        return False
    kept = [redaction.value(row | ({"examples": []} if "examples" in row else {})) for row in rows(path)]
    if kept == rows(path):
        return False
    files.write_lines(path, kept)
    return True


def redact_json(path: Path, redaction: Redaction, emptying: Collection[str] = ()) -> bool:
    """Remove texts from a JSON file, and all of those under some keys; tells whether it was changed."""
    if not path.exists():
        return False
    try:
        before = files.read_json(path)
    except ValueError:
        files.write_json(path, {})
        return True
    after = redaction.value(before)
    for key in emptying:
        if key in after:
            after[key] = emptied(after[key])
    if after == before:
        return False
    files.write_json(path, after)
    return True
