"""The text of a recipe as plain data, with the place of each piece; nothing is checked yet."""

import os
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from collapse_core import errors
from collapse_core.errors import Problem, RecipeError
from collapse_core.recipe.reading import Place, Reader, dotted, load_yaml, nearest_place, problem_of_yaml
from collapse_core.recipe.renamed import READ_UNTIL, KeyPath, RenamedKeyWarning, rename_keys
from collapse_core.recipe.shipped import where_to_find


@dataclass
class Document:
    """Plain data, and where in which file each piece of it was written."""

    data: dict[str, Any] = field(default_factory=dict)
    places: dict[KeyPath, Place] = field(default_factory=dict)

    def place(self, path: KeyPath) -> Place:
        """Where the piece at `path` was written, or the nearest thing around it."""
        return nearest_place(self.places, path)

    def problem(self, path: KeyPath, what: str) -> Problem:
        """A problem at `path`."""
        return Problem(*self.place(path), dotted(path), what)

    def put(self, path: KeyPath, value: Any, written: str) -> None:
        """Set the piece at `path`, making mappings on the way; an index may be that after a list's last.

        Args:
            path: Where.
            value: Plain data.
            written: Where it was written, to be named in problems.

        Raises:
            LookupError: There is no such place.
            TypeError: There is something else on the way.
        """
        node: Any = self.data
        for key in path[:-1]:
            node = node.setdefault(key, {}) if isinstance(node, dict) else node[key]
        if isinstance(node, list) and path[-1] == len(node):
            node.append(value)
        else:
            node[path[-1]] = value
        self.drop_places(path)
        self.places[path] = (written, 0, 0)

    def drop_places(self, path: KeyPath) -> None:
        """Drop the places of the piece at `path` and of all within it."""
        for place in [place for place in self.places if place[: len(path)] == path]:
            del self.places[place]

    def rename_keys(self) -> None:
        """Give keys their present names, and warn of each old one with its place."""
        for path, new in rename_keys(self.data):
            what = f"is called '{new}' since version 0.2; the old name is read until {READ_UNTIL}"
            warnings.warn(str(self.problem(path, what)), RenamedKeyWarning, stacklevel=2)
            within = [place for place in self.places if place[: len(path)] == path]
            for place in within:
                self.places[(*path[:-1], new, *place[len(path) :])] = self.places.pop(place)


def read_document(text: str, name: str, directory: Path) -> Document:
    """Parse YAML text of a file in `directory`, and what it extends.

    Raises:
        RecipeError: It is no YAML, or no mapping.
    """
    document = _parse(text, name)
    document.rename_keys()
    anchor_paths(document, directory)
    if "extends" in document.data:
        base_path = directory / os.path.expanduser(str(document.data.pop("extends")))
        base = _read_base(base_path, document.problem(("extends",), ""))
        _take_away(base, document)
        merged = _merge(base.data, document.data, kept := base.places.copy())
        document = Document(merged, kept | document.places)
    return document


def read_file(path: Path) -> Document:
    """Read a recipe, and what it extends.

    Raises:
        RecipeError: It cannot be read, is no YAML, or no mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        what = f"{errors.cannot_be_read(error)}; {where_to_find(path)}"
        raise RecipeError([Problem(str(path), 0, 0, "", what)]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError([Problem(str(path), 0, 0, "", errors.cannot_be_read(error))]) from None
    return read_document(text, str(path), path.parent)


def _read_base(path: Path, named: Problem) -> Document:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError([replace(named, what=f"{path} {errors.cannot_be_read(error)}")]) from None
    document = _parse(text, str(path))
    document.rename_keys()
    if "extends" in document.data:
        raise RecipeError([document.problem(("extends",), "a recipe that is extended cannot extend another")])
    anchor_paths(document, path.parent)
    return document


def _take_away(base: Document, document: Document) -> None:
    """Remove from the base what the key `without` of the recipe that extends it names."""
    named = document.data.pop("without", [])
    for index, key_path in enumerate(named if isinstance(named, list) else [named]):
        path: KeyPath = tuple(str(key_path).split("."))
        node: Any = base.data
        for key in path[:-1]:
            node = node.get(key) if isinstance(node, dict) else None
        if not isinstance(node, dict) or path[-1] not in node:
            what = f"the recipe that is extended has no key '{key_path}' to take away"
            raise RecipeError([document.problem(("without", index), what)])
        del node[path[-1]]
        base.drop_places(path)


def _parse(text: str, name: str) -> Document:
    try:
        tree = load_yaml(text)
    except YAMLError as error:
        raise RecipeError([problem_of_yaml(text, name, error)]) from None
    if not isinstance(tree, CommentedMap):
        raise RecipeError([Problem(name, 1, 1, "", "expected a recipe: a mapping that begins 'version: 1'")])
    reader = Reader(name, {(): (name, 1, 1)})
    return Document(reader.plain(tree), reader.places)


def _merge(base: Any, over: Any, places: dict[KeyPath, Place], path: KeyPath = ()) -> Any:
    """`over` laid upon `base`: mappings merge, unless they name another part; all else replaces.

    The places within what is replaced are dropped from `places`.
    """
    both = isinstance(base, dict) and isinstance(over, dict)
    if both and over.get("use", base.get("use")) == base.get("use"):
        merged = {key: _merge(base.get(key), value, places, (*path, key)) for key, value in over.items()}
        return base | merged
    for place in [place for place in places if place[: len(path)] == path]:
        del places[place]
    return over


def anchor_paths(document: Document, directory: Path) -> None:
    """Make the paths in a recipe absolute, which are relative to `directory`."""
    names, launch = document.data.get("plugins"), document.data.get("launch")
    if isinstance(names, list):
        document.data["plugins"] = [
            str((directory / os.path.expanduser(str(name))).resolve()) for name in names
        ]
    if isinstance(launch, dict) and isinstance(launch.get("config"), str):
        launch["config"] = str((directory / os.path.expanduser(launch["config"])).resolve())
    _expand_home(document.data)


def _expand_home(node: Any) -> None:
    """Put the home directory in the place of a ~ that the keys `path` of a recipe begin with."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "path" and isinstance(value, str) and value.startswith("~"):
                node[key] = os.path.expanduser(value)
            _expand_home(value)
    elif isinstance(node, list):
        for value in node:
            _expand_home(value)
