"""The certificate as one self-contained page of HTML, to be read and printed."""

from collections.abc import Iterator
from typing import Any

from collapse_core.certificate.schema import Certificate, Measured, Outcome
from collapse_core.report.page import fill
from collapse_core.results.formatting import format_interval, format_number

TITLES = {
    "none": "no claim",
    "does-not-say": "does not say",
    "cannot-be-made-to-say": "cannot be made to say",
    "cannot-be-told-apart": "cannot be told from a model that never learned",
}
PACKAGES = ("collapse-unlearning", "torch", "transformers", "peft", "diffusers", "torch_geometric")
"""The packages that the page names; certificate.json has all."""


def render(certificate: Certificate) -> str:
    """The page. It asks for nothing from anywhere and has no script; all text is escaped."""
    return fill(
        "certificate.html",
        title=f"Certificate for request {certificate.request.id}",
        level=TITLES[certificate.claim.level],
        one=certificate,
        criteria=_rows(certificate.criteria),
        previous=[{"one": one, "rows": _rows(one.outcomes or [])} for one in certificate.previous],
        attacks=[
            {"evaluator": attack.evaluator, "settings": attack.settings, "missing": attack.missing}
            | {"models": models, "rows": rows}
            for attack in certificate.attacks
            for models, rows in [_table(attack.results)]
        ],
        known=list(_facts(certificate)),
        readers=list(_readers(certificate)),
    )


def _rows(outcomes: list[Outcome]) -> list[dict[str, Any]]:
    return [
        {"outcome": outcome, "cells": [_number(cell) for cell in _cells(outcome)]} for outcome in outcomes
    ]


def _cells(outcome: Outcome) -> tuple[Measured | None, ...]:
    return outcome.before, outcome.after, outcome.other, outcome.compared


def _number(measured: Measured | None) -> tuple[str, str]:
    """A number and its interval, as texts."""
    if measured is None:
        return "-", ""
    low, high = measured.low, measured.high
    interval = (low, high) if low is not None and high is not None else None
    return format_number(measured.value), format_interval(interval)


def _table(results: dict[str, dict[str, Measured]]) -> tuple[list[str], list[tuple[str, Any]]]:
    """The models that an attack was tried on, and a row for each metric."""
    models = list(dict.fromkeys(model for found in results.values() for model in found))
    return models, [
        (metric, [_number(found.get(model)) for model in models]) for metric, found in results.items()
    ]


def _facts(one: Certificate) -> Iterator[tuple[str, str]]:
    forgotten, method, made = one.forgotten, one.method, one.made_by
    prompts = "not recorded" if forgotten.prompts is None else str(forgotten.prompts)
    yield "prompts to be forgotten", prompts
    yield "their SHA-256", forgotten.digest or "not recorded"
    yield "digests of the data", ", ".join(forgotten.data) or "none recorded"
    for name, value in one.base_model.description.items():
        yield f"base model: {name}", str(value)
    yield "resulting model, SHA-256", one.resulting_model.digest or "the exported model is gone"
    for name, value in one.resulting_model.files.items():
        yield f"resulting model: {name}", value
    rewards = ", ".join(method.rewards) or "no reward"
    yield "method", f"{method.sampler}, {rewards}, {method.filter}, {method.updater}"
    yield (
        "run",
        f"{method.iterations} iterations, {method.completions_per_prompt} completions per prompt, "
        f"seed {method.seed}",
    )
    yield "recipe, digest", one.recipe.digest + (" (texts were removed since)" if one.recipe.redacted else "")
    yield "code, digests", ", ".join(f"{name} {value}" for name, value in made.code.items()) or "not recorded"
    named = [f"{name} {made.packages[name]}" for name in PACKAGES if name in made.packages]
    yield "versions", ", ".join([f"Python {made.python or 'not recorded'}", *named])
    hardware = ", ".join(f"{name} {value}" for name, value in made.hardware.items())
    yield "hardware", hardware or "not recorded"


def _readers(one: Certificate) -> Iterator[tuple[str, str]]:
    """Who read true answers, and which."""
    answers = one.true_answers
    parts = f" ({', '.join(answers.parts)})" if answers.parts else ""
    yield "the loop", f"{answers.loop}{parts}"
    yield "the model, before unlearning", _splits(answers.model)
    for name, splits in answers.baselines.items():
        yield f"the baseline {name}", _splits(splits)
    for name, splits in answers.evaluators.items():
        yield f"the evaluator {name}", _splits(splits)


def _splits(names: list[str]) -> str:
    return ", ".join(names) or "none that is recorded"
