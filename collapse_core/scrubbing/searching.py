"""Searching files for texts in the encodings that files have."""

import html
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

CHUNK = 32 * 2**20
OVERLAP = 2**17
"""How many bytes are read at once, and how many of the last ones are read again: no text is longer."""
SPACE = re.compile(rb"(?:\s|\\+[nrt])+")
"""White space, also as escape sequences write it."""
WORD = re.compile(rb"\w")


def _twice(text: str, *, outer: bool, inner: bool) -> str:
    within = json.dumps(text, ensure_ascii=inner)[1:-1]
    return json.dumps(within, ensure_ascii=outer)[1:-1]


ENCODINGS: dict[str, Callable[[str], str]] = {
    "plain UTF-8": lambda text: text,
    "JSON": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "JSON with \\u escapes": lambda text: json.dumps(text)[1:-1],
    "JSON within JSON": lambda text: _twice(text, outer=False, inner=False),
    "JSON within JSON with \\u escapes": lambda text: _twice(text, outer=True, inner=False),
    "JSON with \\u escapes within JSON": lambda text: _twice(text, outer=True, inner=True),
    "HTML": lambda text: html.escape(text),
    "HTML with decimal escapes": lambda text: (
        html.escape(text, quote=False).replace('"', "&#34;").replace("'", "&#39;")
    ),
    "YAML with doubled quotes": lambda text: text.replace("'", "''"),
    "URL": lambda text: quote(text, errors="replace"),
}
"""The encodings that are searched, besides UTF-16 and JSON lists."""


@dataclass(frozen=True, order=True)
class Hit:
    """How many different texts were found in a file; which, is not said."""

    file: str
    kind: str
    num: int


def compact(content: Any) -> str:
    """Plain data as JSON without any white space."""
    return "".join(json.dumps(content, separators=(",", ":"), ensure_ascii=False).split())


def token_lists(ids: Iterable[Collection[int]]) -> set[str]:
    """Token ids as pieces of JSON lists, without their ends, which depend on what is around a text."""
    return {",".join(map(str, list(one)[1:-1])) for one in ids if len(one) >= 6}


class Search:
    """The texts to be found, each in all its encodings."""

    def __init__(self, texts: Collection[str], words: Collection[str], lists: Collection[str]) -> None:
        """Encode them.

        Args:
            texts: Found wherever they are; white space between words may be of any kind.
            words: Found where no letter or digit is next to them.
            lists: JSON without spaces; found where no digit is next to it.
        """
        self._texts = {text: _forms(text) for text in texts}
        self._words = {word: _forms(word) for word in words}
        self._lists = {one: one.encode(errors="surrogatepass") for one in lists}

    def __len__(self) -> int:
        return len(self._texts) + len(self._words) + len(self._lists)

    def within(self, path: Path, name: str) -> list[Hit]:
        """What a file holds, and its name; of safetensors the metadata, since weights are no text."""
        found: dict[str, set[str]] = {"texts": set(), "words": set(), "lists": set()}
        for piece in (name.encode(errors="surrogateescape"), *_chunks(path)):
            spaced, bare = SPACE.sub(b" ", piece), b"".join(piece.split())
            found["texts"] |= {t for t, forms in self._texts.items() if any(f in spaced for f in forms)}
            found["texts"] |= {t for t in self._texts if t.encode("utf-16-le", "surrogatepass") in piece}
            found["words"] |= {w for w, forms in self._words.items() if any(_alone(f, spaced) for f in forms)}
            found["lists"] |= {one for one, form in self._lists.items() if _alone(form, bare)}
        return [Hit(name, kind, len(which)) for kind, which in found.items() if which]


def _forms(text: str) -> list[bytes]:
    encoded = (encode(text).encode(errors="surrogatepass") for encode in ENCODINGS.values())
    return list(dict.fromkeys(SPACE.sub(b" ", one).strip() for one in encoded))


def _alone(form: bytes, piece: bytes) -> bool:
    """Whether it occurs with no letter or digit next to it, where it begins or ends with one."""
    place = piece.find(form)
    while place >= 0:
        before, after = piece[max(place - 1, 0) : place], piece[place + len(form) : place + len(form) + 1]
        begins, ends = WORD.match(form[:1]), WORD.match(form[-1:])
        if not (begins and WORD.match(before)) and not (ends and WORD.match(after)):
            return True
        place = piece.find(form, place + 1)
    return False


def _chunks(path: Path) -> Iterator[bytes]:
    """The bytes of a file in overlapping pieces."""
    with path.open("rb") as file:
        if path.suffix == ".safetensors":
            yield file.read(min(int.from_bytes(file.read(8), "little"), 10**8))
            return
        kept = b""
        while piece := file.read(CHUNK):
            yield kept + piece
            kept = piece[-OVERLAP:]
