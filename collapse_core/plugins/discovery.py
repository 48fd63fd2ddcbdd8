"""Guarded loading: a broken plugin is listed as broken and breaks nothing else."""

import hashlib
import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pluggy

from collapse_core import errors
from collapse_core.contracts.part_kinds import INTERFACES
from collapse_core.plugins import hookspecs
from collapse_core.plugins.hookspecs import Draft, Entry
from collapse_core.runtime.digests import text_digest

GROUP = "collapse"
LOCAL = "local"
"""The version of a plugin that is a single file."""


@dataclass(frozen=True)
class Plugin:
    """A plugin that was found, whether or not it could be loaded."""

    name: str
    """The name of its entry point, or of its file."""
    distribution: str
    version: str
    entries: tuple[Entry, ...] = ()
    error: str | None = None
    """Why it is broken; None when it is sound."""
    digest: str | None = None
    """The digest of its source, for a plugin that is a single file."""
    package: str = ""
    """The top-level package it comes from."""
    source: str | None = None
    """Where the source of that package is; None for a single file."""
    module: str = ""
    """What its module is called in `sys.modules`, for a single file."""
    unread: bool = False
    """True for a single file that could not even be read: the recipe's fault, not the plugin's."""


@cache
def installed_plugins() -> tuple[Plugin, ...]:
    """Every installed plugin, each loaded in its own try, in the order of their names."""
    found = sorted(entry_points(group=GROUP), key=lambda e: (_owner(e)[0], e.name))
    return tuple(_load_entry_point(entry_point) for entry_point in found)


def _load_entry_point(entry_point: EntryPoint) -> Plugin:
    distribution, version = _owner(entry_point)
    try:
        with _quiet():
            entries = _entries(entry_point.load(), f"{distribution}:{entry_point.name}")
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return Plugin(entry_point.name, distribution, version, error=_one_line(error))
    package = entry_point.module.partition(".")[0]
    found = next(iter(getattr(sys.modules.get(package), "__path__", ())), None)
    return Plugin(entry_point.name, distribution, version, entries, package=package, source=found)


def _owner(entry_point: EntryPoint) -> tuple[str, str]:
    """The name and the version of a plugin's distribution; a broken installation may lack both."""
    metadata = entry_point.dist.metadata if entry_point.dist else None
    if metadata is None:
        return "unknown", "unknown"
    return metadata["Name"] or "unknown", metadata["Version"] or "unknown"


def draft(name: str, model: str | None, sources: Mapping[str, Any]) -> Draft | None:
    """The recipe that an installed plugin proposes for a model and data; None where none knows them."""
    found = _hooks().hook.collapse_draft(name=name, model=model, sources=sources)
    return cast("Draft | None", next(iter(found), None))


def convert(name: str, project: str, path: Path) -> Draft | None:
    """The recipe that an installed plugin makes of another project's configuration; None where none can."""
    found = _hooks().hook.collapse_convert(name=name, project=project, path=path)
    return cast("Draft | None", next(iter(found), None))


def _hooks() -> pluggy.PluginManager:
    """The hooks of all sound plugins."""
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    sound = {plugin.name for plugin in installed_plugins() if not plugin.error}
    for entry_point in entry_points(group=GROUP):
        if entry_point.name in sound:
            manager.register(entry_point.load(), entry_point.name)
    return manager


def load_file(path: Path) -> Plugin:
    """Load a plugin that is a single file, named by a recipe.

    Like installing a package, this runs the file: it is read once, and what was run is what is
    recorded by digest.
    """
    try:
        source = path.read_bytes()
    except OSError as error:
        why = f"the file {errors.cannot_be_read(error)}"
        return Plugin(path.name, path.stem, LOCAL, error=why, unread=True)
    module = ModuleType(f"collapse_local_{path.stem}_{text_digest(str(path))}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # where annotations, docstrings and dataclasses are looked up
    try:
        with _quiet():
            exec(compile(source, str(path), "exec"), module.__dict__)  # noqa: S102
            entries = () if _has_functions_only(module) else _entries(module, path.name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return Plugin(path.name, path.stem, LOCAL, error=_one_line(error))
    digest = hashlib.sha256(source).hexdigest()
    return Plugin(path.name, path.stem, LOCAL, entries, digest=digest, module=module.__name__)


@contextmanager
def _quiet() -> Iterator[None]:
    """Send what a plugin prints while it loads to stderr: stdout is for data."""
    with redirect_stdout(sys.stderr):
        yield


def _entries(module: ModuleType, name: str) -> tuple[Entry, ...]:
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    _check_hook_names(module)
    manager.register(module, name)
    entries = tuple(entry for result in manager.hook.collapse_components() for entry in result)
    _check_entries(entries)
    return entries


def _check_entries(entries: Sequence[object]) -> None:
    if not entries:
        raise ValueError("collapse_components() yields no part")
    seen = set()
    for entry in entries:
        if not isinstance(entry, Entry):
            raise TypeError(f"collapse_components() must yield Entry(kind, name, part), not {entry!r}")
        if entry.kind not in INTERFACES:
            text = errors.did_you_mean(str(entry.kind), INTERFACES)
            raise ValueError(f"no kind of part is called {entry.kind!r}; {text}")
        if (entry.kind, entry.name) in seen:
            raise ValueError(f"it contributes two parts of the name {entry.kind}/{entry.name}")
        seen.add((entry.kind, entry.name))


def _check_hook_names(module: ModuleType) -> None:
    known = {name for name, value in vars(hookspecs).items() if hasattr(value, f"{GROUP}_spec")}
    marked = {name for name, value in vars(module).items() if hasattr(value, f"{GROUP}_impl")}
    for name in marked - known:
        raise ValueError(f"no hook is called '{name}'; {errors.did_you_mean(name, known)}")
    for name in known - marked:
        if inspect.isfunction(vars(module).get(name)):
            raise ValueError(f"'{name}' is not marked with @hookimpl")
    if not marked:
        raise ValueError(f"it implements no hook; {errors.did_you_mean('', known)}")


def _has_functions_only(module: ModuleType) -> bool:
    """Whether a file contributes no part, but functions that a recipe can name in the reward `callable`."""
    own = [value for value in vars(module).values() if getattr(value, "__module__", "") == module.__name__]
    hooks = any(hasattr(value, f"{GROUP}_impl") or value.__name__ in vars(hookspecs) for value in own)
    return bool(own) and not hooks and all(map(inspect.isfunction, own))


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
