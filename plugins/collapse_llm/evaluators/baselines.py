"""Other models that a measure holds the model against, named in a recipe like the model itself."""

from collections.abc import Callable
from typing import TypeVar, cast

from collapse_core import CollapseError, Dataset, Evaluator, Model, ModelLoader, note
from collapse_llm.rewards.fluency import OtherModel as OtherModel

RETAIN = (
    "a retain model, one taught all but the forget set: add 'retain_model: {use: causal-lm, path: <the "
    "untaught model>, teach: {split: retain, ...}}' with the settings of the recipe's own 'teach', or the "
    "path of one that you trained"
)
"""What is missing, and how to get it."""


T = TypeVar("T")


def load_other(evaluator: Evaluator, loader: ModelLoader | None, data: Dataset, missing: str = "") -> Model:
    """Load the other model.

    It is taught with seed 0, not with the seed of the run: all runs are compared with the same model, and it
    is taught only once.

    Args:
        evaluator: Who asks for it.
        loader: How to get it.
        data: What it is taught.
        missing: What to say is missing, and how to get it, where there is no loader.

    Raises:
        CollapseError: There is no loader.
    """
    if loader is None:
        raise CollapseError(f"the evaluator '{evaluator.use or type(evaluator).__name__}' needs {missing}")
    return loader.load(data, 0)


def say_same(other: str | None, model: Model, role: str) -> None:
    """Note that the other model is the measured one: then a comparison of both shows nothing.

    Args:
        other: The fingerprint of the other model.
        model: The measured model.
        role: What the recipe calls the other one.
    """
    if other is not None and other == model.fingerprint():
        note(f"the {role} has the same weights as the model, so that comparing both shows nothing")


def measured_once(
    evaluator: Evaluator,
    loader: ModelLoader | None,
    data: Dataset,
    measure: Callable[[Model], T],
    missing: str = "",
    *,
    held_against: tuple[Model, str] | None = None,
) -> T:
    """Return what an evaluator finds in another model; it measures it once per process.

    Args:
        evaluator: Who asks for it.
        loader: How to get it.
        data: What it is taught.
        measure: What is to be found in it.
        missing: What to say is missing, and how to get it, where there is no loader.
        held_against: The measured model, and what the recipe calls the other one, which must not be the same.
    """
    key = (type(evaluator), evaluator.digest(), type(data), data.digest())
    if key not in _found:
        other = load_other(evaluator, loader, data, missing)
        _found[key] = (other.fingerprint(), measure(other))
    fingerprint, found = _found[key]
    if held_against is not None:
        say_same(fingerprint, *held_against)
    return cast(T, found)


_found: dict[tuple[object, ...], tuple[str | None, object]] = {}
