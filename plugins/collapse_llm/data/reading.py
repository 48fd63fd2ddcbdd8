"""Reading the rows of a source. Nothing that is read is left in a cache on the disk."""

import csv
import glob
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from collapse_core import CollapseError, errors, file_digest
from collapse_llm.data.sources import Source

TEXTS = (".jsonl", ".json", ".csv", ".tsv")
ENDINGS = (*TEXTS, ".parquet", ".arrow")
"""How the names of files of rows end."""
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
SPLITS = ("train", "test", "validation", "val", "dev")
"""What the files of a directory are often called after."""
NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")
"""A plain number: without leading zeros, which codes have."""


@dataclass(frozen=True, slots=True)
class Line:
    """A row with where it is."""

    where: str
    """The file and the row's number in it, for errors."""
    number: int
    """Its number in the whole source, from 1."""
    row: Mapping[str, Any]
    """Its values by column; what is null in a file of objects is not there."""


def read_lines(source: Source, texts: Sequence[str]) -> Sequence[Line]:
    """Return every row of a source, whatever its conditions say.

    Args:
        source: Where the rows are.
        texts: Columns of a .csv file that stay text even where all their cells are numbers.

    Raises:
        CollapseError: It is not there, cannot be read, or holds no rows.
    """
    bare = source.model_copy(update={"where": [], "columns": {}})
    return _read(bare.model_dump_json(by_alias=True), tuple(texts), _stamps(source))


@lru_cache(maxsize=4)
def _read(source: str, texts: tuple[str, ...], stamps: tuple[object, ...]) -> Sequence[Line]:
    where = Source.model_validate_json(source)
    lines: list[Line] = []
    for name, rows in _tables(where, texts):
        for number, row in rows:
            lines.append(Line(f"{name}:{number}", len(lines) + 1, _present(row)))
    if not lines:
        raise CollapseError(f"{where.from_} holds no rows")
    return lines


def provenance(source: Source) -> dict[str, object]:
    """Return the digest of each file of a source by its name, or the commit of the hub."""
    path = Path(os.path.expanduser(source.from_))
    if not path.exists():
        return {"hub": source.from_, "revision": _commit(source.from_, source.revision)}
    return {
        str(file.relative_to(path.parent)): file_digest(file)
        for file in ([path] if path.is_file() else _all_files(path))
    }


