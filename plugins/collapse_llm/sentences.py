"""Sentences that do not answer: a recipe's own, a file's, or the refusals that ship here."""

from importlib.resources import files as resources
from pathlib import Path
from typing import Annotated, TypeAlias

from annotated_types import MinLen

from collapse_core import CollapseError

Sentences: TypeAlias = Annotated[list[str], MinLen(1)] | str
"""Sentences, or where they are: "refusals", which ship with the plugin, or a text file, one per line."""

REFUSALS = "refusals"


def read_sentences(named: Sentences) -> list[str]:
    """Return the sentences that a recipe names, in order; empty lines of a file are no sentences.

    Raises:
        CollapseError: The file cannot be read, or holds none.
    """
    if not isinstance(named, str):
        return named
    path = (
        Path(str(resources("collapse_llm") / "authors" / "refusals.txt"))
        if named == REFUSALS
        else Path(named)
    )
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise CollapseError(
            f"the sentences in {path} cannot be read: {error}; name a text file with one per line, write "
            f"them into the recipe as a list, or write '{REFUSALS}' for those that ship with the plugin"
        ) from None
    sentences = [line.strip() for line in lines if line.strip()]
    if not sentences:
        raise CollapseError(f"there are no sentences in {path}; write one per line")
    return sentences
