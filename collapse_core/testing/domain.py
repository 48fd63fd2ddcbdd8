"""What is checked of what makes sense together only: data, models, samplers, updaters, evaluators."""

import json
import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from pydantic import ConfigDict

from collapse_core.contracts.interfaces import Dataset, Evaluator, Model, ModelLoader, Sampler, Updater
from collapse_core.contracts.types import Evaluation, Iteration, Kept, Prompt, PromptSet
from collapse_core.errors import CollapseError
from collapse_core.report.tiles import tile

# --- data and models -------------------------------------------------------------------------------


def check_dataset(dataset: Dataset) -> None:
    """Check that a data set has its splits, by unique ids, and gives true answers only when asked to.

    What is neither question nor answer must stay with each prompt, with true answers and without.
    """
    name = type(dataset).__name__
    _check_splits(dataset)
    for split in ("forget", "retain"):
        prompts = dataset.load(split)
        assert len(prompts), f"the split '{split}' of {name} is empty"
        ids = [prompt.id for prompt in prompts]
        assert len(set(ids)) == len(ids), f"the split '{split}' of {name} has two prompts of one id"
        assert list(dataset.load(split)) == list(prompts), f"{name} loads '{split}' differently each time"
        json.dumps([(p.content, p.target, dict(p.extra), dict(p.columns)) for p in prompts])
        asked = dataset.load(split, targets=False)
        assert [p.id for p in asked] == ids, f"{name} loads other prompts without their targets"
        assert [p.content for p in asked] == [p.content for p in prompts], f"{name} asks differently"
        for prompt in asked:
            assert prompt.target is None, f"{name} gives the true answer of {prompt.id} unasked"
            assert not prompt.extra, f"{name} gives companion columns of {prompt.id} with targets=False"
        for prompt, shown in zip(prompts, asked, strict=True):
            assert shown.columns == prompt.columns, f"{name} drops or adds columns of {prompt.id} by targets"
        for prompt in prompts[:3]:
            _check_picture(dataset, prompt)
    try:
        dataset.load("no such split")
    except CollapseError:
        return
    raise AssertionError(f"{name} loads a split that does not exist")


def _check_splits(dataset: Dataset) -> None:
    """Whether the splits that the data set says it has are those that can be loaded."""
    name, known = type(dataset).__name__, dataset.splits()
    if known is None:
        return
    assert {"forget", "retain"} <= set(known), f"{name}.splits() lacks 'forget' or 'retain'"
    assert len(set(known)) == len(known), f"{name}.splits() names a split twice"
    for split in known:
        try:
            dataset.load(split, targets=False)
        except CollapseError as error:
            raise AssertionError(f"{name}.splits() names '{split}', which does not load: {error}") from error


def _check_picture(dataset: Dataset, prompt: Prompt) -> None:
    if prompt.target is None:
        return
    picture = dataset.picture(prompt.target)
    try:
        drawn = tile(picture)
    except Exception as error:
        raise AssertionError(f"{type(dataset).__name__} draws {prompt.id} as {picture}: {error}") from error
    assert drawn or picture is None, f"{type(dataset).__name__} draws {prompt.id} as {picture}, no Picture"


def watched(dataset: Dataset) -> tuple[Dataset, list[str]]:
    """The same data set, and a list to which it adds each split that is loaded with true answers."""
    seen: list[str] = []
    kind = type(dataset)

    def load(self: Dataset, split: str, *, targets: bool = True) -> Any:
        if targets:
            seen.append(split)
        return kind.load(self, split, targets=targets)

    # Pydantic would search all loaded modules for docstrings of a class that is in none.
    config = ConfigDict(use_attribute_docstrings=False)
    body = {"load": load, "__module__": kind.__module__, "model_config": config}
    watching: Any = type(kind.__name__, (kind,), body)
    return watching.model_validate(dataset.model_dump(by_alias=True)), seen


