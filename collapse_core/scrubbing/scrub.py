"""Scrubbing a run: what holds what was to be forgotten is removed, and the rest is searched for it."""

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from collapse_core import errors
from collapse_core.errors import CollapseError
from collapse_core.recipe.loading import parse_recipe
from collapse_core.recipe.stored import stored_document
from collapse_core.report.page import write_page
from collapse_core.report.report import render
from collapse_core.results.results import load_results
from collapse_core.run.run import lock
from collapse_core.runtime import files
from collapse_core.runtime.cache import cached_files, drop_cached
from collapse_core.runtime.digests import digest, file_digest
from collapse_core.runtime.layout import FILES, MODEL, SCRUBBED, SCRUBBING
from collapse_core.scrubbing.redacting import Redaction, redact_json, redact_recipe, redact_rows
from collapse_core.scrubbing.searching import ENCODINGS, Hit, Search, token_lists
from collapse_core.scrubbing.secrets import Secrets, collect

VERSION = "collapse-scrub/1"
REPORT = "report.html"
ROWS = ("evaluations.jsonl", "journal.jsonl", "timings.jsonl")
Listing = list[dict[str, Any]]


@dataclass(frozen=True)
class Choice:
    """How much is removed."""

    cache: bool = False
    """Also what the run uses of the cache, such as the taught model."""
    model: bool = False
    """Also the exported model."""


def listing(directory: Path) -> Listing:
    """The files of a run and of what it uses of the cache, with their sizes in bytes."""
    found = {path.relative_to(directory).as_posix(): path for path in _files(directory)}
    found |= {
        f"cache: {name}/{path.name}": path for name in used_caches(directory) for path in cached_files(name)
    }
    return [
        {"path": name, "bytes": path.lstat().st_size}
        for name, path in sorted(found.items())
        if name not in (SCRUBBED, SCRUBBING)
    ]


def goes(path: str, choice: Choice) -> bool:
    """Whether a scrub removes a file of a listing: whatever is not known to be free of texts."""
    if path.startswith("cache: "):
        return choice.cache
    top = path.split("/")[0]
    return choice.model if top == MODEL else top not in FILES


def used_caches(directory: Path) -> list[str]:
    """What the run has recorded that it uses of the cache."""
    path = directory / "environment.json"
    known = files.read_json(path) if path.exists() else {}
    return [str(name) for name in known.get("caches", [])]


def _files(directory: Path) -> list[Path]:
    return [path for path in sorted(directory.rglob("*")) if path.is_file() or path.is_symlink()]


def scrub(directory: Path, choice: Choice) -> dict[str, Any]:
    """Scrub a run, or finish a scrub that was killed.

    The texts that are searched for are kept in a file of the run until the scrub is done, so that a second
    one knows them after a kill.

    Returns:
        The record, which scrubbed.json holds as well.

    Raises:
        CollapseError: There is no run, or another process works on it.
    """
    if not (directory / "resolved.json").exists():
        raise errors.no_run(directory)
    with closing(lock(directory)):
        with suppress(PermissionError):
            directory.chmod(0o700)
        files.drop_drafts(directory)
        state = _begin(directory)
        secrets = Secrets.from_json(state["secrets"])
        _remove(directory, choice)
        search = Search(secrets.texts, secrets.words | secrets.banned, secrets.lists)
        _redact(directory, [tuple(place) for place in state["places"]], secrets, search)
        record = _record(directory, state, choice)
        _rewrite_report(directory, record)
        record["redacted"] = _changed(directory, state)
        record["proof"] = _prove(directory, secrets, search)
        record["after"] = listing(directory)
        record = dict(Redaction(secrets.removable).value(record))
        files.write_json(directory / SCRUBBED, record)
        (directory / SCRUBBING).unlink()
    return record


def _begin(directory: Path) -> dict[str, Any]:
    """What the scrub must remember until it is done: from a scrub that was killed, or new."""
    path = directory / SCRUBBING
    if path.exists() and path.stat().st_size:
        return dict(files.read_json(path))
    secrets, places = collect(directory)
    _add_token_ids(directory, secrets)
    known = {path.name: file_digest(path) for path in _files(directory) if path.parent == directory}
    state: dict[str, Any] = {
        "secrets": secrets.to_json(),
        "places": [list(place) for place in places],
        "before": listing(directory),
        "digests": known,
    }
    with suppress(FileExistsError):
        path.touch(mode=0o600)
    files.write_json(path, state)
    path.chmod(0o600)
    return state


