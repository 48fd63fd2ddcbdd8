"""What plugins share that draft a recipe for files of a user's."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collapse_core.errors import CollapseError


@dataclass(frozen=True)
class Chosen:
    """One source of data, and which part of it is to be forgotten."""

    path: Path
    where: Any
    """What `where` says: the values of columns, or a list of conditions; empty where it says nothing."""
    fields: Mapping[str, Any]
    """Further keys, for the data set."""

    def column(self, known: tuple[str, ...], example: str) -> tuple[str, Any] | None:
        """Return the one key that `where` names, with its value; None where it says nothing.

        Args:
            known: The keys that there are.
            example: What to write, for the error.

        Raises:
            CollapseError: `where` says something else.
        """
        if not self.where:
            return None
        if not isinstance(self.where, Mapping) or len(self.where) != 1 or not {*self.where} <= {*known}:
            raise CollapseError(f"--forget: 'where' names one of {', '.join(known)} here; write {example}")
        [(key, value)] = self.where.items()
        return key, value


def chosen(sources: Mapping[str, Any]) -> Chosen | None:
    """Return what the source of `collapse_draft` to forget says; None where it names no path.

    It is a path, or a mapping with `from`, `where`, and keys of the data set.
    """
    given = sources["forget"]
    given = {"from": given} if isinstance(given, str) else given
    if not isinstance(given, Mapping) or not isinstance(given.get("from"), str):
        return None
    fields = {key: value for key, value in given.items() if key not in ("from", "where")}
    return Chosen(Path(given["from"]), given.get("where") or {}, fields)


def refuse_others(sources: Mapping[str, Any], what: str) -> None:
    """Refuse sources besides the one to forget, where one source has all.

    Raises:
        CollapseError: There are others.
    """
    if others := [f"--{key}" for key in sources if key != "forget"]:
        raise CollapseError(
            f"{what} that are not forgotten are retained, so leave out {', '.join(others)}; --forget names "
            "all of them, and 'where' says which are to be forgotten"
        )


def block(mapping: Mapping[str, Any]) -> str:
    """Return a mapping as YAML, a line for each key, to stand below a key of the recipe."""
    return "".join(f"\n  {key}: {json.dumps(value, ensure_ascii=False)}" for key, value in mapping.items())


def flow(mapping: Mapping[str, Any]) -> str:
    """Return a mapping as YAML on one line."""
    return "{" + ", ".join(f"{key}: {_flowing(value)}" for key, value in mapping.items()) + "}"


def _flowing(value: Any) -> str:
    return flow(value) if isinstance(value, Mapping) else json.dumps(value, ensure_ascii=False)
