"""Running a recipe's evaluators on a model."""

from dataclasses import asdict
from typing import Any

from collapse_core.contracts.interfaces import Evaluator, Model
from collapse_core.contracts.seeds import derive_seed
from collapse_core.contracts.types import Evaluation
from collapse_core.recipe.recipe import Recipe, Stage
from collapse_core.run.run import Run


def measure(recipe: Recipe, run: Run, model: Model, stage: Stage, iteration: int) -> None:
    """Measure the run's model and record what was found; at the end, measure the baselines as well."""
    if recipe.evaluate.with_:
        run.enter("evaluate")
        run.processes.on_main(lambda: _measure(recipe, run, model, stage, iteration))


def _measure(recipe: Recipe, run: Run, model: Model, stage: Stage, iteration: int) -> None:
    for row in evaluate(recipe, model):
        run.evaluated({"model": stage, "iteration": iteration} | row)
    if stage == "after":
        for name, loader in recipe.evaluate.baselines.items():
            for row in evaluate(recipe, recipe.load_model(loader)):
                run.evaluated({"model": name, "iteration": None} | row)


def evaluate(recipe: Recipe, model: Model) -> list[dict[str, Any]]:
    """What each evaluator of the recipe finds in the model, as plain rows.

    The seed does not depend on when it is measured, so that differences are the model's.
    """
    rows = []
    for evaluator in recipe.evaluate.with_:
        found = evaluator.evaluate(model, recipe.data, derive_seed(recipe.seed, "evaluate", evaluator.use))
        rows.append(evaluation_row(evaluator, found, recipe.keep_text))
    return rows


def evaluation_row(evaluator: Evaluator, found: Evaluation, keep_text: bool) -> dict[str, Any]:
    """What an evaluator found, as plain data; "missing" is there where metrics are."""
    return {
        "evaluator": evaluator.use,
        "metrics": {name: asdict(metric) for name, metric in found.metrics.items()},
        "examples": [dict(example) for example in found.examples] if keep_text else [],
    } | ({"missing": dict(found.missing)} if found.missing else {})