def _stamps(source: Source) -> tuple[object, ...]:
    """What changes when the files do."""
    path = Path(os.path.expanduser(source.from_))
    files = [path] if path.is_file() else _all_files(path) if path.is_dir() else []
    return tuple((str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in files)


def _tables(
    source: Source, texts: Sequence[str]
) -> Iterator[tuple[str, Iterator[tuple[int, Mapping[str, Any]]]]]:
    """Yield the name of each file with its rows and their numbers."""
    path = Path(os.path.expanduser(source.from_))
    if path.is_file():
        yield path.name, _of_file(path, source, texts)
    elif path.is_dir() and any((path / name).exists() for name in ("state.json", "dataset_dict.json")):
        yield path.name, enumerate(_saved(path, source.split), start=1)
    elif path.is_dir():
        for file in _files_of(path, source.split):
            yield str(file.relative_to(path)), _of_file(file, source, texts)
    elif HUB_ID.fullmatch(source.from_) and path.suffix.lower() not in ENDINGS:
        yield source.from_, enumerate(_from_hub(source), start=1)
    else:
        raise CollapseError(f"{source.from_}: there is no such file or directory")


def _of_file(path: Path, source: Source, texts: Sequence[str]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    ending = path.suffix.lower()
    if ending in (".jsonl", ".json"):
        return read_json(path, source.encoding)
    if ending in (".csv", ".tsv"):
        return enumerate(_read_csv(path, source, texts), start=2)
    if ending in (".parquet", ".arrow"):
        return enumerate(_loaded(ending[1:], path), start=1)
    raise CollapseError(f"{path} is none of {', '.join(ENDINGS)}; save the rows as one of these")


def _all_files(path: Path) -> list[Path]:
    """The files of rows of a directory, in order; hidden ones are none."""
    found = (file for file in path.rglob("*") if file.suffix.lower() in ENDINGS and file.is_file())
    return sorted(
        file for file in found if not any(part.startswith(".") for part in file.relative_to(path).parts)
    )


def _files_of(path: Path, split: str | None) -> list[Path]:
    """Those of a split, where the files are called after splits."""
    files = _all_files(path)
    if not files:
        raise CollapseError(f"{path} holds no files that end in {', '.join(ENDINGS)}")
    named = {file: _split_of(file.relative_to(path)) for file in files}
    if split is None:
        if len({*named.values()} - {None}) > 1:
            there = ", ".join(sorted({name for name in named.values() if name}))
            raise CollapseError(f"{path} holds several splits ({there}); choose one with 'split'")
        return files
    chosen = [file for file in files if split in (named[file], _stem(file))]
    if not chosen:
        raise CollapseError(f"{path} holds no file of the split '{split}'")
    return chosen


def has_split(path: Path, split: str) -> bool:
    """Return whether a directory holds files of a split, or a data set that was saved with it."""
    if (path / "dataset_dict.json").exists():
        return (path / split).is_dir()
    files = _all_files(path) if path.is_dir() else []
    return any(split in (_split_of(file.relative_to(path)), _stem(file)) for file in files)


def _stem(file: Path) -> str:
    """The name of a file without its ending, and without the number of a shard."""
    return re.sub(r"-[0-9]+-of-[0-9]+$", "", file.stem)


def _split_of(file: Path) -> str | None:
    words = {word for part in file.parts for word in re.split(r"[^a-z]+", part.lower())}
    return next((name for name in SPLITS if name in words), None)


def _present(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row without what is null: files of columns have every key in every row and every message."""
    return {key: _without_nulls(value) for key, value in row.items() if value is not None}


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nulls(one) for key, one in value.items() if one is not None}
    return [_without_nulls(one) for one in value] if isinstance(value, list) else value


# --- text ------------------------------------------------------------------------------------------


def read_text(path: Path, encoding: str | None = None) -> str:
    """Return the text of a file, without the mark of its byte order."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise errors.unreadable(path, error) from None
    marked = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return content.decode(encoding or marked)
    except UnicodeDecodeError as error:
        raise CollapseError(
            f"{path} is not {encoding or 'UTF-8'} ({error}); name its encoding, such as "
            "'encoding: latin-1', or save it in that encoding"
        ) from None
    except LookupError:
        raise CollapseError(f"there is no encoding '{encoding}'; write utf-8 or latin-1") from None


def read_json(path: Path, encoding: str | None = None) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield the objects of a file with their numbers: those of one list, or one per line.

    The json module reads them, since the reader of the datasets library turns a column of dates into times.
    """
    text = read_text(path, encoding)
    if text.lstrip().startswith("["):
        rows = _parsed(path, 1, text)
        for number, row in enumerate(rows, start=1):
            yield number, _object(path, number, row)
        return
    # Only line feeds end lines: within a JSON string U+2028 and the like are characters.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, _object(path, number, _parsed(path, number, line))


def _parsed(path: Path, number: int, text: str) -> Any:
    try:
        value = json.loads(text)
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise errors.bad_row(path, number, "has half of a surrogate pair, which is no character") from None
    except (ValueError, RecursionError) as error:
        raise errors.bad_row(path, number, f"not JSON: {error}") from None
    return value


def _object(path: Path, number: int, row: Any) -> Mapping[str, Any]:
    if not isinstance(row, dict):
        raise errors.bad_row(path, number, 'expected an object, such as {"question": ..., "answer": ...}')
    return row


# --- what the datasets library reads ---------------------------------------------------------------


def _read_csv(path: Path, source: Source, texts: Sequence[str]) -> Sequence[Mapping[str, Any]]:
    """Return the rows of a table: cells as they are written, and numbers in columns of nothing else."""
    text = read_text(path, source.encoding)
    delimiter = source.delimiter or ("\t" if path.suffix.lower() == ".tsv" else ",")
    names = next(csv.reader(text.split("\n"), delimiter=delimiter), [])
    if twice := [name for name in names if names.count(name) > 1]:
        raise CollapseError(f"{path}: the header has the column '{twice[0]}' twice; give each its own name")
    marked = "utf-16" if path.read_bytes()[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    # As text: the library would read NA and None as nothing, and 007 as 7.
    rows = _loaded(
        "csv",
        path,
        features={name.strip("\r"): "string" for name in names},
        encoding=source.encoding or marked,
        sep=delimiter,
        keep_default_na=False,
    )
    numbers = {
        name
        for name in (rows[0] if rows else ())
        if name not in texts and all(not row[name] or NUMBER.fullmatch(row[name]) for row in rows)
    }
    return [{name: _cell(cell, name in numbers) for name, cell in row.items()} for row in rows]


def _cell(cell: str | None, is_number: bool) -> str | int | float | None:
    """An empty cell holds nothing."""
    if not cell:
        return None
    return (float(cell) if "." in cell else int(cell)) if is_number else cell


def _loaded(kind: str, path: Path, **options: Any) -> Sequence[Mapping[str, Any]]:
    """Return the rows that a reader of the datasets library finds in a file.

    Streaming reads them without writing them into a cache.
    """
    datasets = _datasets()
    if "features" in options:
        values = {name: datasets.Value(kind_) for name, kind_ in options["features"].items()}
        options["features"] = datasets.Features(values)
    files = {"train": glob.escape(str(path))}
    with _wording(path):
        return list(datasets.load_dataset(kind, data_files=files, split="train", streaming=True, **options))


def _saved(path: Path, split: str | None) -> Sequence[Mapping[str, Any]]:
    """Return the rows of a data set that was saved to disk."""
    datasets = _datasets()
    with _wording(path):
        found = datasets.load_from_disk(str(path), keep_in_memory=True)
    rows: Sequence[Mapping[str, Any]] = _split_of_many(found, str(path), split).to_list()
    return rows


def _from_hub(source: Source) -> Sequence[Mapping[str, Any]]:
    """Return the rows of a data set on the hub, at the commit that the provenance names."""
    datasets = _datasets()
    commit = _commit(source.from_, source.revision)
    try:
        found = datasets.load_dataset(source.from_, source.config, revision=commit, streaming=True)
        return list(_split_of_many(found, source.from_, source.split))
    except CollapseError:
        raise
    except Exception as error:
        raise errors.not_fetched(source.from_, error, "forget: <directory>") from None


@lru_cache
def _commit(hub_id: str, revision: str | None) -> str:
    """Return the commit that a revision of a data set on the hub is now."""
    from huggingface_hub import HfApi

    try:
        return str(HfApi().dataset_info(hub_id, revision=revision).sha)
    except Exception as error:
        raise errors.not_fetched(hub_id, error, "forget: <directory>") from None


def _split_of_many(found: Any, name: str, split: str | None) -> Any:
    if not isinstance(found, Mapping):
        return found
    if split is None and len(found) == 1:
        return next(iter(found.values()))
    if split not in found:
        what = f"has no split '{split}'" if split else "has several splits"
        raise CollapseError(f"{name} {what}; choose one with 'split': {', '.join(map(str, found))}")
    return found[split]


@contextmanager
def _wording(path: Path) -> Iterator[None]:
    """Say which file the datasets library could not read, in one sentence."""
    try:
        yield
    except CollapseError:
        raise
    except Exception as error:
        cause = error.__cause__ or error
        why = " ".join(str(cause).split())[:200]
        raise CollapseError(f"{path} cannot be read ({type(cause).__name__}: {why})") from None


def _datasets() -> Any:
    try:
        import datasets
    except ImportError:
        raise errors.missing_extra("datasets", "llm", "reading rows") from None
    return datasets
