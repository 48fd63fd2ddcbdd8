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
from collapse_core.recipe.document import Document, KeyPath, read_file
from collapse_core.recipe.overrides import set_override
from collapse_core.recipe.recipe import Recipe


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
