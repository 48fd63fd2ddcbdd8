"""The hooks that a plugin can implement."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pluggy

from collapse_core.contracts.component import Component
from collapse_core.contracts.part_kinds import Kind

hookspec = pluggy.HookspecMarker("collapse")
hookimpl = pluggy.HookimplMarker("collapse")


@dataclass(frozen=True, slots=True)
class Entry:
    """One part that a plugin contributes."""

    kind: Kind
    name: str
    """What a recipe writes after `use:`."""
    target: type[Component] | str
    """The component, or "module:Class" to import it only when a recipe names it."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A recipe that a plugin proposes for a model and data of a user's."""

    found: Sequence[str]
    """What it found in the model and the data, a line each."""
    recipe: str
    """The text of the recipe, with a comment on every choice."""


@hookspec
def collapse_draft(name: str, model: str | None, sources: Mapping[str, Any]) -> Draft | None:
    """A recipe for a model and data of a user's, by looking at both; None where they are of another domain.

    Args:
        name: What the recipe is called.
        model: A directory or a name, as the recipe's `model` takes it; None where the recipe is to teach one.
        sources: By what they are for ("forget", "retain", "holdout", "paraphrased", "general"): files,
            directories, names or mappings, as the recipe's `data` takes them. "forget" is always there.
    """
    raise AssertionError("a specification is not called")


@hookspec
def collapse_convert(name: str, project: str, path: Path) -> Draft | None:
    """A recipe from another project's configuration; None for projects that this plugin does not know.

    Args:
        name: What the recipe is called.
        project: Whose configuration it is, such as "open-unlearning".
        path: The file.
    """
    raise AssertionError("a specification is not called")


@hookspec
def collapse_components() -> Iterable[Entry]:
    """The parts that this plugin contributes."""
    raise AssertionError("a specification is not called")
