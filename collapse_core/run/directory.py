"""The run directory: laid out for a new run, or opened to go on with one."""

import itertools
import shlex
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from collapse_core.errors import CollapseError
from collapse_core.plugins.discovery import installed_plugins
from collapse_core.recipe.building import as_yaml
from collapse_core.recipe.recipe import Recipe
from collapse_core.recipe.stored import check_sources
from collapse_core.run.environment import provenance
from collapse_core.run.joining import join
from collapse_core.run.run import Run
from collapse_core.runtime import files
from collapse_core.runtime.digests import digest, text_digest
from collapse_core.runtime.layout import FOLDERS
from collapse_core.runtime.processes import Processes


def create_run(
    recipe: Recipe,
    source: str | None = None,
    manifest: Mapping[str, Any] | None = None,
    directory: Path | None = None,
) -> Run:
    """Lay out the directory of a new run and open it.

    Args:
        recipe: What is to be run.
        source: The recipe as its author wrote it; by default the recipe as YAML, every default spelled out.
        manifest: Where the result will have come from; by default `environment.provenance`.
        directory: Where; by default runs/<recipe>/<time>-<digest>. It must hold no run.

    Several processes call it together: the main one lays the directory out, and all open it.

    Raises:
        CollapseError: The directory already holds something.
    """
    processes = join()
    text = as_yaml(recipe) if source is None else source

    def lay_out() -> Path:
        written = {"directory": str(Path.cwd()), "overrides": [], "digest": text_digest(text)}
        made = manifest
        if made is None:
            made = provenance(recipe, installed_plugins(), sys.argv) | {"recipe": written}
        return _lay_out(recipe, text, made, directory)

    laid_out = processes.on_main(lay_out)
    return _opened(laid_out, recipe, processes)


def _lay_out(recipe: Recipe, source: str, manifest: Mapping[str, Any], directory: Path | None) -> Path:
    resolved = recipe.resolved()
    if directory is None:
        directory = _new_directory(recipe.name, digest(resolved)[:8])
    if directory.exists() and any(directory.iterdir()):
        raise _in_use(directory)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in FOLDERS:
        (directory / name).mkdir(parents=True, exist_ok=True)
    files.write_text(directory / "recipe.yaml", source)
    files.write_json(directory / "environment.json", manifest)
    files.write_json(directory / "resolved.json", {"digest": digest(resolved), "recipe": resolved})
    return directory


def _new_directory(name: str, mark: str) -> Path:
    """A directory of its own for a run, also where another one began in the same second."""
    began = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    for number in itertools.count(1):
        directory = Path("runs") / name / (f"{began}-{mark}" + (f"-{number}" if number > 1 else ""))
        directory.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            directory.mkdir(mode=0o700)
            break
    return directory


def _in_use(directory: Path) -> CollapseError:
    if (directory / "resolved.json").exists():
        return CollapseError(
            f"{directory} already holds a run; give another --run-dir, or continue it with "
            f"'collapse resume {shlex.quote(str(directory))}'"
        )
    return CollapseError(f"{directory} is not empty, and holds no run; empty it or give another --run-dir")


def open_run(directory: Path, recipe: Recipe) -> Run:
    """Open an existing run, to go on with it; see `stored.load_stored` for its recipe.

    Raises:
        CollapseError: It is finished, or another process works on it.
        RecipeError: A file that it began with has changed since.
    """
    if is_finished(directory):
        named = shlex.quote(str(directory))
        raise CollapseError(f"{directory} is finished; read its report with 'collapse report {named}'")
    processes = join()
    processes.on_main(lambda: check_sources(directory, recipe))
    return _opened(directory, recipe, processes)


def is_finished(directory: Path) -> bool:
    """Whether the run says that it has ended; a status that cannot be read says nothing."""
    try:
        return bool(files.read_json(directory / "status.json")["status"] == "finished")
    except (FileNotFoundError, ValueError, LookupError, TypeError):
        return False


def _opened(directory: Path, recipe: Recipe, processes: Processes) -> Run:
    """The run as each of the processes opens it; if one cannot, none does."""
    opened: list[Run] = []

    def open_() -> None:
        if not directory.is_dir():
            raise CollapseError(
                f"{directory} is not there on every machine; put the run on a disk that all of them share"
            )
        opened.append(Run(directory, recipe, processes))

    processes.gather(open_)
    return opened[0]
