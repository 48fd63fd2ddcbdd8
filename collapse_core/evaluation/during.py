"""Running a recipe's evaluators on a model."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from collapse_core.contracts.checks import at_work, check_finite
from collapse_core.contracts.interfaces import Evaluator, Model
from collapse_core.contracts.seeds import derive_seed
from collapse_core.contracts.splits import NothingToCompareError, standing_in
from collapse_core.contracts.state import State
from collapse_core.contracts.types import Completion, Evaluation, Group, Metric
from collapse_core.errors import CollapseError
from collapse_core.evaluation.once import measured_once
from collapse_core.recipe.recipe import Recipe, Stage
from collapse_core.recipe.stopping import TOTAL
from collapse_core.run.journal import mean_reward
from collapse_core.run.run import Run
from collapse_core.runtime import progress


def measure(recipe: Recipe, run: Run, model: Model, stage: Stage, state: State) -> None:
    """Measure the run's model and record what was found; at the end, measure the baselines as well.

    Raises:
        CollapseError: The metric that the run is to stop by cannot be measured before the first iteration.
    """
    if stage == "before":
        _check_stop_metric(recipe, run, model, state)
    if recipe.evaluate.with_:
        run.enter("evaluate")
        run.processes.on_main(lambda: _measure(recipe, run, model, stage, state))


def check_stop(recipe: Recipe, run: Run, model: Model, groups: Sequence[Group], state: State) -> State:
    """The state with what the recipe's stop condition has found, where it is looked at now."""
    stop = recipe.stop_when
    if stop is None or state.iteration % stop.every:
        return state
    if stop.measured:
        found = _measured_for_stop(recipe, run, model, state)
        value = found["metrics"].get(stop.metric, {}).get("value")
    else:
        value = mean_reward(groups, None if stop.reward == TOTAL else stop.reward)
    return replace(state, stop_check=stop.next(state.stop_check, state.iteration, value))


def _check_stop_metric(recipe: Recipe, run: Run, model: Model, state: State) -> None:
    if recipe.stop_when is None or recipe.stop_when.measured is None:
        return
    evaluator, metric = recipe.stop_when.measured
    found = _measured_for_stop(recipe, run, model, state)
    if metric not in found["metrics"]:
        why = found.get("missing", {}).get(metric, f"it gives {', '.join(found['metrics']) or 'nothing'}")
        raise CollapseError(
            f"the run is to stop by '{metric}', which the evaluator '{evaluator.use}' does not measure here: "
            f"{why}; change stop_when"
        )


def _measured_for_stop(recipe: Recipe, run: Run, model: Model, state: State) -> dict[str, Any]:
    run.enter("evaluate")
    return run.processes.on_main(lambda: measure_for_stop(recipe, model, state.references))


def measure_for_stop(recipe: Recipe, model: Model, references: Mapping[str, Completion]) -> dict[str, Any]:
    """What the evaluator of the stop condition finds on the data that the condition names.

    Raises:
        CollapseError: The model has weights that are no numbers.
    """
    assert recipe.stop_when is not None
    assert recipe.stop_when.measured is not None
    check_finite(model)
    data = recipe.stop_when.data
    seen = recipe.model_copy(update={"data": data}) if data else recipe
    return _find(seen, recipe.stop_when.measured[0], model, references)


def _measure(recipe: Recipe, run: Run, model: Model, stage: Stage, state: State) -> None:
    found = evaluate_each(recipe, model, state.references, shared=stage == "before")
    for evaluator, row in zip(recipe.evaluate.with_, found, strict=True):
        if stage == "before" and (unknown := _unknown(evaluator, row["metrics"])):
            progress.announce(unknown)
            row["notes"] = [*row.get("notes", ()), unknown]
        run.evaluated({"model": stage, "iteration": state.iteration} | row)
    if stage == "after":
        for name, loader in recipe.evaluate.baselines.items():
            for row in evaluate_each(recipe, recipe.load_model(loader), state.references, shared=True):
                run.evaluated({"model": name, "iteration": None} | row)


def _unknown(evaluator: Evaluator, metrics: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Why there is little to forget, where the model did not know it."""
    name, lowest = evaluator.known_from or ("", 0.0)
    if name not in metrics or metrics[name]["value"] >= lowest:
        return None
    return (
        f"the model hardly knew what it is to forget: {name} is {metrics[name]['value']:.3g} before "
        f"unlearning, where a model that knows it reaches {lowest:g} or more"
    )


def evaluate(recipe: Recipe, model: Model, references: Mapping[str, Completion]) -> list[dict[str, Any]]:
    """What each evaluator of the recipe finds in the model, as plain rows; see `evaluate_each`."""
    return list(evaluate_each(recipe, model, references))


def evaluate_each(
    recipe: Recipe, model: Model, references: Mapping[str, Completion], *, shared: bool = False
) -> Iterator[dict[str, Any]]:
    """Yield what each evaluator of the recipe finds in the model, as a plain row, once it has found it.

    The seed does not depend on when it is measured, so that differences are the model's.

    Args:
        recipe: Names the evaluators and the data.
        model: What is measured.
        references: By prompt id, the reference answers, which stand in where there is no true one.
        shared: Whether other runs measure the same model, so that what is found is kept in the cache.
    """
    if recipe.evaluate.with_:
        check_finite(model)
    fingerprint = model.fingerprint() if shared else None
    for evaluator in recipe.evaluate.with_:
        measure_now = partial(_find, recipe, evaluator, model, references)
        yield measured_once(recipe, evaluator, fingerprint, references, measure_now)


def _find(
    recipe: Recipe, evaluator: Evaluator, model: Model, references: Mapping[str, Completion]
) -> dict[str, Any]:
    seed = derive_seed(recipe.seed, "evaluate", evaluator.use)
    with at_work("evaluator", evaluator.use), standing_in(references) as notes:
        try:
            found = evaluator.evaluate(model, recipe.data, seed)
        except NothingToCompareError as error:
            found = Evaluation({}, missing={evaluator.use: str(error)})
    return evaluation_row(evaluator, found, recipe.keep_text, notes)


def evaluation_row(
    evaluator: Evaluator, found: Evaluation, keep_text: bool, notes: Sequence[str] = ()
) -> dict[str, Any]:
    """What an evaluator found, as plain data; "missing" and "notes" are there where there are any.

    So is "definition" where it is not the first.
    """
    metrics, missing = _finite(found)
    more = {
        "missing": missing,
        "notes": list(notes),
        "definition": evaluator.definition if evaluator.definition > 1 else None,
    }
    return {
        "evaluator": evaluator.use,
        "metrics": {name: _metric_row(metric) for name, metric in metrics.items()},
        "examples": [_plain(dict(one)) for one in found.examples] if keep_text else [],
    } | {key: value for key, value in more.items() if value}


def _metric_row(metric: Metric) -> dict[str, Any]:
    """Plain data; a number of questions only where there is one."""
    row = asdict(metric)
    return row if metric.num is not None else {key: value for key, value in row.items() if key != "num"}


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
