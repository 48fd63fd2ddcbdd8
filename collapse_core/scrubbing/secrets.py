"""What was to be forgotten: the texts that a scrub removes, and then searches for."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from collapse_core.contracts.types import Prompt
from collapse_core.errors import CollapseError
from collapse_core.recipe.loading import parse_recipe
from collapse_core.recipe.recipe import Recipe
from collapse_core.recipe.stored import stored_document
from collapse_core.runtime import files
from collapse_core.scrubbing.searching import compact

SHORTEST = 3
"""Shorter texts occur everywhere by chance, and are not searched for."""
TELLING = 12
"""A single word from this length on is not found by chance."""
KeyPath = tuple[str | int, ...]


@dataclass
class Secrets:
    """The texts of what was to be forgotten, by how they are searched for."""

    texts: set[str] = field(default_factory=set)
    """Texts that cannot be found by chance; removed wherever they are."""
    words: set[str] = field(default_factory=set)
    """Single short words, such as an answer "Paris": searched for and reported."""
    lists: set[str] = field(default_factory=set)
    """Contents that are no text, and token ids, as JSON without spaces."""
    banned: set[str] = field(default_factory=set)
    """Words that the recipe names as what is to be forgotten; removed wherever they are texts."""
    too_short: int = 0
    """How many were left out, since they are too short."""
    notes: list[str] = field(default_factory=list)
    """What could not be looked up, a sentence each."""

    def add(self, content: Any) -> None:
        """Add a question, an answer or a reference; of a conversation, each of its texts."""
        if isinstance(content, str):
            self._add_text(content)
        elif isinstance(content, list | dict):
            self._add_list(compact(content))
            for text in _leaves(content):
                if _is_telling(text):
                    self.texts.add(text)

    def _add_text(self, text: str) -> None:
        text = text.strip()
        if _is_telling(text):
            self.texts.add(text)
        elif len(text) >= SHORTEST:
            self.words.add(text)
        else:
            self.too_short += bool(text)

    def _add_list(self, text: str) -> None:
        if text.count(",") >= 2:
            self.lists.add(text)
        else:
            self.too_short += 1

    def ban(self, value: Any) -> None:
        """Add the texts of a field that holds what is to be forgotten."""
        for text in _leaves(value):
            if len(text) >= SHORTEST:
                self._add_text(text)
                self.banned.add(text)

    @property
    def removable(self) -> set[str]:
        """All that is removed from texts that are kept."""
        return self.texts | self.banned

    def to_json(self) -> dict[str, Any]:
        """Plain data, for a scrub that is killed and goes on later."""
        sets = {name: sorted(getattr(self, name)) for name in ("texts", "words", "lists", "banned")}
        return sets | {"too_short": self.too_short, "notes": self.notes}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Secrets":
        """Read what `to_json` gave."""
        sets = {name: set(data[name]) for name in ("texts", "words", "lists", "banned")}
        return cls(**sets, too_short=data["too_short"], notes=list(data["notes"]))


def _is_telling(text: str) -> bool:
    """Whether a text is more than a short word, so that it is not found by chance."""
    unspaced = len(text) >= 4 and not text.isascii()  # scripts without spaces between words
    return len(text.split()) > 1 or len(text) >= TELLING or unspaced or "@" in text


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value.strip()
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _leaves(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _leaves(inner)


# --- where they come from --------------------------------------------------------------------------


def collect(directory: Path) -> tuple[Secrets, list[KeyPath]]:
    """Gather what was to be forgotten from the data set, the recipe and the run itself.

    Returns:
        The texts, and the places in the resolved recipe of fields that hold what is to be forgotten.
    """
    secrets = Secrets()
    places: list[KeyPath] = []
    try:
        recipe = parse_recipe(stored_document(directory))
    except CollapseError as error:
        secrets.notes.append(f"the recipe cannot be read any more, so nothing is known of its data: {error}")
    else:
        places = [path for path, _ in secret_values(recipe)]
        for _, value in secret_values(recipe):
            secrets.ban(value)
        _from_data(recipe, secrets)
    _from_checkpoints(directory, secrets)
    _from_completions(directory, secrets)
    _from_examples(directory, secrets)
    return secrets, places


def secret_values(settings: BaseModel, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """The fields that hold what is to be forgotten, at any depth, with their path in the recipe."""
    secret = getattr(type(settings), "secret_fields", ())
    for name, info in type(settings).model_fields.items():
        here = (*path, info.alias or name)
        value = getattr(settings, name)
        if name in secret:
            yield here, value.model_dump(mode="json") if isinstance(value, BaseModel) else value
        else:
            yield from _within(value, here)


def _within(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    if isinstance(value, BaseModel):
        yield from secret_values(value, path)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _within(inner, (*path, key))
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from _within(inner, (*path, number))


def _from_data(recipe: Recipe, secrets: Secrets) -> None:
    """The forget set and its companions, with true answers."""
    splits = [name for name in recipe.data.splits() or () if "forget" in name]
    for split in dict.fromkeys(["forget", *splits]):
        try:
            _from_prompts(recipe.data.load(split), secrets)
        except Exception as error:  # any part may be broken by now, and the scrub must go on
            what = " ".join(str(error).split()) or type(error).__name__
            secrets.notes.append(f"the split '{split}' of the data set cannot be read any more: {what}")


def _from_prompts(prompts: Iterable[Prompt], secrets: Secrets) -> None:
    for prompt in prompts:
        secrets.add(prompt.content)
        secrets.add(prompt.target)
        for text in _leaves(dict(prompt.columns)):
            if _is_telling(text):
                secrets.add(text)


def _from_checkpoints(directory: Path, secrets: Secrets) -> None:
    """The reference answers, and the prompts of what was kept."""
    for path in sorted(directory.glob("checkpoints/*/state.json")):
        state = _readable(path)
        for reference in state.get("references", {}).values():
            secrets.add(reference.get("content"))
        for kept in state.get("incumbents", {}).values():
            secrets.add(kept.get("prompt", {}).get("content"))
            secrets.add(kept.get("against"))


def _readable(path: Path) -> dict[str, Any]:
    try:
        found = files.read_json(path)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _from_completions(directory: Path, secrets: Secrets) -> None:
    for path in sorted(directory.glob("completions/*.jsonl")):
        for row in rows(path):
            secrets.add(row.get("asked"))


def _from_examples(directory: Path, secrets: Secrets) -> None:
    """Questions and true answers of forget splits that evaluators noted, and what was answered before."""
    for row in rows(directory / "evaluations.jsonl"):
        for example in row.get("examples", ()):
            if "forget" in str(example.get("split", "")):
                keys = (
                    ("prompt", "target", "answer") if row.get("model") == "before" else ("prompt", "target")
                )
                for key in keys:
                    secrets.add(example.get(key))


def rows(path: Path) -> Sequence[dict[str, Any]]:
    """The JSON objects of a file; a line that is none is left out."""
    import json

    found = []
    for line in path.read_bytes().split(b"\n") if path.exists() else ():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return [row for row in found if isinstance(row, dict)]
