"""YAML -> Recipe. All problems at once, each with file, line and column, before anything heavy loads."""

import copy
import io
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from collapse_core import errors, files
from collapse_core.component import Component, text_digest
from collapse_core.errors import Problem, RecipeError
from collapse_core.interfaces import INTERFACES
from collapse_core.plugins import load_file
from collapse_core.recipe import Recipe
from collapse_core.registry import Registry

Path_ = tuple[str | int, ...]


@dataclass
class Document:
    """Plain data, and where in which file each piece of it was written."""

    data: dict[str, Any] = field(default_factory=dict)
    places: dict[Path_, tuple[str, int, int]] = field(default_factory=dict)

    def place(self, path: Path_) -> tuple[str, int, int]:
        """Where the piece at `path` was written, or the nearest thing around it."""
        while path not in self.places and path:
            path = path[:-1]
        return self.places.get(path, ("", 0, 0))

    def problem(self, path: Path_, what: str) -> Problem:
        """A problem at `path`."""
        return Problem(*self.place(path), ".".join(map(str, path)), what)


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and resolve its parts.

    Args:
        path: The YAML file.
        overrides: "path=value" texts, such as "updater.learning_rate=1e-5", that win over the file.

    Raises:
        RecipeError: With every problem that was found.
    """
    return parse_recipe(_read(path, path.parent), overrides)


def parse_recipe(document: Document, overrides: Sequence[str] = ()) -> Recipe:
    """Resolve a document into a recipe, as `load_recipe` does."""
    for override in overrides:
        _set(document, override)
    registry, problems = _registry(document)
    try:
        recipe = Recipe.model_validate(document.data, context={"registry": registry})
    except ValidationError as error:
        details = error.errors(include_url=False)
        problems += [_problem(document, registry, detail) for detail in details]
        broken = any(detail["type"] == "broken_plugin" for detail in details)
        raise RecipeError(problems, exit_code=3 if broken else 2) from None
    if problems:
        raise RecipeError(problems)
    return recipe


def load_stored(directory: Path) -> Recipe:
    """The recipe that the run in `directory` began with.

    Raises:
        CollapseError: There is no run.
        RecipeError: The recipe, or a plugin file it names, has changed since; names the keys.
    """
    path = directory / "resolved.json"
    if not path.exists():
        raise errors.no_run(directory)
    stored = files.read_json(path)["recipe"]
    recipe = parse_recipe(Document(copy.deepcopy(stored), {(): (str(path), 0, 0)}))
    changed = _differing(stored, recipe.resolved()) + _differing(stored, _as_written(directory, stored))
    if changed:
        raise errors.recipe_changed(directory, list(dict.fromkeys(changed)))
    manifest = files.read_json(directory / "environment.json")
    for name, digest in manifest.get("plugin_files", {}).items():
        if load_file(Path(name)).digest != digest:
            raise errors.recipe_changed(directory, [f"plugins ({name})"])
    return recipe


def _as_written(directory: Path, stored: dict[str, Any]) -> dict[str, Any]:
    """What the run's recipe.yaml says now; what is stored, if nobody has touched it."""
    origin = files.read_json(directory / "environment.json").get("recipe", {})
    path = directory / "recipe.yaml"
    text = path.read_text(encoding="utf-8")
    if text_digest(text) == origin.get("digest"):
        return stored
    document = read_document(text, str(path), Path(origin.get("directory", directory)))
    return parse_recipe(document, origin.get("overrides", ())).resolved()


def _differing(a: Any, b: Any, path: str = "") -> list[str]:
    """The dotted paths at which two pieces of plain data differ."""
    if isinstance(a, dict) and isinstance(b, dict):
        keys = dict.fromkeys([*a, *b])
        return [k for key in keys for k in _differing(a.get(key), b.get(key), f"{path}.{key}".strip("."))]
    return [] if a == b else [path]


# --- reading ---------------------------------------------------------------------------------------


def read_document(text: str, name: str, directory: Path) -> Document:
    """Parse YAML text that stands in `directory`, and what it extends.

    Raises:
        RecipeError: It is no YAML, or no mapping.
    """
    document = _parse(text, name)
    _anchor_plugins(document, directory)
    if "extends" in document.data:
        base_path = directory / str(document.data.pop("extends"))
        base = _read(base_path, base_path.parent, extends=document.problem(("extends",), ""))
        document = Document(_merge(base.data, document.data), base.places | document.places)
    return document


def _read(path: Path, directory: Path, extends: Problem | None = None) -> Document:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        what = f"cannot be read: {getattr(error, 'strerror', None) or 'it is not UTF-8 text'}"
        if extends:
            raise RecipeError(
                [Problem(extends.file, extends.line, extends.column, "extends", f"{path} {what}")]
            ) from None
        raise RecipeError([Problem(str(path), 0, 0, "", what)]) from None
    if not extends:
        return read_document(text, str(path), directory)
    document = _parse(text, str(path))
    if "extends" in document.data:
        raise RecipeError([document.problem(("extends",), "a recipe that is extended cannot extend another")])
    _anchor_plugins(document, directory)
    return document


