"""What was found in a model before unlearning, or in a baseline, serves other runs; nothing else does."""

from pathlib import Path

import pytest
import torch

from collapse_core import build_recipe
from collapse_core.evaluation.during import evaluate_each
from collapse_core.runtime.cache import cache_root
from collapse_llm.sampler import answering

SMOKE = Path(__file__).resolve().parents[3] / "recipes" / "smoke" / "llm_tofu.yaml"


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def recipe(**evaluator):
        measured = {"with": [{"use": "unlearn-quality", "max_new_tokens": 4} | evaluator]}
        return build_recipe(SMOKE, evaluate=measured)

    return recipe


@pytest.fixture
def decodings(monkeypatch):
    """How often answers were decoded."""
    decode, counted = answering.decode, []
    monkeypatch.setattr(answering, "decode", lambda *args, **more: counted.append(1) or decode(*args, **more))
    return counted


def test_a_model_that_is_shared_is_measured_once(recipe, model, decodings, monkeypatch):
    monkeypatch.setattr("collapse_llm.evaluators.answers._remembered", {})
    first = list(evaluate_each(recipe(), model, {}, shared=True))
    assert len(decodings) == 1
    monkeypatch.setattr("collapse_llm.evaluators.answers._remembered", {})
    assert list(evaluate_each(recipe(), model, {}, shared=True)) == first
    assert len(decodings) == 1
    assert [path.parent.name for path in cache_root().glob("measured/*/row.json")]


@pytest.mark.parametrize("change", ["weights", "settings", "seed", "not shared"])
def test_what_differs_is_measured_anew(change, recipe, model, decodings, monkeypatch):
    list(evaluate_each(recipe(), model, {}, shared=True))
    monkeypatch.setattr("collapse_llm.evaluators.answers._remembered", {})
    other = recipe(batch_size=3) if change == "settings" else recipe()
    if change == "weights":
        with torch.no_grad():
            next(iter(model.module.parameters())).mul_(1.01)
    if change == "seed":
        other = other.model_copy(update={"seed": 1})
    list(evaluate_each(other, model, {}, shared=change != "not shared"))
    assert len(decodings) == 2