def check_loader(loader: ModelLoader, dataset: Dataset) -> Model:
    """Check that a model is loaded the same each time, survives saving, and reads what it declares."""
    name = type(loader).__name__
    data, seen = watched(dataset)
    model = loader.load(data, 0)
    undeclared = sorted(set(seen) - set(loader.reads))
    assert not undeclared, f"{name} reads the true answers of {undeclared}, but not so in its `reads`"
    other = loader.load(dataset, 0)
    assert saved(model) == saved(other), f"{name} loads another model the second time"
    with tempfile.TemporaryDirectory() as directory:
        model.save(Path(directory))
        other.restore(Path(directory))
    assert saved(other) == saved(model), f"the model of {name} is not what was saved after restoring it"
    assert saved(model, "export"), f"the model of {name} exports nothing"
    return model


def saved(model: Model, how: str = "save") -> dict[str, bytes]:
    """Everything that a model writes, by file name."""
    with tempfile.TemporaryDirectory() as directory:
        getattr(model, how)(Path(directory))
        files = sorted(path for path in Path(directory).rglob("*") if path.is_file())
        return {path.relative_to(directory).as_posix(): path.read_bytes() for path in files}


# --- samplers, updaters, evaluators ----------------------------------------------------------------


def check_sampler(sampler: Sampler, model: Model, prompts: Sequence[Prompt]) -> None:
    """Check that draws are seeded each by itself, whatever the order, the batch, or their number."""
    name = type(sampler).__name__
    shown = [prompt if sampler.needs_targets else prompt.without_target() for prompt in prompts]
    iteration = Iteration(3, 9, 12345)
    groups = sampler.sample(model, shown, 3, iteration)
    assert [g.prompt.id for g in groups] == [p.id for p in shown], f"{name} gives groups in another order"
    for group in groups:
        assert [c.number for c in group.completions] == [0, 1, 2], f"{name} misnumbers its completions"
        versions = {c.policy_version for c in group.completions}
        assert versions == {3}, f"{name} gives {versions} for the policy version of iteration 3"
        assert not group.rewards, f"{name} scores; that is for the rubric"
        json.dumps([completion.content for completion in group.completions])
    assert sampler.sample(model, shown, 3, iteration) == groups, f"{name} draws otherwise the second time"
    backwards = sampler.sample(model, shown[::-1], 3, iteration)[::-1]
    assert backwards == groups, f"the draws of {name} depend on the order of the prompts"
    alone = [sampler.sample(model, [prompt], 3, iteration)[0] for prompt in shown]
    assert alone == groups, f"the draws of {name} depend on what is drawn with them"
    fewer = sampler.sample(model, shown, 2, iteration)
    first = [replace(group, completions=group.completions[:2]) for group in groups]
    assert fewer == first, f"the draws of {name} depend on how many there are"
    assert sampler.sample(model, [], 3, iteration) == [], f"{name} draws for no prompts"
    assert len(sampler.sample_references(model, shown, iteration)) == len(shown), (
        f"{name} refers not once a prompt"
    )


def check_updater(
    updater: Updater, make_model: Callable[[], Model], kept: Sequence[Kept], retain: Sequence[Prompt]
) -> None:
    """Check that training is repeatable, goes on from a saved model, and reports finite numbers.

    Args:
        updater: The updater.
        make_model: Makes the same model each time it is called.
        kept: Completions to train on.
        retain: Retain prompts with their targets.
    """
    name = type(updater).__name__
    first, second = make_model(), make_model()
    metrics = updater.update(first, kept, retain, Iteration(0, 2, 7))
    assert updater.update(second, kept, retain, Iteration(0, 2, 7)) == metrics, f"{name} is not repeatable"
    assert saved(first) == saved(second), f"{name} trains another model the second time"
    for metric, value in metrics.items():
        assert math.isfinite(value), f"{name} reports {metric} = {value}"
    third = make_model()
    with tempfile.TemporaryDirectory() as directory:
        first.save(Path(directory))
        third.restore(Path(directory))
    for model in (first, third):
        updater.update(model, kept, retain, Iteration(1, 2, 8))
    assert saved(first) == saved(third), f"{name} goes on otherwise from a saved model: it resumes wrongly"


