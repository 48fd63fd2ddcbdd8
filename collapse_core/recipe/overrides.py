"""Values from the command line, such as `--set updater.learning_rate=1e-5`, put into a document."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from ruamel.yaml.error import YAMLError

from collapse_core import errors
from collapse_core.errors import Problem, RecipeError
from collapse_core.recipe.document import Document, anchor_paths
from collapse_core.recipe.reading import Reader, load_yaml
from collapse_core.recipe.renamed import KeyPath


def set_override(document: Document, override: str) -> None:
    """Change a piece of a document, as "path=value" says; the value is YAML.

    Raises:
        RecipeError: The text is not of that form, or there is no such place.
    """
    written = f"--set {override}"
    dotted, text = split_override(override)
    value = yaml_value(text, written, dotted)
    path: KeyPath = tuple(int(key) if re.fullmatch("[0-9]{1,9}", key) else key for key in dotted.split("."))
    try:
        document.put(path, value, written)
    except (TypeError, LookupError, AttributeError):
        problem = Problem(written, 0, 0, dotted, "there is no such place in the recipe")
        raise RecipeError([problem]) from None
    anchor_paths(document, Path())


def split_override(override: str) -> tuple[str, str]:
    """The dotted path and the text of the value.

    Raises:
        RecipeError: The text is not of that form.
    """
    dotted, equals, text = override.partition("=")
    if not equals or not dotted:
        what = "expected path=value, such as updater.learning_rate=1e-5"
        raise RecipeError([Problem(f"--set {override}", 0, 0, "", what)])
    return dotted, text


def yaml_value(text: str, written: str, path: str = "") -> Any:
    """Plain data from a piece of YAML on the command line.

    Raises:
        RecipeError: It is no YAML.
    """
    try:
        return Reader(written).plain(load_yaml(text))
    except RecipeError as error:
        found = [replace(one, file="--set", line=0, column=0, path=path) for one in error.problems]
        raise RecipeError(found) from None
    except YAMLError as error:
        problem = getattr(error, "problem", None) or str(error)
        raise RecipeError([Problem(written, 0, 0, path, errors.not_yaml(problem))]) from None


def split_at_commas(text: str) -> list[str]:
    """The pieces of a text between commas, those within brackets, braces and quotes aside."""
    pieces, depth, quote = [""], 0, ""
    for letter in text:
        if quote or letter in "'\"":
            quote = "" if letter == quote else quote or letter
        depth += (letter in "[{") - (letter in "]}") if not quote else 0
        if letter == "," and not quote and depth == 0:
            pieces.append("")
        else:
            pieces[-1] += letter
    return [piece.strip() for piece in pieces]
