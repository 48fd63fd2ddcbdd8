"""Where models come from. Loads nothing heavy."""

import os
from collections.abc import Mapping
from pathlib import Path

from collapse_core import CollapseError, environment


def own_source() -> str:
    """Return a digest of the code that makes and teaches models."""
    return environment.source_digest(Path(__file__).parent)


def local_directory(path: str, marker: str) -> Path | None:
    """Return the directory that a recipe names, or None when it names something on the hub.

    Args:
        path: A directory, or a name on the hub.
        marker: The file that such a directory has.

    Raises:
        CollapseError: It looks like a directory, but holds no such file.
    """
    folder = Path(os.path.expanduser(path))
    if (folder / marker).is_file():
        return folder
    if folder.is_dir() or path.startswith(("/", ".", "~")):
        raise CollapseError(f"{folder} holds no {marker}; give the directory of a saved model")
    return None


def provenance_of(path: str, revision: str) -> Mapping[str, object]:
    """Return digests of the files of a pipeline; the hub's name and revision where it is not local."""
    folder = local_directory(path, "model_index.json")
    if folder is None:
        return {"hub": path, "revision": revision}
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): environment.file_digest(file) for file in files}


def variant_of(folder: Path) -> str | None:
    """Return "fp16" where a saved model has only such files of weights; None where it has plain ones."""
    weights = [file.name for ending in ("safetensors", "bin") for file in folder.rglob(f"*.{ending}")]
    halves = [name for name in weights if ".fp16." in name or ".fp16-" in name]
    return "fp16" if halves and len(halves) == len(weights) else None
