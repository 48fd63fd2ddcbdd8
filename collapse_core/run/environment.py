"""Where a result came from: code, packages, plugins, data, models, hardware, command line."""

import os
import platform
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from collapse_core.plugins.discovery import Plugin
from collapse_core.recipe.continuing import previous_run
from collapse_core.recipe.recipe import Recipe
from collapse_core.runtime import files, processes
from collapse_core.runtime.digests import file_digest, source_digest

__all__ = ["file_digest", "provenance", "source_digest"]


def provenance(recipe: Recipe, plugins: Sequence[Plugin], command: Sequence[str]) -> dict[str, Any]:
    """The manifest of a run, as plain data."""
    return {
        "command": list(command),
        "code": {"collapse_core": source_digest(Path(__file__).parents[1])}
        | {p.package: source_digest(Path(p.source)) for p in plugins if p.source},
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "hardware": hardware(),
        "processes": processes.num_launched(),
        "packages": dict(packages()),
        "plugins": [
            {"name": p.name, "distribution": p.distribution, "version": p.version}
            | {key: value for key, value in (("digest", p.digest), ("error", p.error)) if value}
            for p in plugins
        ],
        "plugin_files": {name: file_digest(Path(name)) for name in recipe.plugins},
        "data": dict(recipe.data.provenance()),
        "model": dict(recipe.model.provenance()),
        "previous": _previous(recipe),
        "baselines": {name: dict(other.provenance()) for name, other in recipe.evaluate.baselines.items()},
        "true_answers": {
            "loop": _read_by_loop(recipe),
            "parts": recipe.target_readers(),
            "model": sorted(recipe.model.splits_read(recipe.data)),
            "rewards": {reward.use: sorted(reward.splits_read(recipe.data)) for reward in recipe.rewards},
            "evaluators": {one.use: sorted(one.splits_read(recipe.data)) for one in recipe.evaluate.with_},
            "baselines": {
                name: sorted(other.splits_read(recipe.data))
                for name, other in recipe.evaluate.baselines.items()
            },
        },
        **_stopping(recipe),
        "attacks": [one.use for one in recipe.evaluate.with_ if one.attacks],
    }


def _read_by_loop(recipe: Recipe) -> str:
    if recipe.needs_targets:
        return "read, since a part needs them"
    return "read to stop the run, not to train" if recipe.stops_by_answers() else "never loaded"


def _stopping(recipe: Recipe) -> dict[str, Any]:
    """What the run's stop condition looks at, where it has one: the data and the splits."""
    if recipe.stop_when is None:
        return {}
    data = recipe.stop_when.data
    return {
        "stop_when": {"splits": recipe.stops_by_splits(), "data": dict(data.provenance()) if data else {}}
    }


def _previous(recipe: Recipe) -> dict[str, Any]:
    """The run that exported the model, by the digests of its recipe and its certificate; empty for none."""
    run = previous_run(recipe.model.model_dump(mode="json"))
    if run is None:
        return {}
    certificate = run / "certificate.json"
    return {
        "recipe": files.read_json(run / "resolved.json").get("digest"),
        "certificate": file_digest(certificate) if certificate.exists() else None,
    }


def hardware() -> dict[str, Any]:
    """The processor of this machine, and how many cores it has."""
    return {"processor": _processor(), "cores": os.cpu_count()}


@cache
def packages() -> Mapping[str, str]:
    """The version of each installed distribution.

    Of each file only the headers are read, since parsing the rest takes ten times as long. One whose
    installation is broken has no name, and is called by its folder.
    """
    found = {}
    for distribution in distributions():
        text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
        headers = dict(line.partition(": ")[::2] for line in text.partition("\n\n")[0].splitlines())
        name = headers.get("Name") or Path(str(getattr(distribution, "_path", "unknown"))).name
        found[name] = headers.get("Version") or "broken"
    return dict(sorted(found.items()))


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
