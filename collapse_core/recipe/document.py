"""The text of a recipe as plain data, with the place of each piece; nothing is checked yet."""

import warnings
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from collapse_core import errors
from collapse_core.errors import Problem, RecipeError
from collapse_core.recipe.renamed import READ_UNTIL, KeyPath, RenamedKeyWarning, rename_keys
from collapse_core.recipe.shipped import where_to_find


@dataclass
class Document:
    """Plain data, and where in which file each piece of it was written."""

    data: dict[str, Any] = field(default_factory=dict)
    places: dict[KeyPath, tuple[str, int, int]] = field(default_factory=dict)

    def place(self, path: KeyPath) -> tuple[str, int, int]:
        """Where the piece at `path` was written, or the nearest thing around it."""
        while path not in self.places and path:
            path = path[:-1]
        return self.places.get(path, ("", 0, 0))

    def problem(self, path: KeyPath, what: str) -> Problem:
        """A problem at `path`."""
        return Problem(*self.place(path), ".".join(map(str, path)), what)

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
        base_path = directory / Path(str(document.data.pop("extends"))).expanduser()
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
    for index, dotted in enumerate(named if isinstance(named, list) else [named]):
        path: KeyPath = tuple(str(dotted).split("."))
        node: Any = base.data
        for key in path[:-1]:
            node = node.get(key) if isinstance(node, dict) else None
        if not isinstance(node, dict) or path[-1] not in node:
            what = f"the recipe that is extended has no key '{dotted}' to take away"
            raise RecipeError([document.problem(("without", index), what)])
        del node[path[-1]]
        base.drop_places(path)


def _parse(text: str, name: str) -> Document:
    try:
        tree = YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        begins = error.context_mark.line + 1 if error.context_mark else line
        what = errors.not_yaml(error.problem or "", error.context or "", begins)
        raise RecipeError([Problem(name, line, column, "", what)]) from None
    except YAMLError as error:
        raise RecipeError([Problem(name, 1, 1, "", errors.not_yaml(str(error)))]) from None
    if not isinstance(tree, CommentedMap):
        raise RecipeError([Problem(name, 1, 1, "", "expected a recipe: a mapping that begins 'version: 1'")])
    places: dict[KeyPath, tuple[str, int, int]] = {(): (name, 1, 1)}
    return Document(_plain(tree, (), name, places), places)


def _plain(node: Any, path: KeyPath, name: str, places: dict[KeyPath, tuple[str, int, int]]) -> Any:
    """The node as built-in types; notes where each piece is."""
    if isinstance(node, CommentedMap):
        for key in node:
            if place := (node.lc.data or {}).get(key):  # a key that YAML's << brings has none of its own
                places[(*path, key)] = (name, place[0] + 1, place[1] + 1)
            if isinstance(key, str):
                _check_letters(key, (*path, key), places)
        return {key: _plain(value, (*path, key), name, places) for key, value in node.items()}
    if isinstance(node, CommentedSeq):
        for index in range(len(node)):
            line, column = node.lc.item(index)
            places[(*path, index)] = (name, line + 1, column + 1)
        return [_plain(value, (*path, index), name, places) for index, value in enumerate(node)]
    if isinstance(node, str):
        _check_letters(node, path, places)
    for builtin in (bool, int, float, str):
        if isinstance(node, builtin):
            return builtin(node)
    return node


def _check_letters(text: str, path: KeyPath, places: dict[KeyPath, tuple[str, int, int]]) -> None:
    if has_half_letters(text):
        raise RecipeError([Document({}, places).problem(path, errors.HALF_LETTER)])


def has_half_letters(value: Any) -> bool:
    """Whether a text within plain data holds a lone surrogate, which no file can hold."""
    if isinstance(value, dict):
        return any(map(has_half_letters, (*value.keys(), *value.values())))
    if isinstance(value, list):
        return any(map(has_half_letters, value))
    return isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value)


def _merge(base: Any, over: Any, places: dict[KeyPath, tuple[str, int, int]], path: KeyPath = ()) -> Any:
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
            str((directory / Path(str(name)).expanduser()).resolve()) for name in names
        ]
    if isinstance(launch, dict) and isinstance(launch.get("config"), str):
        launch["config"] = str((directory / Path(launch["config"]).expanduser()).resolve())
    _expand_home(document.data)


def _expand_home(node: Any) -> None:
    """Put the home directory in the place of a ~ that the keys `path` of a recipe begin with."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "path" and isinstance(value, str) and value.startswith("~"):
                with suppress(RuntimeError):  # nobody has this home
                    node[key] = str(Path(value).expanduser())
            _expand_home(value)
    elif isinstance(node, list):
        for value in node:
            _expand_home(value)
