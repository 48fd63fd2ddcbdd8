"""For plugin authors: what every part promises, as checks to call from a test.

Each `check_...` raises an AssertionError that says which promise is broken. A test of a reward:

    def test_it_keeps_the_promises_of_a_reward():
        check_part("reward", Politeness)
        check_reward(Politeness(), ["I'm sorry, I can't recall.", "It was Ada."])
"""

import copy
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from collapse_core.component import Component
from collapse_core.errors import CollapseError
from collapse_core.interfaces import (
    INTERFACES,
    Dataset,
    Evaluator,
    Filter,
    Kind,
    Model,
    ModelLoader,
    Reward,
    Sampler,
    Updater,
)
from collapse_core.types import Completion, Content, Group, Iteration, Kept, Prompt

HEAVY = ("torch", "numpy", "scipy", "pandas", "sklearn", "transformers", "diffusers", "torch_geometric")
"""Libraries that a part may use, but not load before its method is called."""

ITERATION = Iteration(0, 2, 0)
PROMPT = Prompt("prompt", "What is it?", target="It is a secret.")


# --- any part --------------------------------------------------------------------------------------


def example(part: type[Component], **fields: Any) -> Component:
    """An instance of a part; what it requires and `fields` leaves out is made up.

    For a required field the first of `Field(examples=[...])` is taken, else a value of its type.
    """
    schema = part.model_json_schema(by_alias=True)
    made = {
        name: _made_up(schema["properties"][name], schema.get("$defs", {}))
        for name in schema.get("required", [])
        if name not in fields
    }
    return part.model_validate(made | fields)


