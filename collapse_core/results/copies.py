"""What may still hold what was to be forgotten, once a run is over."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from collapse_core.results.results import Results
from collapse_core.runtime.cache import cached_files
from collapse_core.runtime.layout import FILES, FOLDERS, MODEL

HOLDING = {
    "completions": "answers that were sampled, with their prompts",
    "checkpoints": "the model as it was during the run, with reference answers and prompts",
}


@dataclass(frozen=True)
class Copy:
    """Something that may still hold what was to be forgotten."""

    where: str
    """A file or folder of the run directory or of the cache, or what is outside both."""
    what: str
    files: int | None
    """How many files there are; None where they are not within reach."""


def copies_left(results: Results) -> list[Copy]:
    """The copies that are known of, within the run directory, in the cache, and outside both."""
    return list(_copies(results))


def _copies(results: Results) -> Iterator[Copy]:
    directory = results.directory
    for name, what in HOLDING.items():
        if num := len(_files(directory / name)):
            yield Copy(where=name, what=what, files=num)
    if any(row.get("examples") for row in results.evaluations):
        yield Copy(where="evaluations.jsonl", what="examples of answers, with true answers", files=1)
    if not results.scrubbed and (directory / "report.html").exists():
        yield Copy(where="report.html", what="samples and examples of answers", files=1)
    others = [
        path
        for path in _files(directory)
        if (name := path.relative_to(directory).parts[0]) not in (*FILES, *FOLDERS, MODEL)
    ]
    if others:
        yield Copy(where="other files of the run directory", what="not known", files=len(others))
    if num := len(_files(directory / MODEL)):
        yield Copy(where=MODEL, what="the resulting model", files=num)
    caches = results.environment.get("caches")
    if caches is None:
        yield Copy(where="cache", what="not known: the run did not record what it used", files=None)
    for name in caches or []:
        if num := len(cached_files(name)):
            yield Copy(
                where=f"cache: {name}", what="a model as it was before unlearning, or a baseline", files=num
            )
    yield Copy(where="outside", what="the base model, and the data that it was taught", files=None)
    yield Copy(where="outside", what="the data set's own files, and what was made of them", files=None)
    yield Copy(
        where="outside",
        what="backups, snapshots and deleted blocks of disks, and copies handed on",
        files=None,
    )


def _files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]
