"""From a kind and a name to the part: `("filter", "best-of-n") -> BestOfN`."""

import importlib
from collections.abc import Iterable, Mapping
from typing import Any, cast

from pydantic import BeforeValidator, ValidationInfo
from pydantic_core import PydanticCustomError, ValidationError

from collapse_core import errors
from collapse_core.contracts.component import Component
from collapse_core.contracts.part_kinds import INTERFACES, Kind
from collapse_core.contracts.signatures import wrong_signatures
from collapse_core.plugins.discovery import LOCAL, Plugin, installed_plugins
from collapse_core.plugins.hookspecs import Entry

SEE_DOCTOR = "; see 'collapse plugins doctor'"


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
            raise self._not_found(kind, use)
        if len(found) > 1:
            owners = [plugin.distribution for plugin, _ in found]
            raise _custom("unknown_part", errors.ambiguous_part(kind, name, owners))
        try:
            return import_part(*found[0])
        except PydanticCustomError as error:
            hint = "" if found[0][0].digest else SEE_DOCTOR
            raise _custom("broken_plugin", error.message() + hint) from error

    def make(self, kind: Kind, fields: Mapping[str, Any]) -> Component:
        """The part that a mapping of a recipe describes.

        Raises:
            PydanticCustomError: There is no such part.
            ValidationError: Its fields are wrong.
        """
        part = self.find(kind, fields["use"])
        try:
            return part.model_validate(fields, context={"registry": self})
        except (ValidationError, PydanticCustomError):
            raise
        except Exception as error:
            raise _custom("broken_plugin", _failing(kind, fields["use"], error)) from error

    def named(self, kind: Kind, part: Component) -> Component:
        """Give a part that was made in Python the name by which a recipe chooses it.

        One that no plugin provides is called by its class, as "module:Class"; no recipe file can name it.
        """
        cls = type(part)
        known = (entry.name for plugin, entry in self._of(kind) if _is_target(plugin, entry, cls))
        return part.model_copy(update={"use": next(known, f"{cls.__module__}:{cls.__qualname__}")})

    def _of(self, kind: Kind) -> list[tuple[Plugin, Entry]]:
        return [(plugin, entry) for plugin, entry in self.entries() if entry.kind == kind]

    def _not_found(self, kind: Kind, use: str) -> PydanticCustomError:
        """The error for an unknown part; it may be one of a broken plugin, whose parts are not known."""
        distribution, _, name = use.rpartition("/")
        broken = {p.distribution: p.error for p in self.plugins if p.error}
        if distribution in broken:
            text = _unloadable(kind, name, distribution, str(broken[distribution]))
            return _custom("broken_plugin", text + SEE_DOCTOR)
        if others := [other for other in INTERFACES if other != kind and use in self.names(other)]:
            close = errors.nearest(use, self.names(kind))
            meant = f"; did you mean '{close}'?" if close else ""
            there = " and ".join(f"a {other}" for other in others)
            return _custom("unknown_part", f"no {kind} is called '{use}', though {there} is{meant}")
        known = [f"{p.distribution}/{e.name}" if distribution else e.name for p, e in self._of(kind)]
        suspects = sorted(p.distribution for p in self.plugins if p.error and p.version != LOCAL)
        text = errors.unknown_part(kind, use, known)
        if suspects:
            text += f" (or it is a part of a broken plugin: {', '.join(suspects)}{SEE_DOCTOR})"
        return _custom("unknown_part", text)


def part(kind: Kind) -> Any:
    """Metadata for a field that holds another part, chosen by `use:` like those of the recipe itself.

    Example: `features: Annotated[SerializeAsAny[Features], part("features")]`.
    """

    def resolve(value: Any, info: ValidationInfo) -> Component:
        if isinstance(value, INTERFACES[kind]):
            return value if value.use else _registry(info).named(kind, value)
        if isinstance(value, str):
            value = {"use": value}
        if not isinstance(value, dict) or not isinstance(value.get("use"), str):
            raise ValueError("expected a mapping with 'use: <name>'")
        return _registry(info).make(kind, value)

    return BeforeValidator(resolve, json_schema_input_type=dict)


def _registry(info: ValidationInfo) -> Registry:
    found: Registry | None = (info.context or {}).get("registry")
    return found or Registry()


def _is_target(plugin: Plugin, entry: Entry, cls: type[Component]) -> bool:
    """Whether the entry stands for the class; only one of its name is imported."""
    if not isinstance(entry.target, str):
        return entry.target is cls
    if entry.target.rpartition(":")[2] != cls.__name__:
        return False
    try:
        return import_part(plugin, entry) is cls
    except PydanticCustomError:
        return False


def import_part(plugin: Plugin, entry: Entry) -> type[Component]:
    """The part itself.

    Raises:
        PydanticCustomError: It cannot be imported, or is no part of its kind.
    """
    target = entry.target
    if isinstance(target, str):
        module, _, attribute = target.partition(":")
        try:
            target = cast(type[Component], getattr(importlib.import_module(module), attribute))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            why = f"{type(error).__name__}: {error}"
            text = _unloadable(entry.kind, entry.name, plugin.distribution, why)
            raise _custom("broken_plugin", text) from error
    interface = INTERFACES[entry.kind]
    if not (isinstance(target, type) and issubclass(target, interface)):
        is_no = f"but {target!r} is no subclass of that interface"
        raise _custom("broken_plugin", f"'{entry.name}' is registered as a {entry.kind}, {is_no}")
    try:
        target.model_rebuild()
    except Exception as error:
        raise _custom("broken_plugin", _failing(entry.kind, entry.name, error)) from error
    if missing := sorted(getattr(target, "__abstractmethods__", ())):
        lacks = f"{target.__name__} does not define {', '.join(missing)}"
        raise _custom("broken_plugin", f"the {entry.kind} '{entry.name}' is unfinished: {lacks}")
    if problem := next(wrong_signatures(target, interface), None):
        raise _custom("broken_plugin", f"the {entry.kind} '{entry.name}' cannot be called: {problem}")
    return target


def _unloadable(kind: str, name: str, distribution: str, why: str) -> str:
    return f"the {kind} '{name}' of {distribution} cannot be loaded: {why}"


def _failing(kind: str, name: str, error: Exception) -> str:
    why = " ".join(str(error).split("\n")[0].split())
    return f"the {kind} '{name}' fails while its fields are checked: {type(error).__name__}: {why}"


def _custom(kind: str, text: str) -> PydanticCustomError:
    return PydanticCustomError(kind, "{text}", {"text": text})