def _parse(text: str, name: str) -> Document:
    try:
        tree = YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        what = " ".join(str(error.problem or error.context).split())
        raise RecipeError([Problem(name, line, column, "", what)]) from None
    except YAMLError as error:
        raise RecipeError([Problem(name, 1, 1, "", " ".join(str(error).split()))]) from None
    if not isinstance(tree, CommentedMap):
        raise RecipeError([Problem(name, 1, 1, "", "expected a recipe: a mapping that begins 'version: 1'")])
    places: dict[Path_, tuple[str, int, int]] = {(): (name, 1, 1)}
    return Document(_plain(tree, (), name, places), places)


def _plain(node: Any, path: Path_, name: str, places: dict[Path_, tuple[str, int, int]]) -> Any:
    """The node as built-in types; notes where each piece stands."""
    if isinstance(node, CommentedMap):
        for key in node:
            line, column = node.lc.key(key)
            places[(*path, key)] = (name, line + 1, column + 1)
        return {key: _plain(value, (*path, key), name, places) for key, value in node.items()}
    if isinstance(node, CommentedSeq):
        for index in range(len(node)):
            line, column = node.lc.item(index)
            places[(*path, index)] = (name, line + 1, column + 1)
        return [_plain(value, (*path, index), name, places) for index, value in enumerate(node)]
    for builtin in (bool, int, float, str):
        if isinstance(node, builtin):
            return builtin(node)
    return node


def _merge(base: Any, over: Any) -> Any:
    """`over` laid upon `base`: mappings merge, unless they name another part; all else replaces."""
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return over
    if "use" in over and over["use"] != base.get("use"):
        return over
    return base | {key: _merge(base.get(key), value) for key, value in over.items()}


def _anchor_plugins(document: Document, directory: Path) -> None:
    names = document.data.get("plugins")
    if isinstance(names, list):
        document.data["plugins"] = [str((directory / str(name)).resolve()) for name in names]


def _set(document: Document, override: str) -> None:
    place = (f"--set {override}", 0, 0)
    dotted, equals, text = override.partition("=")
    if not equals or not dotted:
        raise RecipeError([Problem(*place, "", "expected path=value, such as updater.learning_rate=1e-5")])
    try:
        value = YAML(typ="safe", pure=True).load(io.StringIO(text))
    except YAMLError as error:
        raise RecipeError([Problem(*place, "", " ".join(str(error).split()))]) from None
    path: Path_ = tuple(int(key) if key.isdigit() else key for key in dotted.split("."))
    node: Any = document.data
    try:
        for key in path[:-1]:
            node = node.setdefault(key, {}) if isinstance(node, dict) else node[key]
        node[path[-1]] = value
    except (TypeError, IndexError, KeyError, AttributeError):
        raise RecipeError([Problem(*place, dotted, "there is no such place in the recipe")]) from None
    document.places[path] = place


# --- checking --------------------------------------------------------------------------------------


def _registry(document: Document) -> tuple[Registry, list[Problem]]:
    """The installed plugins and those that are files of this recipe; what is wrong with the latter."""
    names = document.data.get("plugins")
    local = [load_file(Path(name)) for name in names] if isinstance(names, list) else []
    problems = [
        document.problem(("plugins", index), f"the plugin {plugin.name} cannot be loaded: {plugin.error}")
        for index, plugin in enumerate(local)
        if plugin.error
    ]
    return Registry([*Registry().plugins, *local]), problems


def _problem(document: Document, registry: Registry, detail: ErrorDetails) -> Problem:
    path: Path_ = tuple(detail["loc"])
    if detail["type"] == "extra_forbidden":
        known = _keys_at(document, registry, path[:-1])
        return document.problem(path, errors.unknown_key(str(path[-1]), known))
    if detail["type"] == "missing":
        return document.problem(path, "is missing")
    if detail["type"] in ("unknown_part", "broken_plugin"):
        return document.problem(path, detail["msg"])
    what = detail["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if detail["msg"].startswith("Input should be "):
        what = f"expected {what}"
    shown = repr(detail["input"])
    return document.problem(path, f"{what}, found {shown if len(shown) <= 60 else shown[:57] + '...'}")


def _keys_at(document: Document, registry: Registry, path: Path_) -> list[str]:
    """The keys that a mapping of the recipe may hold."""
    settings: type[BaseModel] = Recipe
    node: Any = document.data
    for key in path:
        node = node[key]
        if isinstance(key, int) or key not in (names := _names(settings)):
            continue
        settings = _settings_in(names[key].annotation) or settings
        settings = _part_of(registry, settings, node) or settings
    if path and isinstance(path[-1], int):
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
