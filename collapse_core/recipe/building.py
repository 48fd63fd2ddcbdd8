"""A recipe from what Python holds, and as YAML."""

import io
from collections.abc import Mapping
from pathlib import Path
from types import FunctionType
from typing import Any

from ruamel.yaml import YAML

from collapse_core.recipe.document import Document, anchor_paths, read_file
from collapse_core.recipe.loading import parse_recipe
from collapse_core.recipe.recipe import Recipe

WRITTEN = "recipe"
"""What problems call a recipe that is in no file."""


def build_recipe(base: Recipe | Path | str | None = None, /, **keys: Any) -> Recipe:
    """Make a recipe from its keys, without YAML.

    Args:
        base: A recipe, or the file of one, whose keys are replaced; by default none.
        **keys: The keys of a recipe. A part is what a recipe file says, such as `"best-of-n"` or
            `{"use": "generate", "top_p": 0.9}`, or the part itself, such as `Generate(top_p=0.9)`; a
            reward may be a plain function, as that of `callable`. Where they are not given, `version` is 1
            and `name` is "unnamed".

    Raises:
        RecipeError: With every problem that was found, each with its key.
    """
    if base is None:
        document = Document({"version": 1, "name": "unnamed"}, {(): (WRITTEN, 0, 0)})
    elif isinstance(base, Recipe):
        document = Document({key: getattr(base, key) for key in Recipe.model_fields}, {(): (WRITTEN, 0, 0)})
    else:
        document = read_file(Path(base))
    for key, value in keys.items():
        document.put((key,), _copied(value), WRITTEN)
    document.data["rewards"] = _with_functions(document.data.get("rewards", []))
    anchor_paths(document, Path.cwd())
    return parse_recipe(document)


def _copied(value: Any) -> Any:
    """Plain data of its own, since reading a recipe puts present names and whole paths into it."""
    if isinstance(value, Mapping):
        return {key: _copied(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_copied(inner) for inner in value]
    return str(value) if isinstance(value, Path) else value


def _with_functions(rewards: Any) -> Any:
    if not isinstance(rewards, list):
        return rewards
    return [{"use": "callable", "function": r} if isinstance(r, FunctionType) else r for r in rewards]


def as_yaml(recipe: Recipe) -> str:
    """The recipe as the text of a file, every default spelled out."""
    text = io.StringIO()
    YAML(typ="rt").dump(recipe.resolved(), text)
    return text.getvalue()
