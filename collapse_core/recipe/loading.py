"""YAML -> Recipe. All problems at once, each with file, line and column, before anything heavy loads."""

import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from collapse_core import errors
from collapse_core.contracts.component import Component
from collapse_core.contracts.interfaces import INTERFACES
from collapse_core.errors import Problem, RecipeError
from collapse_core.plugins.discovery import Plugin, load_file
from collapse_core.plugins.registry import Registry
from collapse_core.recipe.document import Document, KeyPath, read_document, read_file, set_override
from collapse_core.recipe.recipe import Recipe
from collapse_core.runtime import files
from collapse_core.runtime.digests import digest, file_digest, text_digest


def load_recipe(path: Path | str, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and resolve its parts.

    Args:
        path: The YAML file.
        overrides: "path=value" texts, such as "updater.learning_rate=1e-5", that win over the file.

    Raises:
        RecipeError: With every problem that was found.
    """
    return parse_recipe(read_file(Path(path)), overrides)


def parse_recipe(document: Document, overrides: Sequence[str] = ()) -> Recipe:
    """Resolve a document into a recipe, as `load_recipe` does."""
    for override in overrides:
        set_override(document, override)
    local = _local_plugins(document)
    registry = Registry([*Registry().plugins, *local])
    problems = [
        document.problem(("plugins", index), errors.broken_file(plugin.name, plugin.error))
        for index, plugin in enumerate(local)
        if plugin.error
    ]
    broken = any(plugin.error and not plugin.unread for plugin in local)
    try:
        recipe = Recipe.model_validate(document.data, context={"registry": registry})
    except ValidationError as error:
        details = error.errors(include_url=False)
        problems += [_problem(document, registry, detail) for detail in details]
        broken = broken or any(detail["type"] == "broken_plugin" for detail in details)
        raise RecipeError(problems, exit_code=3 if broken else 2) from None
    if problems:
        raise RecipeError(problems, exit_code=3 if broken else 2)
    return recipe


def load_stored(directory: Path) -> Recipe:
    """The recipe that the run in `directory` began with.

    Raises:
        CollapseError: There is no run.
        RecipeError: The recipe, or a plugin file it names, has changed since; names the keys.
    """
    recipe = parse_recipe(stored_document(directory))
    resolved = files.read_json(directory / "resolved.json")
    stored = resolved["recipe"]
    changed = _changed(stored, recipe.resolved()) + _changed(stored, _as_written(directory, resolved))
    if changed:
        raise errors.recipe_changed(directory, list(dict.fromkeys(changed)))
    return recipe


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
    return Document(files.read_json(path)["recipe"], {(): (str(path), 0, 0)})


def _check_plugin_files(directory: Path) -> None:
    """Refuse plugin files that have changed, before they are run."""
    recorded = files.read_json(directory / "environment.json").get("plugin_files", {})
    changed = [
        name
        for name, known in recorded.items()
        if not Path(name).is_file() or file_digest(Path(name)) != known
    ]
    if changed:
        raise errors.recipe_changed(directory, [f"plugins ({name})" for name in changed])


def _as_written(directory: Path, resolved: dict[str, Any]) -> dict[str, Any]:
    """What the run's recipe.yaml says now; what is stored, if nobody has touched either."""
    stored: dict[str, Any] = resolved["recipe"]
    origin = files.read_json(directory / "environment.json").get("recipe", {})
    path = directory / "recipe.yaml"
    text = path.read_text(encoding="utf-8")
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


# --- checking --------------------------------------------------------------------------------------


def _local_plugins(document: Document) -> list[Plugin]:
    """The plugins that are files of this recipe."""
    names = document.data.get("plugins")
    return [load_file(Path(name)) for name in names] if isinstance(names, list) else []


def _problem(document: Document, registry: Registry, detail: ErrorDetails) -> Problem:
    path: KeyPath = tuple(detail["loc"])
    if detail["type"] == "extra_forbidden":
        known = [key for key in _keys_at(document, registry, path[:-1]) if key != "use"]
        return document.problem(path, errors.unknown_key(str(path[-1]), known))
    if detail["type"] == "missing":
        return document.problem(path, "is missing")
    if detail["type"] in ("unknown_part", "broken_plugin"):
        use = (*path, "use")
        place = document.place(use if use in document.places else path)
        return Problem(*place, ".".join(map(str, path)), detail["msg"])
    what = errors.wrong_value(detail["type"], detail["msg"], detail.get("ctx", {}), detail["input"])
    return document.problem(path, what)


def _keys_at(document: Document, registry: Registry, path: KeyPath) -> list[str]:
    """The keys that a mapping of the recipe may hold."""
    settings: type[BaseModel] = Recipe
    node: Any = document.data
    for key in path:
        node = node[key]
        if not isinstance(key, int):
            if key not in (names := _names(settings)):
                continue
            settings = _settings_in(names[key].annotation) or settings
        settings = _part_of(registry, settings, node) or settings
    return sorted(_names(settings))


def _names(settings: type[BaseModel]) -> dict[str, Any]:
    return {info.alias or name: info for name, info in settings.model_fields.items()}


def _settings_in(annotation: Any) -> type[BaseModel] | None:
    """The first settings class within an annotation such as `list[Annotated[X, ...]] | None`."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation if issubclass(annotation, BaseModel) else None
    return next((found for arg in typing.get_args(annotation) if (found := _settings_in(arg))), None)


def _part_of(registry: Registry, interface: type[BaseModel], node: Any) -> type[Component] | None:
    """The part that a mapping names, where an interface is expected."""
    kind = next((kind for kind, known in INTERFACES.items() if known is interface), None)
    use = node if isinstance(node, str) else node.get("use") if isinstance(node, dict) else None
    if kind is None or not isinstance(use, str):
        return None
    try:
        return registry.find(kind, use)
    except PydanticCustomError:
        return None
