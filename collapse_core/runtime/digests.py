"""Digests of data, texts, files and source code."""

import hashlib
import json
from pathlib import Path
from typing import Any


def digest(value: Any) -> str:
    """A short digest (16 hexadecimal characters of SHA-256) of plain JSON data."""
    return text_digest(json.dumps(value, sort_keys=True, ensure_ascii=False))


def sha256(value: Any) -> str:
    """The whole SHA-256 of plain JSON data, in hexadecimal."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def text_digest(text: str) -> str:
    """A short digest of a text."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]


def source_digest(folder: Path) -> str:
    """A short digest of all Python source below a folder."""
    whole = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        whole.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return whole.hexdigest()[:16]


def file_digest(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
