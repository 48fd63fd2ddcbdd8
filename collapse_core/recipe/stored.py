"""The recipe of a run that is there already, and whether it has changed since."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from collapse_core import errors
from collapse_core.contracts.interfaces import Dataset, ModelLoader
from collapse_core.errors import CollapseError, Problem, RecipeError
from collapse_core.recipe.document import Document, read_document
from collapse_core.recipe.loading import parse_recipe
from collapse_core.recipe.recipe import Recipe
from collapse_core.recipe.renamed import rename_keys
from collapse_core.runtime import files
from collapse_core.runtime.digests import digest, file_digest, text_digest
from collapse_core.runtime.layout import SCRUBBED, SCRUBBING


def load_stored(directory: Path) -> Recipe:
    """The recipe that the run in `directory` began with.

    Raises:
        CollapseError: There is no run, or it was scrubbed.
        RecipeError: The recipe, or a plugin file it names, has changed since; names the keys.
    """
    if any((directory / name).exists() for name in (SCRUBBED, SCRUBBING)):
        raise CollapseError(f"{directory} was scrubbed, so nothing is left to go on from; start a new run")
    recipe = parse_recipe(stored_document(directory))
    resolved = files.read_json(directory / "resolved.json")
    written = _as_written(directory, resolved)
    stored = resolved["recipe"]
    rename_keys(stored)
    changed = _changed(stored, recipe.resolved()) + _changed(stored, written)
    if changed:
        raise _has_changed(directory, list(dict.fromkeys(changed)))
    return recipe


def check_same(directory: Path, recipe: Recipe) -> None:
    """Refuse a recipe that is not the one that the run in `directory` began with.

    Raises:
        CollapseError: There is no run.
        RecipeError: The recipes differ, or a plugin file has changed; names the keys.
    """
    if changed := _changed(stored_document(directory).data, recipe.resolved()):
        raise _has_changed(directory, changed)


def stored_document(directory: Path) -> Document:
    """The recipe of the run in `directory`, with every default spelled out, as a document.

    Raises:
        CollapseError: There is no run.
        RecipeError: A plugin file that it names has changed since.
    """
    path = directory / "resolved.json"
    if not path.exists():
        raise errors.no_run(directory)
    _check_plugin_files(directory)
    recipe = files.read_json(path)["recipe"]
    rename_keys(recipe)
    return Document(recipe, {(): (str(path), 0, 0)})


def _check_plugin_files(directory: Path) -> None:
    """Refuse plugin files that have changed, before they are run."""
    recorded = files.read_json(directory / "environment.json").get("plugin_files", {})
    changed = [
        name
        for name, known in recorded.items()
        if not Path(name).is_file() or file_digest(Path(name)) != known
    ]
    if changed:
        raise _has_changed(directory, [f"plugins ({name})" for name in changed])


def check_sources(directory: Path, recipe: Recipe) -> None:
    """Refuse files of the data, the model or a baseline that are not those that the run began with.

    Raises:
        RecipeError: Names each file whose recorded digest differs, or that is not there any more.
    """
    recorded = files.read_json(directory / "environment.json")
    known = {"data": recorded.get("data", {}), "model": recorded.get("model", {})}
    known |= {f"evaluate.baselines.{name}": made for name, made in recorded.get("baselines", {}).items()}
    parts: dict[str, Dataset | ModelLoader] = {"data": recipe.data, "model": recipe.model}
    if recipe.stop_when and recipe.stop_when.data:
        known["stop_when.data"] = recorded.get("stop_when", {}).get("data", {})
        parts["stop_when.data"] = recipe.stop_when.data
    parts |= {f"evaluate.baselines.{name}": one for name, one in recipe.evaluate.baselines.items()}
    changed = [
        f"{key} ({name})"
        for key, part in parts.items()
        for name, now in _file_digests(known.get(key, {}), part)
        if now != known[key][name]
    ]
    if changed:
        raise _has_changed(
            directory, changed, "is not the file that this run began with; put that back, or start a new run"
        )


def _file_digests(known: dict[str, Any], part: Dataset | ModelLoader) -> list[tuple[str, object]]:
    """Each file whose digest was recorded, with its digest now; None where it is gone."""
    names = [name for name, value in known.items() if re.fullmatch("[0-9a-f]{64}", str(value))]
    now = part.provenance() if names else {}
    return [(name, now.get(name)) for name in names]


def _has_changed(
    directory: Path,
    keys: Sequence[str],
    what: str = "differs from the recipe that this run began with; start a new run",
) -> RecipeError:
    return RecipeError([Problem(str(directory), 0, 0, key, what) for key in keys])


def _as_written(directory: Path, resolved: dict[str, Any]) -> dict[str, Any]:
    """What the run's recipe.yaml resolves to now; what is stored, if neither was changed."""
    stored: dict[str, Any] = resolved["recipe"]
    origin = files.read_json(directory / "environment.json").get("recipe", {})
    path = directory / "recipe.yaml"
    text = path.read_text(encoding="utf-8")
    if not text:  # the run was begun from Python, with no text
        return stored
    if text_digest(text) == origin.get("digest") and digest(stored) == resolved["digest"]:
        return stored
    document = read_document(text, str(path), Path(origin.get("directory", directory)))
    return parse_recipe(document, origin.get("overrides", ())).resolved()


def _changed(stored: Any, now: Any) -> list[str]:
    """The keys that make it another run; how many processes work on it does not."""
    return [key for key in _differing(stored, now) if key.partition(".")[0] != "launch"]


def _differing(a: Any, b: Any, path: str = "") -> list[str]:
    """The dotted paths at which two pieces of plain data differ."""
    if isinstance(a, dict) and isinstance(b, dict):
        keys = dict.fromkeys([*a, *b])
        return [k for key in keys for k in _differing(a.get(key), b.get(key), f"{path}.{key}".strip("."))]
    return [] if a == b else [path]