def _made_up(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Any:
    if "$ref" in schema:
        return _made_up(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    for choices in ("examples", "enum", "anyOf"):
        if choices in schema:
            first = schema[choices][0]
            return _made_up(first, definitions) if choices == "anyOf" else first
    if "const" in schema:
        return schema["const"]
    if schema.get("type") in ("integer", "number"):
        return schema.get("minimum", schema.get("exclusiveMinimum", schema.get("maximum", 1) - 1) + 1)
    if schema.get("type") == "object":
        inner = schema.get("properties", {})
        return {name: _made_up(inner[name], definitions) for name in schema.get("required", [])}
    return {"string": "example", "boolean": False, "array": [], "null": None}.get(str(schema.get("type")))


def check_part(kind: Kind, part: type[Component], **fields: Any) -> Component:
    """Check what holds for a part of any kind; returns an instance of it.

    It is a finished subclass of its interface; it and its fields are documented; its instances are
    frozen and survive JSON; its digest and its module's import are the same in a fresh process, and the
    import loads no heavy library.

    Args:
        kind: What it is, such as "reward".
        part: The class.
        **fields: Values for its fields; for required ones that are left out, see `example`.
    """
    name = part.__name__
    assert issubclass(part, INTERFACES[kind]), f"{name} is no subclass of {INTERFACES[kind].__name__}"
    missing = sorted(getattr(part, "__abstractmethods__", ()))
    assert not missing, f"{name} does not define {', '.join(missing)}"
    assert vars(part).get("__doc__"), f"{name} has no docstring: what does it do?"
    for field, info in part.model_fields.items():
        assert info.description, f"{name}.{field} has no docstring below it: what does it mean?"
    one = example(part, **fields)
    _check_settings(one)
    if getattr(sys.modules.get(part.__module__), "__spec__", None) and "<locals>" not in part.__qualname__:
        seen = _seen_from_outside(part.__module__, part.__qualname__, _plain(one))
        assert not seen["heavy"], f"importing {part.__module__} loads {', '.join(seen['heavy'])}"
        assert seen["digest"] == one.digest(), f"the digest of {name} changes from process to process"
    return one


def _plain(part: Component) -> str:
    return json.dumps(part.model_dump(mode="json", by_alias=True))


def _check_settings(part: Component) -> None:
    name, field = type(part).__name__, next(iter(type(part).model_fields))
    try:
        setattr(part, field, getattr(part, field))
    except ValidationError:
        pass
    else:
        raise AssertionError(f"{name} is not frozen: a part holds settings, never state")
    again = type(part).model_validate_json(_plain(part), by_alias=True)
    assert again == part, f"{name} is not the same after a round trip through JSON"
    assert again.digest() == part.digest(), f"the digest of {name} is not stable"
    try:
        type(part).model_validate({**json.loads(_plain(part)), "no_such_field": 1})
    except ValidationError:
        return
    raise AssertionError(f"{name} takes keys that it does not know; a misspelt one would pass")


_LOOK = """
import importlib, json, sys
module, name, text, heavy = json.loads(sys.argv[1])
before = set(sys.modules)
part = importlib.import_module(module)
for piece in name.split("."):
    part = getattr(part, piece)
one = part.model_validate_json(text, by_alias=True)
loaded = sorted(set(heavy) & (set(sys.modules) - before))
print(json.dumps({"digest": one.digest(), "heavy": loaded}))
"""


@cache
def _seen_from_outside(module: str, name: str, text: str) -> dict[str, Any]:
    """What a fresh process finds when it imports the part."""
    done = subprocess.run(
        [sys.executable, "-c", _LOOK, json.dumps([module, name, text, HEAVY])],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{module} cannot be imported by itself:\n{done.stderr}"
    return cast(dict[str, Any], json.loads(done.stdout.splitlines()[-1]))


# --- rewards ---------------------------------------------------------------------------------------


def numbered(contents: Sequence[Content]) -> tuple[Completion, ...]:
    """Completions of these contents."""
    return tuple(Completion(content, number) for number, content in enumerate(contents))


def score(
    reward: Reward, contents: Sequence[Content], prompt: Prompt = PROMPT, reference: Content | None = None
) -> list[float | None]:
    """What a reward gives to completions of these contents; it sees the target only if it needs it."""
    shown = prompt if reward.needs_targets else prompt.without_target()
    known = None if reference is None else Completion(reference)
    return list(reward.score(shown, numbered(contents), known))


def check_reward(
    reward: Reward,
    contents: Sequence[Content],
    prompt: Prompt = PROMPT,
    reference: Content | None = None,
    continuations: Sequence[tuple[Content, Content]] = (),
) -> None:
    """Check that a reward scores each completion for what it is, and is bounded as it says.

    Args:
        reward: The reward.
        contents: What completions may look like, at least two different ones.
        prompt: What they answer.
        reference: The model's own answer before unlearning; without one, the first content.
        continuations: Pairs of a partial completion and something that it can become, for `ceiling`.
    """
    name, reference = type(reward).__name__, contents[0] if reference is None else reference
    scores = score(reward, contents, prompt, reference)
    assert len(scores) == len(contents), f"{name} gives {len(scores)} scores for {len(contents)} completions"
    for content, one in zip(contents, scores, strict=True):
        assert one is None or isinstance(one, (int, float)), f"{name} gives {one!r}: a number, or None"
        assert one is None or math.isfinite(one), f"{name} gives {one} for {content!r}: it must be finite"
        assert one is None or one <= reward.maximum, f"{name} gives {one}, more than its maximum"
    assert score(reward, contents, prompt, reference) == scores, f"{name} gives other scores the second time"
    backwards = score(reward, contents[::-1], prompt, reference)[::-1]
    assert _close(backwards, scores), f"the scores of {name} depend on the order of the completions"
    assert list(score(reward, [], prompt, reference)) == [], f"{name} gives scores for no completions"
    shown = prompt if reward.needs_targets else prompt.without_target()
    for partial, whole in [*continuations, *((content, content) for content in contents)]:
        bound = reward.ceiling(shown, partial, Completion(reference))
        got = score(reward, [whole], prompt, reference)[0]
        assert got is None or got <= bound, (
            f"{name} says that {partial!r} can reach at most {bound}, but {whole!r} gets {got}"
        )


def _close(some: Sequence[float | None], others: Sequence[float | None]) -> bool:
    pairs = list(zip(some, others, strict=True))
    return all((a is None) == (b is None) for a, b in pairs) and all(
        math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9) for a, b in pairs if a is not None and b is not None
    )


# --- filters ---------------------------------------------------------------------------------------


def scored(prompt: str, *rewards: float) -> Group:
    """A group of completions with these rewards; their contents are their numbers."""
    return Group(Prompt(prompt, prompt), numbered(range(len(rewards))), tuple(map(float, rewards)))


def check_filter(filter_: Filter) -> None:
    """Check that a filter chooses among what it is given, always the same, and copes with nothing."""
    name = type(filter_).__name__
    groups = [scored("a", 0.1, 0.9, 0.9), scored("b", -1.0), scored("c"), scored("d", 0.5, 0.2)]
    incumbents = {"c": scored("c", 1.0).keep(0), "d": scored("d", 0.0, 0.0, 0.3).keep(2)}
    given = [group.keep(index) for group in groups for index in range(len(group.rewards))]
    kept = filter_.keep(groups, copy.deepcopy(incumbents), ITERATION)
    for one in kept:
        known = given + list(incumbents.values())
        assert one in known, f"{name} keeps {one}, which is in no group and no incumbent"
    assert filter_.keep(groups, incumbents, ITERATION) == kept, f"{name} keeps something else the second time"
    assert filter_.keep([], {}, ITERATION) == [], f"{name} keeps something of nothing"
    assert filter_.keep([scored("c")], {}, ITERATION) == [], f"{name} keeps something of an empty group"
    assert not filter_.settled(None), f"{name} settles a prompt that has not been sampled"
    if filter_.floor(None) is not None:
        left = replace(groups[0].completions[0], finished=False)
        cut = replace(
            groups[0], completions=(left, *groups[0].completions[1:]), rewards=(-math.inf, 0.9, 0.9)
        )
        same = filter_.keep([cut, *groups[1:]], incumbents, ITERATION)
        assert same == kept, f"{name} says that only the best matters, but another one does"


# --- data and models -------------------------------------------------------------------------------


def check_dataset(dataset: Dataset) -> None:
    """Check that a data set has its splits, by unique ids, and gives true answers only when asked to."""
    name = type(dataset).__name__
    for split in ("forget", "retain"):
        prompts = dataset.load(split)
        assert len(prompts), f"the split '{split}' of {name} is empty"
        ids = [prompt.id for prompt in prompts]
        assert len(set(ids)) == len(ids), f"the split '{split}' of {name} has two prompts of one id"
        assert list(dataset.load(split)) == list(prompts), f"{name} loads '{split}' differently each time"
        json.dumps([(prompt.content, prompt.target) for prompt in prompts])
        asked = dataset.load(split, targets=False)
        assert [p.id for p in asked] == ids, f"{name} loads other prompts without their targets"
        assert [p.content for p in asked] == [p.content for p in prompts], f"{name} asks differently"
        for prompt in asked:
            assert prompt.target is None, f"{name} gives the true answer of {prompt.id} unasked"
            assert not prompt.extra, f"{name} gives companion columns of {prompt.id} with targets=False"
    try:
        dataset.load("no such split")
    except CollapseError:
        return
    raise AssertionError(f"{name} loads a split that does not exist")


def watched(dataset: Dataset) -> tuple[Dataset, list[str]]:
    """The same data set, and a list to which it adds each split that is loaded with true answers."""
    seen: list[str] = []
    kind = type(dataset)

    def load(self: Dataset, split: str, *, targets: bool = True) -> Any:
        if targets:
            seen.append(split)
        return kind.load(self, split, targets=targets)

    watching: Any = type(kind.__name__, (kind,), {"load": load, "__module__": kind.__module__})
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
    assert alone == groups, f"the draws of {name} depend on what is drawn beside them"
    fewer = sampler.sample(model, shown, 2, iteration)
    first = [replace(group, completions=group.completions[:2]) for group in groups]
    assert fewer == first, f"the draws of {name} depend on how many there are"
    assert sampler.sample(model, [], 3, iteration) == [], f"{name} draws for no prompts"
    assert len(sampler.refer(model, shown, iteration)) == len(shown), f"{name} refers not once a prompt"


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
    """Check that measuring changes nothing, is repeatable, and reads only what it declares."""
    name = type(evaluator).__name__
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
