"""What is wrong with a recipe, as pydantic found it, in plain words and with its place in the file."""

import json
import types
import typing
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails, PydanticCustomError

from collapse_core.contracts.component import Component
from collapse_core.contracts.part_kinds import INTERFACES
from collapse_core.errors import Problem, did_you_mean
from collapse_core.plugins.registry import Registry
from collapse_core.recipe.document import Document
from collapse_core.recipe.recipe import Recipe
from collapse_core.recipe.renamed import KeyPath

_EXPECTED = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "a text",
    "list": "a list",
    "dict": "a mapping",
    "model": "a mapping",
    "invalid_key": "a text as the key",
    "greater_than_equal": "at least {ge}",
    "greater_than": "more than {gt}",
    "less_than_equal": "at most {le}",
    "less_than": "less than {lt}",
    "finite_number": "a finite number",
    "string_too_long": "at most {max_length} characters",
    "string_pattern_mismatch": "a text that matches {pattern}",
}


def _wrong_value(kind: str, message: str, context: Mapping[str, Any], value: object) -> str:
    """A value that is not what its key asks for; `kind` and `message` are pydantic's."""
    stem = kind.removesuffix("_parsing").removesuffix("_type").removesuffix("_from_float")
    if stem in _EXPECTED:
        what = "expected " + _EXPECTED[stem].format_map(context)
    else:
        what = message.removeprefix("Value error, ").replace("Input should be ", "expected ")
    shown = "nothing" if value is None else _shown(value)
    return f"{what}, found {shown if len(shown) <= 60 else shown[:57] + '...'}"


def _shown(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except (TypeError, ValueError):  # keys that are no texts, or a list within itself: it came from Python
        return repr(value)


def problem_of(document: Document, registry: Registry, detail: ErrorDetails) -> Problem:
    """One thing that pydantic found, in plain words, with its place in the file."""
    path: KeyPath = tuple(detail["loc"])
    if detail["type"] == "extra_forbidden":
        known = [key for key in _keys_at(document, registry, path[:-1]) if key != "use"]
        return document.problem(path, f"unknown key '{path[-1]}'; {did_you_mean(str(path[-1]), known)}")
    if detail["type"] == "missing":
        return document.problem(path, "is missing")
    if detail["type"] in ("unknown_part", "broken_plugin"):
        use = (*path, "use")
        place = document.place(use if use in document.places else path)
        return Problem(*place, ".".join(map(str, path)), detail["msg"])
    what = _wrong_value(detail["type"], detail["msg"], detail.get("ctx", {}), detail["input"])
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
