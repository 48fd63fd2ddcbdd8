"""Images on disk with what is said of each: folders of classes, folders with metadata, and Parquet files."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from collapse_core import CollapseError, digest, environment, errors

METADATA = ("metadata.jsonl", "metadata.csv", "metadata.parquet")
TRAIN, TEST = "train", ("test", "validation", "valid", "val")
ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm")
ADVICE = 'it needs a line {{"file_name": ..., "{column}": ...}} for each image of the folder'


class Entry(NamedTuple):
    """An image that is not opened yet, and what is said of it."""

    name: str
    """What it is called; no other has this name."""
    source: Path | bytes
    """The file, or what is in it."""
    said: Any
    """Its class or caption."""
    others: Mapping[str, Any]
    """The row's other columns."""
    where: str
    """The file that says it, and the line."""


class Places(NamedTuple):
    """Where training images and held-out ones are; None where the folder does not divide them."""

    train: Sequence[Path]
    test: Sequence[Path] | None


def places(path: Path) -> Places:
    """Return where images are: folders or Parquet files, which those named train and test divide.

    Raises:
        CollapseError: There is neither.
    """
    if path.is_file():
        return Places([path], None)
    if not path.is_dir():
        raise CollapseError(f"{path}: cannot be read: no such file or directory")
    shards = sorted(file for file in path.rglob("*.parquet") if file.name not in METADATA)
    if shards:
        held_out = [file for file in shards if file.stem.startswith(TEST)]
        return Places([file for file in shards if file not in held_out], held_out or None)
    if not (path / TRAIN).is_dir():
        return Places([path], None)
    test = next(([path / name] for name in TEST if (path / name).is_dir()), None)
    return Places([path / TRAIN], test)


def entries(places: Sequence[Path], column: str, what: str) -> list[Entry]:
    """Return the images of some places, in order.

    Args:
        places: Folders or Parquet files.
        column: Which column says the class or the caption; folders of classes have none.
        what: What is looked for, in words.

    Raises:
        CollapseError: Something of them is missing or torn.
    """
    found = [entry for place in places for entry in _entries(place, column)]
    if not found:
        raise CollapseError(f"{places[0] if places else 'the folder'}: holds no {what}")
    return found


def metadata_file(folder: Path) -> Path | None:
    """Return the file that says what the images of a folder show."""
    return next((folder / name for name in METADATA if (folder / name).is_file()), None)


def provenance_of(path: Path) -> Mapping[str, object]:
    """Return digests of the metadata or Parquet files; of a folder of classes, the digest of its listing."""
    if not path.exists():
        return {}
    found: dict[str, object] = {}
    for place in (p for some in places(path) if some for p in some):
        file = place if place.is_file() else metadata_file(place)
        if file is not None:
            found[file.relative_to(path).as_posix() if path.is_dir() else file.name] = (
                environment.file_digest(file)
            )
        else:
            listing = [f"{f.relative_to(place)} {f.stat().st_size}" for _, f in _of_classes(place)]
            found[f"{place.name}/"] = digest(listing)
    return found


def _entries(place: Path, column: str) -> Iterator[Entry]:
    if place.is_file():
        yield from _of_parquet(place, column)
        return
    file = metadata_file(place)
    if file is None:
        for name, image in _of_classes(place):
            yield Entry(image.relative_to(place).as_posix(), image, name, {}, str(image))
        return
    names: set[str] = set()
    for number, row in _rows(file):
        _check(file, number, row, "file_name", column)
        if row["file_name"] in names:
            raise errors.bad_row(file, number, f"the image '{row['file_name']}' has a line already")
        names.add(row["file_name"])
        others = {key: value for key, value in row.items() if key not in ("file_name", column)}
        yield Entry(row["file_name"], place / row["file_name"], row[column], others, f"{file}:{number}")


def _of_classes(place: Path) -> Iterator[tuple[str, Path]]:
    """Yield the class, which is the name of its folder, and the file of each image."""
    for folder in sorted(found for found in place.iterdir() if found.is_dir()):
        for file in sorted(folder.rglob("*")):
            if file.suffix.lower() in ENDINGS:
                yield folder.name, file


def _check(file: Path, number: int, row: Any, *columns: str) -> None:
    """Refuse a row that has no text or number in a column."""
    for key in columns:
        value = row.get(key) if isinstance(row, dict) else None
        is_said = bool(value.strip()) if isinstance(value, str) else isinstance(value, (int, float))
        if not is_said or (key == "file_name" and not isinstance(value, str)):
            advice = ADVICE.format(column=columns[-1])
            raise errors.bad_row(file, number, f"has no text under '{key}'; {advice}")


def _rows(file: Path) -> list[tuple[int, Any]]:
    """Return the rows of a file of metadata, each with its line."""
    if file.suffix == ".parquet":
        return list(enumerate(_table(file).to_pylist(), start=1))
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise CollapseError(f"{file}: {errors.cannot_be_read(error)}") from None
    if file.suffix == ".csv":
        reader = csv.DictReader(text.splitlines())
        return [(reader.line_num, row) for row in reader]
    found = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                found.append((number, json.loads(line)))
            except ValueError as error:
                raise errors.bad_row(file, number, f"is no JSON ({error})") from None
    return found


def _of_parquet(file: Path, column: str) -> Iterator[Entry]:
    """Yield the images of a Parquet file as the datasets library writes it, with its bytes."""
    table = _table(file)
    names = _class_names(table.schema.metadata or {}, column)
    if "image" not in table.column_names or column not in table.column_names:
        raise CollapseError(
            f"{file}: needs the columns 'image' and '{column}'; it has {', '.join(table.column_names)}"
        )
    for number, row in enumerate(table.to_pylist(), start=1):
        _check(file, number, row, column)
        cell = row["image"].get("bytes") if isinstance(row["image"], dict) else row["image"]
        if not isinstance(cell, bytes):
            raise errors.bad_row(
                file, number, "holds no bytes of an image; save the images with the data set"
            )
        said = names[row[column]] if names and isinstance(row[column], int) else row[column]
        others = {key: value for key, value in row.items() if key not in ("image", column)}
        yield Entry(f"{file.stem}/{number}", cell, said, others, f"{file}:{number}")


def _table(file: Path) -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise errors.missing_extra("pyarrow", "diffusion", f"{file}: reading Parquet") from None
    try:
        return pyarrow.parquet.read_table(file)
    except OSError as error:
        raise errors.unreadable(file, error) from None
    except pyarrow.ArrowException as error:
        raise CollapseError(f"{file}: cannot be read as Parquet: {error}") from None


def _class_names(metadata: Mapping[bytes, bytes], column: str) -> Sequence[str]:
    """Return the names of classes that the datasets library wrote; nothing where there are none."""
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
        names: Sequence[str] = features[column].get("names", ())
    except (KeyError, ValueError, TypeError, AttributeError):
        return ()
    return names