def _add_token_ids(directory: Path, secrets: Secrets) -> None:
    """The texts as the run's tokenizer writes them."""
    try:
        loader = parse_recipe(stored_document(directory)).model
        texts = [form for text in sorted(secrets.texts) for form in (text, f" {text}")]
        secrets.lists |= token_lists(loader.token_ids(texts, directory / MODEL))
    except Exception as error:  # the tokenizer may be gone by now, and the scrub must go on
        what = " ".join(str(error).split()) or type(error).__name__
        secrets.notes.append(f"token ids were not searched for: {what}")


# --- removing --------------------------------------------------------------------------------------


def _remove(directory: Path, choice: Choice) -> None:
    for row in listing(directory):
        path = str(row["path"])
        if goes(path, choice) and not path.startswith("cache: "):
            (directory / path).unlink(missing_ok=True)
    for folder in sorted((path for path in directory.rglob("*") if path.is_dir()), reverse=True):
        with suppress(OSError):  # not empty
            folder.rmdir()
    if choice.cache:
        for name in used_caches(directory):
            drop_cached(name)


def _redact(directory: Path, places: Sequence[Any], secrets: Secrets, search: Search) -> None:
    redaction = Redaction(secrets.removable)
    redact_recipe(directory, places, redaction, search)
    redact_json(directory / "environment.json", redaction)
    redact_json(directory / "status.json", redaction, emptying=("error",))
    for name in ROWS:
        redact_rows(directory / name, redaction)


def _rewrite_report(directory: Path, record: Mapping[str, Any]) -> None:
    """Write the report anew, if there is one, from what is left."""
    if (directory / REPORT).exists():
        write_page(render([replace(load_results(directory), scrubbed=record)]), directory / REPORT)


# --- the record ------------------------------------------------------------------------------------


def _record(directory: Path, state: Mapping[str, Any], choice: Choice) -> dict[str, Any]:
    path = directory / SCRUBBED
    earlier = files.read_json(path) if path.exists() else {}
    now = {row["path"] for row in listing(directory)}
    before: Listing = earlier.get("before") or state["before"]
    return {
        "version": VERSION,
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "cache": choice.cache or earlier.get("cache", False),
        "model": choice.model or earlier.get("model", False),
        "before": before,
        "removed": [row["path"] for row in before if row["path"] not in now],
        "redacted": [],
        "after": [],
        "recipe_digest_after": digest(files.read_json(directory / "resolved.json")["recipe"]),
        "proof": {},
        "earlier_proofs": [*earlier.get("earlier_proofs", []), *([earlier["proof"]] if earlier else [])],
    }


def _changed(directory: Path, state: Mapping[str, Any]) -> list[str]:
    """The files that were kept and are not what they were before any scrub."""
    path = directory / SCRUBBED
    earlier = files.read_json(path).get("redacted", []) if path.exists() else []
    now = [
        name
        for name, known in state["digests"].items()
        if name not in (SCRUBBED, SCRUBBING)
        and (directory / name).exists()
        and file_digest(directory / name) != known
    ]
    return sorted({*earlier, *now})


def _prove(directory: Path, secrets: Secrets, search: Search) -> dict[str, Any]:
    """Search all that is left."""
    known = (directory / SCRUBBED, directory / SCRUBBING)
    left = [path for path in _files(directory) if path not in known and path.is_file()]
    hits = [hit for path in left for hit in search.within(path, path.relative_to(directory).as_posix())]
    return {
        "texts": len(secrets.texts),
        "words": len(secrets.words | secrets.banned),
        "lists": len(secrets.lists),
        "too_short": secrets.too_short,
        "encodings": [*ENCODINGS, "UTF-16", "JSON lists"],
        "files": len(left),
        "found": _plain(hit for hit in hits if hit.kind != "words"),
        "words_found": _plain(hit for hit in hits if hit.kind == "words"),
        "notes": secrets.notes,
    }


def _plain(hits: Iterable[Hit]) -> Listing:
    return [{"file": hit.file, "kind": hit.kind, "num": hit.num} for hit in sorted(hits)]


def check(record: Mapping[str, Any], directory: Path) -> None:
    """Refuse a scrub that has left something.

    Raises:
        CollapseError: Texts were found in files that are left; names these.
    """
    found = record["proof"]["found"]
    if found:
        where = ", ".join(sorted({os.fspath(directory / hit["file"]) for hit in found}))
        raise CollapseError(
            f"texts that were to be forgotten are still in {where}; remove these files, for those of the "
            "model with 'collapse scrub --model', and scrub again"
        )
