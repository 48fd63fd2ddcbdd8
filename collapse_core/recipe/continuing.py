"""`from: RUN` in the place of a model: the one that a run has ended with, to forget the next request."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from collapse_core.errors import RecipeError
from collapse_core.recipe.document import Document
from collapse_core.recipe.renamed import KeyPath
from collapse_core.runtime import files
from collapse_core.runtime.layout import MODEL


def continue_from_runs(document: Document) -> None:
    """Replace `from: RUN` of the model, and of baselines, by how the exported model of that run is opened.

    Raises:
        RecipeError: There is no such run, or its model cannot be opened from a directory.
    """
    for path, mapping in list(_models(document.data)):
        if "from" in mapping:
            made = _opened(document, path, mapping)
            mapping.clear()
            mapping.update(made)


def _models(recipe: Any) -> Iterator[tuple[KeyPath, dict[str, Any]]]:
    evaluate = recipe.get("evaluate")
    baselines = evaluate.get("baselines") if isinstance(evaluate, dict) else None
    places: dict[KeyPath, Any] = {("model",): recipe.get("model")}
    if isinstance(baselines, dict):
        places |= {("evaluate", "baselines", name): model for name, model in baselines.items()}
    for path, model in places.items():
        if isinstance(model, dict):
            yield path, model


def _opened(document: Document, path: KeyPath, mapping: dict[str, Any]) -> dict[str, Any]:
    """The fields of the run's model, with those given here, opened from where it was exported to."""
    run = Path(os.path.expanduser(str(mapping["from"]))).resolve()
    more = {key: value for key, value in mapping.items() if key != "from"}
    problem = ""
    base: dict[str, Any] = {}
    if not (run / "resolved.json").exists():
        problem = f"{run} holds no run (there is no resolved.json in it)"
    elif not (run / MODEL).is_dir():
        problem = f"{run} has no exported model; go on with 'collapse resume {run}', if it is not finished"
    else:
        base = files.read_json(run / "resolved.json")["recipe"]["model"]
        if "path" not in base:
            problem = f"the model '{base['use']}' of {run} cannot be opened from a directory"
        elif more.get("use", base["use"]) != base["use"]:
            problem = f"the model of {run} is a '{base['use']}', and cannot be opened as '{more['use']}'"
    if problem:
        raise RecipeError([document.problem((*path, "from"), problem)])
    return base | ({"teach": None} if "teach" in base else {}) | more | {"path": str(run / MODEL)}


def previous_run(model: Any) -> Path | None:
    """The run that exported the model of a recipe; None where it came from elsewhere.

    Args:
        model: The model of a resolved recipe, as plain data.
    """
    path = Path(os.path.expanduser(str(model.get("path") or "")))
    is_of_run = path.name == MODEL and (path.parent / "resolved.json").exists()
    return path.parent if is_of_run else None
