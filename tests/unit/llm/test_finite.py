"""A model that computes NaN gives no answer and no metric."""

import math
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from collapse_core import CollapseError, Iteration
from collapse_llm.data import Authors
from collapse_llm.evaluators import Likelihood, Membership, Memorization, UnlearnQuality
from collapse_llm.evaluators.attacks import Leakage
from collapse_llm.evaluators.reading import word_probabilities
from collapse_llm.model import CausalLm
from collapse_llm.sampler import Generate

WEIGHT = "model.layers.1.mlp.up_proj.weight"


@pytest.fixture
def broken(model):
    with torch.no_grad():
        model.module.get_parameter(WEIGHT)[3, 4] = math.nan
    return model


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_not_finite_are_refused_when_they_are_opened(tiny_directory, tmp_path, value):
    shutil.copytree(tiny_directory, tmp_path / "model")
    file = tmp_path / "model" / "model.safetensors"
    weights = load_file(file)
    weights[WEIGHT][0, 0] = value
    save_file(weights, file, {"format": "pt"})
    with pytest.raises(CollapseError, match=f"not finite: '{WEIGHT}'"):
        CausalLm(path=str(tmp_path / "model")).load(Authors(), 0)


@pytest.mark.parametrize(
    "evaluator",
    [UnlearnQuality(), Likelihood(), Membership(gradient=False), Memorization(), Leakage(num_samples=2)],
    ids=lambda evaluator: type(evaluator).__name__,
)
def test_an_evaluator_makes_no_metric_of_nan(broken, evaluator):
    with pytest.raises(CollapseError, match=f"not finite: '{WEIGHT}'"):
        evaluator.evaluate(broken, Authors(), 0)


def test_running_text_is_not_read_with_nan(broken):
    with pytest.raises(CollapseError, match=f"not finite: '{WEIGHT}'"):
        word_probabilities(broken, "Who wrote the book about the sea?", ["the sea"], (4, 16), 2)


@pytest.mark.parametrize("temperature", [0.01, 1.0])
def test_no_answer_is_drawn_from_nan(broken, questions, temperature):
    with pytest.raises(CollapseError, match=f"not finite: '{WEIGHT}'"):
        Generate(temperature=temperature).sample(broken, questions[:2], 2, Iteration(0, 1, 0))


def test_logits_that_overflow_are_no_fault_of_the_weights(model, questions):
    with torch.no_grad():
        model.module.model.norm.weight.fill_(3e38)
    with pytest.raises(CollapseError, match="logits that are not finite, although its weights are"):
        Generate().sample(model, questions[:1], 1, Iteration(0, 1, 0))


@pytest.mark.parametrize("part", [Generate, Leakage])
def test_a_temperature_that_would_overflow_is_refused(part):
    with pytest.raises(ValueError, match="temperature"):
        part(temperature=1e-38)


def test_the_lowest_temperature_draws_the_likeliest_answer(model, questions):
    coldest = Generate(temperature=0.01, max_new_tokens=6).sample(model, questions[:3], 1, Iteration(0, 1, 0))
    greedy = Generate(max_new_tokens=6).sample_references(model, questions[:3], Iteration(0, 1, 0))
    assert [group.completions[0].content for group in coldest] == [one.content for one in greedy]
