"""Measuring after the fact: the model that a run has ended with, any other model, or published logs."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from collapse_core import errors
from collapse_core.contracts.interfaces import Dataset, Evaluator, Model
from collapse_core.contracts.state import State
from collapse_core.errors import CollapseError, Problem, RecipeError
from collapse_core.evaluation.during import evaluate, evaluate_each, evaluation_row
from collapse_core.recipe.document import Document, read_file
from collapse_core.recipe.loading import parse_recipe
from collapse_core.recipe.overrides import split_at_commas, yaml_value
from collapse_core.recipe.recipe import EvaluateWhen, Recipe
from collapse_core.recipe.stored import stored_document
from collapse_core.run.checkpoints import checkpoints
from collapse_core.runtime import files
from collapse_core.runtime.decisions import recorded_in

Row = dict[str, Any]
AFTER = "after"


def is_run(target: str) -> bool:
    """Whether this names a run directory, rather than a model."""
    return (Path(target) / "resolved.json").exists()


def examined_recipe(
    target: str | None, recipe: Path | None, evaluators: Sequence[str], overrides: Sequence[str]
) -> Recipe:
    """The recipe to measure by: the one given, else the run's own, with other evaluators if there are any.

    Args:
        target: A run directory, or what names a model; None to measure no model.
        recipe: A recipe file that wins over the run's.
        evaluators: As `--with` takes them; none leaves those of the recipe.
        overrides: "path=value" texts.

    Raises:
        CollapseError: Nothing says how to measure.
        RecipeError: The recipe is wrong.
    """
    if recipe:
        document = read_file(recipe)
    elif target and is_run(target):
        document = stored_document(Path(target))
    else:
        raise _no_recipe(target)
    if evaluators:
        _take_evaluators(document, evaluators)
    examined = parse_recipe(document, overrides)
    if not examined.evaluate.with_:
        raise CollapseError(f"{recipe or target} names no evaluators; name some with --with")
    return examined


def _no_recipe(target: str | None) -> CollapseError:
    if target is None:
        return CollapseError("nothing says what to measure; give a run, or a recipe with --recipe")
    return CollapseError(
        f"{target} is no run, so nothing says what to measure it by; give a recipe with --recipe, which says "
        "the data, how the model is loaded, and the evaluators"
    )


def examine(target: str, recipe: Recipe, *, baselines: bool = False) -> list[Row]:
    """What the recipe's evaluators find in a model, as rows such as a run's evaluations.jsonl has.

    Args:
        target: A run directory, whose last checkpoint is measured; else a directory or a hub id of a model.
        recipe: Names the data and the evaluators, and how a model is loaded.
        baselines: Whether to measure the baselines of the recipe as well.

    Raises:
        CollapseError: There is no such model.
    """
    with recorded_in(Path(target) / "environment.json", writable=False):
        return list(_examined(target, recipe, baselines))


def _examined(target: str, recipe: Recipe, baselines: bool) -> Iterator[Row]:
    model, state = _of_run(Path(target)) if is_run(target) else (_of_path(target, recipe), None)
    references = state.references if state else {}
    overlap = _overlap(recipe.data)
    for row in evaluate(recipe, model, references):
        yield {"model": AFTER, "iteration": state.iteration if state else None} | row | overlap
    if baselines:
        for name, loader in recipe.evaluate.baselines.items():
            for row in evaluate_each(recipe, recipe.load_model(loader), references, shared=True):
                yield {"model": name, "iteration": None} | row | overlap


def _overlap(data: Dataset) -> Row:
    """What the data say of their overlap; evaluators may measure where a side cannot be read."""
    try:
        said = data.describe_overlap()
    except CollapseError as error:
        said = f"not known, {error}"
    return {"overlap": said} if said else {}


def log_readers(texts: Sequence[str]) -> list[Evaluator]:
    """The evaluators that these texts name, as `--with` takes them, without any recipe.

    Raises:
        RecipeError: There is no such evaluator, or its fields are wrong.
    """
    problems: list[Problem] = []
    made: list[Evaluator] = []
    for written, piece in _written(texts):
        try:
            made += EvaluateWhen.model_validate({"with": [piece]}).with_
        except ValidationError as error:
            for detail in error.errors():
                path = ".".join(map(str, detail["loc"][2:]))
                problems.append(Problem(written, 0, 0, path, detail["msg"]))
    if problems:
        raise RecipeError(problems)
    return made


def examine_logs(logs: Sequence[Path], evaluators: Sequence[Evaluator]) -> Iterator[Row]:
    """What evaluators read off published logs; no model is loaded.

    Raises:
        CollapseError: An evaluator reads no logs, or not these.
    """
    for evaluator in evaluators:
        found = evaluator.read_logs(logs)
        yield {"model": AFTER, "iteration": None} | evaluation_row(evaluator, found, keep_text=True)


# --- models ----------------------------------------------------------------------------------------


def _of_run(directory: Path) -> tuple[Model, State]:
    """The model of a run at its last checkpoint, and the state of the run there.

    Every model can be saved and restored exactly, while not every exported one can be opened again.
    """
    recipe = parse_recipe(stored_document(directory))
    found = checkpoints(directory)
    if not found:
        raise CollapseError(
            f"{directory} has no whole checkpoint to measure; measure its exported model instead: "
            f"'collapse eval {directory / 'model'} --recipe {directory / 'recipe.yaml'}'"
        )
    if names := files.damaged(found[-1]):
        raise CollapseError(
            f"the checkpoint {found[-1]} is damaged ({', '.join(names)}); where the run is not finished, "
            f"'collapse resume {directory}' makes it anew; otherwise measure the exported model with "
            f"'collapse eval {directory / 'model'} --recipe {directory / 'recipe.yaml'}'"
        )
    model = recipe.load_model()
    model.restore(found[-1])
    return model, State.from_json(files.read_json(found[-1] / "state.json"), {})


def _of_path(path: str, recipe: Recipe) -> Model:
    """A model from a directory or the hub, loaded as the recipe's own is, and taught nothing."""
    fields = type(recipe.model).model_fields
    if "path" not in fields:
        raise CollapseError(
            f"the model '{recipe.model.use}' is made from data and cannot be opened from '{path}' (it has no "
            "field 'path'); give the run directory instead"
        )
    instead: dict[str, Any] = {"path": path} | ({"teach": None} if "teach" in fields else {})
    return recipe.load_model(recipe.model.model_copy(update=instead))


