"""The recipes that come with the project, in a checkout and in an installed package."""

import shutil
from importlib.resources import as_file
from importlib.resources import files as resources
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath

FOLDER = "recipes"


def shipped_recipes() -> Traversable:
    """Find the folder of the shipped recipes."""
    package = resources("collapse_core")
    packed = package / "shipped_recipes"
    return packed if packed.is_dir() else Path(str(package)).parent / FOLDER


def shipped_names() -> list[str]:
    """List the shipped recipes by their paths within the folder, such as "toy/no_collapse.yaml"."""
    with as_file(shipped_recipes()) as folder:
        return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.yaml"))


def copy_shipped(directory: Path) -> None:
    """Copy the shipped recipes into a new directory."""
    with as_file(shipped_recipes()) as folder:
        shutil.copytree(folder, directory, copy_function=shutil.copyfile)


def where_to_find(missing: Path) -> str:
    """Say how to get a recipe that is not there."""
    name = _shipped_as(missing)
    if name is None:
        return (
            f"'collapse init {FOLDER}' writes those that come with collapse, 'collapse init recipe' a new one"
        )
    path = Path(FOLDER, name)
    return f"did you mean {path}?" if path.exists() else f"'collapse init {FOLDER}' writes {path}"


def _shipped_as(path: Path) -> str | None:
    """The shipped recipe whose path is the longest end of `path`."""
    parts, known = PurePosixPath(path.as_posix()).parts, set(shipped_names())
    ends = ("/".join(parts[start:]) for start in range(len(parts)))
    return next((end for end in ends if end in known), None)
