"""The hooks that a plugin can implement."""

from collections.abc import Iterable
from dataclasses import dataclass

import pluggy

from collapse_core.contracts.component import Component
from collapse_core.contracts.interfaces import Kind

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


@hookspec
def collapse_components() -> Iterable[Entry]:
    """The parts that this plugin contributes."""
    raise AssertionError("a specification is not called")
