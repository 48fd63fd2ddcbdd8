"""Running a recipe's evaluators on a model."""

import math
from dataclasses import asdict, replace
from typing import Any

from collapse_core.contracts.checks import at_work
from collapse_core.contracts.interfaces import Evaluator, Model
from collapse_core.contracts.seeds import derive_seed
from collapse_core.contracts.types import Evaluation, Metric
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
        with at_work("evaluator", evaluator.use):
            found = evaluator.evaluate(
                model, recipe.data, derive_seed(recipe.seed, "evaluate", evaluator.use)
            )
        rows.append(evaluation_row(evaluator, found, recipe.keep_text))
    return rows


def evaluation_row(evaluator: Evaluator, found: Evaluation, keep_text: bool) -> dict[str, Any]:
    """What an evaluator found, as plain data; "missing" is there where metrics are."""
    metrics, missing = _finite(found)
    return {
        "evaluator": evaluator.use,
        "metrics": {name: asdict(metric) for name, metric in metrics.items()},
        "examples": [_plain(dict(one)) for one in found.examples] if keep_text else [],
    } | ({"missing": missing} if missing else {})


def _finite(found: Evaluation) -> tuple[dict[str, Metric], dict[str, str]]:
    """The metrics that are finite numbers, and why the others are missing; other intervals have no ends."""
    metrics: dict[str, Metric] = {}
    missing = dict(found.missing)
    for name, metric in found.metrics.items():
        if not math.isfinite(metric.value):
            missing[name] = f"it came out as {metric.value}, which is no measurement"
            continue
        ends = (metric.low, metric.high)
        known = all(end is not None and math.isfinite(end) for end in ends)
        metrics[name] = metric if known or ends == (None, None) else replace(metric, low=None, high=None)
    return metrics, missing


def _plain(value: Any) -> Any:
    """Plain data without numbers that JSON does not know; they become None."""
    if isinstance(value, dict):
        return {key: _plain(piece) for key, piece in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(piece) for piece in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