# --- evaluators ------------------------------------------------------------------------------------


def _take_evaluators(document: Document, texts: Sequence[str]) -> None:
    """Put the evaluators that these texts name in the place of the recipe's own."""
    try:
        document.put(("evaluate", "with"), [], "--with")
    except TypeError:
        raise RecipeError([document.problem(("evaluate",), "expected a mapping")]) from None
    for number, (written, piece) in enumerate(_written(texts)):
        document.put(("evaluate", "with", number), piece, written)


def _written(texts: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Each evaluator that the texts name, with where it was written."""
    for text in texts:
        yield from ((f"--with {text}", piece) for piece in named_evaluators(text))


def named_evaluators(text: str) -> list[Any]:
    """Evaluators as a recipe has them, from "name", "name:field=value,...", YAML, or a file of YAML.

    Raises:
        RecipeError: It cannot be read.
    """
    written = f"--with {text}"
    if text.endswith((".yaml", ".yml")):
        try:
            value = yaml_value(Path(text).read_text(encoding="utf-8"), text)
        except (OSError, UnicodeDecodeError) as error:
            raise RecipeError([Problem(text, 0, 0, "", errors.cannot_be_read(error))]) from None
        return value if isinstance(value, list) else [value]
    if text.startswith(("{", "[")):
        value = yaml_value(text, written)
        return value if isinstance(value, list) else [value]
    name, colon, fields = text.partition(":")
    evaluator: dict[str, Any] = {"use": name}
    for field in split_at_commas(fields) if colon else ():
        key, equals, said = field.partition("=")
        if not equals:
            what = "expected name:field=value, or a mapping such as '{use: name, field: value}'"
            raise RecipeError([Problem(written, 0, 0, "", what)])
        evaluator[key] = yaml_value(said, written, key)
    return [evaluator]
