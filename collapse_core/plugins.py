"""Guarded loading: a broken plugin is listed as broken and breaks nothing else."""

import hashlib
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

import pluggy

from collapse_core import errors, hookspecs
from collapse_core.hookspecs import Entry

GROUP = "collapse"


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


@cache
def installed_plugins() -> tuple[Plugin, ...]:
    """Every installed plugin, each loaded in its own try, in the order of their names."""
    found = sorted(entry_points(group=GROUP), key=lambda e: (e.dist.name if e.dist else "", e.name))
    return tuple(_load_entry_point(entry_point) for entry_point in found)


def _load_entry_point(entry_point: EntryPoint) -> Plugin:
    distribution = entry_point.dist.name if entry_point.dist else "unknown"
    version = entry_point.dist.version if entry_point.dist else "unknown"
    try:
        entries = _entries(entry_point.load(), f"{distribution}:{entry_point.name}")
    except (Exception, SystemExit) as error:
        return Plugin(entry_point.name, distribution, version, error=_one_line(error))
    return Plugin(entry_point.name, distribution, version, entries)


def load_file(path: Path) -> Plugin:
    """Load a plugin that is a single file, named by a recipe.

    Like installing a package, this runs the file: it is read once, and what was run is what is
    recorded by digest.
    """
    try:
        source = path.read_bytes()
        module = ModuleType(f"collapse_local_{path.stem}")
        module.__file__ = str(path)
        exec(compile(source, str(path), "exec"), module.__dict__)  # noqa: S102
        entries = _entries(module, path.name)
    except (Exception, SystemExit) as error:
        return Plugin(path.name, path.stem, "local", error=_one_line(error))
    return Plugin(path.name, path.stem, "local", entries, digest=hashlib.sha256(source).hexdigest())


def _entries(module: ModuleType, name: str) -> tuple[Entry, ...]:
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    _check_hook_names(module)
    manager.register(module, name)
    return tuple(entry for result in manager.hook.collapse_components() for entry in result)


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


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
