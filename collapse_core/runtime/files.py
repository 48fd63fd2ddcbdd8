"""Writing so that a kill, at any moment, leaves either the old file or the new one."""

import errno
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from collapse_core.errors import CollapseError
from collapse_core.runtime.digests import file_digest

COMPLETE = "COMPLETE"
"""The file that is written last into a directory, and without which it does not count."""


DRAFT = ".draft"
"""How the name of a file ends that is still being written."""


SURROGATES = "backslashreplace"
"""How half a character is written that UTF-8 does not know: as JSON does, so that it is read back."""


def write_text(path: Path, text: str) -> None:
    """Replace a file atomically and durably."""
    _write(path, [text])


def write_tables(path: Path, value: Mapping[str, Any]) -> None:
    """Replace a file atomically by a JSON object, of whose tables one row at a time is held as text.

    Args:
        path: The file.
        value: Plain data by key, or an iterator over the keys and values of an object.
    """
    _write(path, _pieces(value, path))


def _pieces(value: Mapping[str, Any], path: Path) -> Iterator[str]:
    separator = "{\n"
    for key, piece in value.items():
        yield f"{separator}{json.dumps(key)}: "
        separator = ",\n"
        if not isinstance(piece, Iterator):
            yield _dumped(piece, path)
            continue
        before = "{\n"
        for name, row in piece:
            yield f"{before}{json.dumps(name, ensure_ascii=False)}: {_dumped(row, path)}"
            before = ",\n"
        yield "{}" if before == "{\n" else "\n}"
    yield "\n}\n"


def _write(path: Path, pieces: Iterable[str]) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}{DRAFT}")
    try:
        with naming(path), draft.open("w", encoding="utf-8", errors=SURROGATES) as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """Replace a file atomically by indented JSON."""
    write_text(path, _dumped(value, path, indent=2) + "\n")


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Replace a file atomically by one JSON object per line."""
    write_text(path, "".join(_line(row, path) for row in rows))


def append_line(path: Path, row: Mapping[str, Any]) -> None:
    """Append one JSON object as a line, durably."""
    line = _line(row, path)
    with naming(path), path.open("a", encoding="utf-8", errors=SURROGATES) as file:
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The JSON objects of a file, a line each; a torn last line is dropped, no file is no lines."""
    if not path.exists():
        return []
    whole, _, _torn = path.read_bytes().rpartition(b"\n")
    return [json.loads(line) for line in whole.split(b"\n")] if whole else []


def read_json(path: Path) -> Any:
    """The value that a JSON file holds."""
    return json.loads(path.read_text(encoding="utf-8"))


def _line(row: Mapping[str, Any], path: Path) -> str:
    return _dumped(row, path) + "\n"


def _dumped(value: Any, path: Path, indent: int | None = None) -> str:
    """JSON, which knows no NaN and no infinity."""
    try:
        return json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise CollapseError(
            f"{path} cannot be written, since {_unfit(value)} is not JSON: {error}"
        ) from error


def _unfit(value: Any, where: str = "") -> str:
    """Which piece of a value is no JSON."""
    pieces: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, Mapping):
        pieces = value.items()
    elif isinstance(value, list | tuple):
        pieces = enumerate(value)
    for key, piece in pieces:
        try:
            json.dumps({str(key): piece}, allow_nan=False)
        except (TypeError, ValueError):
            return _unfit(piece, f"{where}.{key}".strip("."))
    return f"'{where}' = {value!r}" if where else repr(value)


DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
"""What is the disk's fault, whatever was writing."""


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name the file in what the operating system refuses while the block runs, such as a full disk.

    Libraries written in Rust, such as safetensors and tokenizers, raise errors of their own for that, which
    end with the system's number.
    """
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    except Exception as error:
        found = re.search(r"\(os error (\d+)\)", str(error))
        if found is None or (number := int(found[1])) not in DISK:
            raise
        raise OSError(number, os.strerror(number), str(path)) from error


def seal(directory: Path) -> None:
    """Mark a directory as whole, once everything in it is on disk, and record the digest of each file."""
    digests: dict[str, str] = {}
    for path in sorted(directory.rglob("*")):
        if path.is_file() and path != directory / COMPLETE:
            with path.open("rb") as file:
                os.fsync(file.fileno())
            digests[path.relative_to(directory).as_posix()] = file_digest(path)
    write_json(directory / COMPLETE, digests)


def is_sealed(directory: Path) -> bool:
    """Whether `seal` was the last thing done to the directory."""
    return (directory / COMPLETE).exists()


def damaged(directory: Path) -> list[str]:
    """The files of a sealed directory that are gone, or differ from what `seal` recorded.

    A seal of an early version recorded nothing; then none is known.
    """
    try:
        text = (directory / COMPLETE).read_text(encoding="utf-8")
        digests = dict(json.loads(text)) if text else {}
    except (OSError, ValueError, TypeError):
        return [COMPLETE]
    paths = {name: directory / name for name in digests}
    return [name for name, path in paths.items() if not path.is_file() or file_digest(path) != digests[name]]


def drop_drafts(directory: Path) -> None:
    """Remove what a process was writing into a directory when it was killed; nobody may work on it now."""
    for path in directory.glob(f".*{DRAFT}"):
        remove(path)


def drop_dead_drafts(path: Path) -> None:
    """Remove the drafts of a file that `write_text` began in processes that are no more."""
    for draft in path.parent.glob(f".*{DRAFT}"):
        name, _, process = draft.name.removesuffix(DRAFT).rpartition(".")
        if name == f".{path.name}" and process.isdigit() and not _is_alive(int(process)):
            draft.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def remove(path: Path) -> None:
    """Remove a file or a directory, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def fresh_directory(path: Path) -> Path:
    """An empty directory at `path`, whatever was there."""
    remove(path)
    path.mkdir(parents=True)
    return path
