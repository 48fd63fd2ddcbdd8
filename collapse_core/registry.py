"""From a kind and a name to the part: `("filter", "best-of-n") -> BestOfN`."""

import importlib
from collections.abc import Iterable, Mapping
from typing import Any, cast

from pydantic_core import PydanticCustomError

from collapse_core import errors
from collapse_core.component import Component
from collapse_core.hookspecs import Entry
from collapse_core.interfaces import INTERFACES, Kind
from collapse_core.plugins import Plugin, installed_plugins


class Registry:
    """The parts of a set of plugins, imported only when they are asked for."""

    def __init__(self, plugins: Iterable[Plugin] | None = None) -> None:
        """Take the plugins, by default all that are installed."""
        self.plugins = tuple(installed_plugins() if plugins is None else plugins)

    def names(self, kind: Kind) -> list[str]:
        """The names of all parts of a kind, in order."""
        return sorted({entry.name for _, entry in self._of(kind)})

    def entries(self) -> list[tuple[Plugin, Entry]]:
        """Every part with its plugin."""
        return [(plugin, entry) for plugin in self.plugins for entry in plugin.entries]

    def find(self, kind: Kind, use: str) -> type[Component]:
        """The part that a recipe calls `use`: a name, or `<distribution>/<name>`.

        Raises:
            PydanticCustomError: No sound plugin, or more than one, provides it. Its type is
                "broken_plugin" when a plugin is to blame, else "unknown_part".
        """
        distribution, _, name = use.rpartition("/")
        found = [
            (plugin, entry)
            for plugin, entry in self._of(kind)
            if entry.name == name and distribution in ("", plugin.distribution)
        ]
        if not found:
            raise _custom("unknown_part", errors.unknown_part(kind, use, self.names(kind)) + self._suspects())
        if len(found) > 1:
            owners = [plugin.distribution for plugin, _ in found]
            raise _custom("unknown_part", errors.ambiguous_part(kind, name, owners))
        return _import(*found[0])

    def make(self, kind: Kind, fields: Mapping[str, Any]) -> Component:
        """The part that a mapping of a recipe describes.

        Raises:
            PydanticCustomError: There is no such part.
            ValidationError: Its fields are wrong.
        """
        return self.find(kind, fields["use"]).model_validate(fields)

    def _of(self, kind: Kind) -> list[tuple[Plugin, Entry]]:
        return [(plugin, entry) for plugin, entry in self.entries() if entry.kind == kind]

    def _suspects(self) -> str:
        broken = [f"{p.distribution} ({p.name})" for p in self.plugins if p.error]
        return f" (broken plugins, whose parts are unknown: {', '.join(broken)})" if broken else ""


def _import(plugin: Plugin, entry: Entry) -> type[Component]:
    target = entry.target
    if isinstance(target, str):
        module, _, attribute = target.partition(":")
        try:
            target = cast(type[Component], getattr(importlib.import_module(module), attribute))
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            text = errors.broken_part(entry.kind, entry.name, plugin.distribution, why)
            raise _custom("broken_plugin", text) from error
    interface = INTERFACES[entry.kind]
    if not (isinstance(target, type) and issubclass(target, interface)):
        raise _custom("broken_plugin", errors.not_a_part(entry.kind, entry.name, target))
    return target


def _custom(kind: str, text: str) -> PydanticCustomError:
    return PydanticCustomError(kind, "{text}", {"text": text})  # type: ignore[arg-type]
