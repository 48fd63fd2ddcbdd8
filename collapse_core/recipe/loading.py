"""YAML -> Recipe. All problems at once, each with file, line and column, before anything heavy loads."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from collapse_core.errors import RecipeError
from collapse_core.plugins.discovery import Plugin, load_file
from collapse_core.plugins.registry import Registry
from collapse_core.recipe.continuing import continue_from_runs
from collapse_core.recipe.document import Document, read_file
from collapse_core.recipe.overrides import set_override
from collapse_core.recipe.problems import problem_of
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
    document.rename_keys()
    continue_from_runs(document)
    local = _local_plugins(document)
    registry = Registry([*Registry().plugins, *local])
    problems = [
        document.problem(("plugins", index), f"the plugin {plugin.name} cannot be loaded: {plugin.error}")
        for index, plugin in enumerate(local)
        if plugin.error
    ]
    broken = any(plugin.error and not plugin.unread for plugin in local)
    try:
        recipe = Recipe.model_validate(document.data, context={"registry": registry})
    except ValidationError as error:
        details = error.errors(include_url=False)
        problems += [problem_of(document, registry, detail) for detail in details]
        broken = broken or any(detail["type"] == "broken_plugin" for detail in details)
        raise RecipeError(problems, exit_code=3 if broken else 2) from None
    if problems:
        raise RecipeError(problems, exit_code=3 if broken else 2)
    return recipe


def _local_plugins(document: Document) -> list[Plugin]:
    """The plugins that are files of this recipe."""
    names = document.data.get("plugins")
    return [load_file(Path(name)) for name in names] if isinstance(names, list) else []
