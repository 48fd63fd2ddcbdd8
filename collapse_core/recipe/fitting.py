"""Whether the parts of a recipe go with each other, by what each of them declares."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from collapse_core.contracts.component import Component
from collapse_core.contracts.interfaces import Dataset, Evaluator, Filter, ModelLoader, Updater


def misfits(field: str, value: Any, above: Mapping[str, Any]) -> Iterator[str]:
    """What does not fit between a field of a recipe and the fields above it, one sentence each.

    Args:
        field: The name of the field.
        value: What it holds.
        above: By name, the fields that were read before it and found sound.
    """
    data, model = above.get("data"), above.get("model")
    if field == "model" and data:
        yield from _unlike(value, data, "model", "data set")
    if field == "rewards" and data:
        for reward in value:
            yield from _unlike(reward, data, "reward", "data set")
    if field in ("sampler", "updater") and model:
        yield from _unlike(value, model, field, "model")
    if field == "updater" and above.get("filter"):
        yield from _unpaired(value, above["filter"])
    if field == "evaluate" and data and model:
        yield from _unmeasurable(value.with_, data, [model, *value.baselines.values()])
    if field == "stop_when" and value and value.evaluator and data and model:
        if value.data:
            yield from _unlike(model, value.data, "model", "data set")
        yield from _unmeasurable([value.evaluator], value.data or data, [model])


def _unlike(part: Component, base: Component, kind: str, base_kind: str) -> Iterator[str]:
    """A part that works on other kinds than its base is of; also the parts that it holds."""
    if part.works_on and base.provides and base.provides not in part.works_on:
        yield (
            f"the {kind} '{part.use}' works on {' or '.join(part.works_on)}, "
            f"but the {base_kind} '{base.use}' is {base.provides}; choose two that go together"
        )
    for name in type(part).model_fields:
        inner = getattr(part, name)
        if isinstance(inner, Component) and not isinstance(inner, ModelLoader):
            yield from _unlike(inner, base, kind, base_kind)


def _unpaired(updater: Updater, chosen: Filter) -> Iterator[str]:
    """An updater that learns from what the filter does not give, or that ignores what it gives."""
    if updater.learns_from_pairs() and not chosen.sets_against():
        yield (
            f"the updater '{updater.use}' prefers each kept answer to another one, and the filter "
            f"'{chosen.use}' names none; set filter.against to reference, worst-of-group or target"
        )
    if chosen.sets_weights() and not updater.uses_weights:
        yield (
            f"the filter '{chosen.use}' gives weights, which the updater '{updater.use}' does not use; "
            "choose two that go together"
        )


def _unmeasurable(
    evaluators: Sequence[Evaluator], data: Dataset, models: Sequence[ModelLoader]
) -> Iterator[str]:
    """An evaluator for other models, or for splits that there are not."""
    for evaluator in evaluators:
        for model in models:
            yield from _unlike(evaluator, model, "evaluator", "model")
        for split in evaluator.reads:
            if split not in evaluator.optional_splits and not data.has(split):
                yield (
                    f"the evaluator '{evaluator.use}' needs the split '{split}', which the data set "
                    f"'{data.use}' does not have; leave the evaluator out or choose other data"
                )