def check_evaluator(evaluator: Evaluator, model: Model, dataset: Dataset) -> None:
    """Check that measuring changes nothing, is repeatable, and reads only what it declares.

    Without its optional splits it must measure less, and say so. Of empty splits it must measure nothing.
    """
    name = type(evaluator).__name__
    extra = sorted(set(evaluator.optional_splits) - set(evaluator.reads))
    assert not extra, f"{name} can do without {extra}, which are not in its `reads`"
    before = saved(model)
    data, seen = watched(dataset)
    found = evaluator.evaluate(model, data, 0)
    undeclared = sorted(set(seen) - set(evaluator.reads))
    assert not undeclared, f"{name} reads the true answers of {undeclared}, but not so in its `reads`"
    assert saved(model) == before, f"{name} changes the model that it measures"
    assert evaluator.evaluate(model, dataset, 0) == found, f"{name} measures otherwise the second time"
    assert found.metrics, f"{name} measures nothing"
    for metric, measured in found.metrics.items():
        assert math.isfinite(measured.value), f"{name} gives {metric} = {measured.value}"
        known = not evaluator.meanings or any(fnmatchcase(metric, one) for one in evaluator.meanings)
        assert known, f"{name} gives {metric}, which is not in its `meanings`"
    if evaluator.optional_splits:
        _check_partial(evaluator, model, dataset, found)
    if evaluator.reads:
        _check_empty(evaluator, model, dataset)


def _check_empty(evaluator: Evaluator, model: Model, dataset: Dataset) -> None:
    """Whether nothing is measured where every split that it reads is empty."""
    try:
        found = evaluator.evaluate(model, _with_empty_splits(dataset, evaluator.reads), 0)
    except CollapseError:
        return
    measured = sorted(found.metrics)
    assert not measured, f"{type(evaluator).__name__} measures {measured} where all that it reads is empty"


def _check_partial(evaluator: Evaluator, model: Model, dataset: Dataset, full: Evaluation) -> None:
    """Whether it does without its optional splits."""
    name = type(evaluator).__name__
    less = evaluator.evaluate(model, without_splits(dataset, evaluator.optional_splits), 0)
    both = sorted(set(less.metrics) & set(less.missing))
    assert not both, f"{name} measures {both}, and lists them as missing"
    lost = sorted(set(full.metrics) - set(less.metrics) - set(less.missing))
    assert not lost, f"{name} gives no {lost} without {list(evaluator.optional_splits)}, and does not say why"
    assert all(less.missing.values()), f"{name} gives no reason for what is missing"


def without_splits(dataset: Dataset, absent: Sequence[str]) -> Dataset:
    """The same data set without some of its splits."""
    kind = type(dataset)

    def load(self: Dataset, split: str, *, targets: bool = True) -> Any:
        if split in absent:
            raise CollapseError(f"the data set has no split '{split}'")
        return kind.load(self, split, targets=targets)

    def splits(self: Dataset) -> list[str] | None:
        known = kind.splits(self)
        return None if known is None else [split for split in known if split not in absent]

    return _changed(dataset, {"load": load, "splits": splits})


def _with_empty_splits(dataset: Dataset, emptied: Sequence[str]) -> Dataset:
    kind = type(dataset)

    def load(self: Dataset, split: str, *, targets: bool = True) -> Any:
        return PromptSet(()) if split in emptied else kind.load(self, split, targets=targets)

    return _changed(dataset, {"load": load})


def _changed(dataset: Dataset, methods: Mapping[str, object]) -> Dataset:
    kind = type(dataset)
    less: Any = type(kind.__name__, (kind,), {**methods, "__module__": kind.__module__})
    found: Dataset = less.model_validate(dataset.model_dump(by_alias=True))
    return found
