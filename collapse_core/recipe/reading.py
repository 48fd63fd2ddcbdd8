"""YAML that users write, as plain data with the place of each piece; what no recipe can mean is refused."""

from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.composer import Composer, ComposerError
from ruamel.yaml.constructor import ConstructorError, RoundTripConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError
from ruamel.yaml.scalarbool import ScalarBoolean
from ruamel.yaml.scanner import RoundTripScanner, ScannerError

from collapse_core import errors
from collapse_core.errors import Problem, RecipeError
from collapse_core.recipe.renamed import KeyPath

Place = tuple[str, int, int]
"""A file, or what stands for one; a line and a column, from 1."""

MOST_PIECES = 20_000
"""The most keys and values that are read; nine aliases of nine aliases each, ten deep, are billions."""
DEEPEST = 100
"""How many mappings and lists may stand within each other."""
TOO_DEEP = f"mappings and lists are more than {DEEPEST} deep"
STANDARD = "tag:yaml.org,2002:"
AS_TEXT = tuple(STANDARD + tag for tag in ("timestamp", "value", "merge"))
"""What YAML makes of a date, of = and of <<, where they are values; in a recipe they are texts."""
TAGS = {
    ScalarNode: ("str", "int", "float", "bool", "null"),
    SequenceNode: ("seq",),
    MappingNode: ("map",),
}
"""The standard tags of what a recipe is made of."""


class _Scanner(RoundTripScanner):
    """Stops where brackets are too deep: it takes a minute for a few thousand."""

    def fetch_flow_collection_start(self, *args: Any, **named: Any) -> None:
        """Take a bracket.

        Raises:
            ScannerError: It is too deep.
        """
        if self.flow_level > DEEPEST:
            raise ScannerError(problem=TOO_DEEP, problem_mark=self.reader.get_mark())
        super().fetch_flow_collection_start(*args, **named)


class _Composer(Composer):
    """Stops where mappings and lists are too deep for what works through them."""

    _depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Return the next node.

        Raises:
            ComposerError: It is too deep.
        """
        self._depth += 1
        if self._depth > DEEPEST:
            mark = self.loader.parser.peek_event().start_mark
            raise ComposerError(problem=TOO_DEEP, problem_mark=mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


class _Constructor(RoundTripConstructor):
    """Takes plain data only: no tag of another kind, and a date as the text that it was written as."""

    def construct_object(self, node: Node, deep: bool = False) -> Any:
        """Return what a node stands for.

        Raises:
            ConstructorError: It has a tag that no recipe knows, or its text does not fit its tag.
        """
        if node.tag in AS_TEXT:
            node.tag = STANDARD + "str"
        tag = str(node.tag)
        if tag not in [STANDARD + known for known in TAGS[type(node)]]:
            what = f"the tag '{tag.replace(STANDARD, '!!')}' means nothing here; leave it out"
        elif node in self.recursive_objects:
            what = f"the alias *{node.anchor} stands within what it is an alias of"
        else:
            try:
                return super().construct_object(node, deep)
            except (LookupError, TypeError, ValueError):
                what = f"{str(node.value)[:40]!r} is not of the type '{tag.removeprefix(STANDARD)}'"
        raise ConstructorError(problem=what, problem_mark=node.start_mark)


def load_yaml(text: str) -> Any:
    """Return the value that a YAML text holds, as ruamel.yaml represents it.

    Raises:
        YAMLError: It holds none, or something that no recipe can mean.
    """
    yaml = YAML(typ="rt")
    yaml.Scanner, yaml.Composer, yaml.Constructor = _Scanner, _Composer, _Constructor
    try:
        return yaml.load(text)
    except YAMLError:
        raise
    except Exception as error:  # the parser fails on a few odd texts in ways of its own
        raise YAMLError(f"it cannot be parsed ({type(error).__name__}: {error})") from None


def problem_of_yaml(text: str, name: str, error: YAMLError) -> Problem:
    """Return what is wrong with a text that is not YAML, and where."""
    if isinstance(error, MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        begins = error.context_mark.line + 1 if error.context_mark else line
        return Problem(
            name, line, column, "", errors.not_yaml(error.problem or "", error.context or "", begins)
        )
    if isinstance(error, ReaderError):
        before = text[: error.position].split("\n")
        what = f"the character U+{error.character:04X} is not allowed in YAML"
        return Problem(name, len(before), len(before[-1]) + 1, "", errors.not_yaml(what))
    return Problem(name, 1, 1, "", errors.not_yaml(str(error)))


@dataclass
class Reader:
    """Turns what ruamel.yaml has read into built-in types, and notes where each piece is."""

    name: str
    """The file."""
    places: dict[KeyPath, Place] = field(default_factory=dict)
    _num: int = 0

    def plain(self, node: Any, path: KeyPath = ()) -> Any:
        """Return a node as built-in types.

        Raises:
            RecipeError: A piece of it is none that a recipe can hold; names its place.
        """
        self._num += 1
        if self._num > MOST_PIECES:
            raise self._wrong(path, f"more than {MOST_PIECES} keys and values, those of each *alias counted")
        if len(path) > DEEPEST:
            raise self._wrong(path[:5], f"{TOO_DEEP}, those of each *alias counted")
        if isinstance(node, CommentedMap):
            return self._mapping(node, path)
        if isinstance(node, CommentedSeq):
            for index in range(len(node)):
                line, column = node.lc.item(index)
                self.places[*path, index] = (self.name, line + 1, column + 1)
            return [self.plain(value, (*path, index)) for index, value in enumerate(node)]
        if isinstance(node, ScalarBoolean):
            return bool(node)
        if isinstance(node, str):
            self._check_letters(node, path)
        return next((kind(node) for kind in (bool, int, float, str) if isinstance(node, kind)), node)

    def _mapping(self, node: CommentedMap, path: KeyPath) -> dict[Any, Any]:
        for key in node:
            if place := (node.lc.data or {}).get(key):  # a key that YAML's << brings has none of its own
                self.places[*path, key] = (self.name, place[0] + 1, place[1] + 1)
            if isinstance(key, str):
                self._check_letters(key, (*path, key))
            elif not isinstance(key, int | float | None):
                raise self._wrong((*path, key), "expected a text as the key, found a list or a mapping")
        return {key: self.plain(value, (*path, key)) for key, value in node.items()}

    def _check_letters(self, text: str, path: KeyPath) -> None:
        if what := unfit_letters(text):
            raise self._wrong(path, what)

    def _wrong(self, path: KeyPath, what: str) -> RecipeError:
        return RecipeError([Problem(*nearest_place(self.places, path), dotted(path), what)])


def nearest_place(places: dict[KeyPath, Place], path: KeyPath) -> Place:
    """Return where the piece at `path` was written, or the nearest thing around it."""
    while path not in places and path:
        path = path[:-1]
    return places.get(path, ("", 0, 0))


def dotted(path: KeyPath) -> str:
    """Return a path as a problem names it, such as "updater.learning_rate"."""
    return ".".join(map(str, path))


def unfit_letters(value: Any) -> str:
    """Return why a text within plain data can be in no recipe; "" where all can."""
    if isinstance(value, dict):
        return next(filter(None, map(unfit_letters, (*value.keys(), *value.values()))), "")
    if isinstance(value, list):
        return next(filter(None, map(unfit_letters, value)), "")
    if isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value):
        return errors.HALF_LETTER
    return errors.NULL_LETTER if isinstance(value, str) and "\0" in value else ""
