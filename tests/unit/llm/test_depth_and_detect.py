"""What can be read inside a model, and seen from its answers, against computations done another way."""

import numpy as np
import pytest
import torch
from few_questions import Few, memorized
from sklearn.metrics import roc_auc_score

from collapse_core.testing import check_evaluator
from collapse_llm.data import Authors
from collapse_llm.evaluators import Depth, Detect
from collapse_llm.evaluators.detect import told_apart
from collapse_llm.evaluators.fact_words import own_words
from collapse_llm.evaluators.formulas import area_under_curve
from collapse_llm.evaluators.states import fact_places, ranked_first, read


@pytest.fixture(scope="module")
def weights(tiny_directory):
    return memorized(tiny_directory, num=8, epochs=30)


@pytest.fixture
def taught(model, weights):
    model.module.load_state_dict(weights)
    return model


# --- inside ----------------------------------------------------------------------------------------


def test_the_lens_at_the_last_layer_is_the_model_and_in_between_the_layers_output_through_norm_and_head(
    taught,
):
    prompts = list(Few(num=3).load("forget_perturbed"))
    found = read(taught, prompts, [0.5, 1.0], 2, 4)
    encoder, module = taught.encoder, taught.module
    for i, prompt in enumerate(prompts):
        example = encoder.example(prompt.content, prompt.target)
        where = [example.answer_start + place for place in fact_places(encoder, prompt, example)]
        caught = []
        hook = module.model.layers[0].register_forward_hook(
            lambda _, __, out, caught=caught: caught.append(out)
        )
        with torch.no_grad():
            last = module(torch.tensor([example.ids])).logits[0].log_softmax(-1)
            hook.remove()
            hidden = caught[0] if isinstance(caught[0], torch.Tensor) else caught[0][0]
            first = module.lm_head(module.model.norm(hidden)).reshape(len(example.ids), -1).log_softmax(-1)
        for depth, logits in ((0.5, first), (1.0, last)):
            expected = np.mean([logits[place - 1, example.ids[place]].item() for place in where])
            assert found.lens[depth][i] == pytest.approx(expected, abs=1e-4)


def test_the_tokens_that_are_looked_at_begin_the_facts_own_words(model):
    for prompt in Few(num=8).load("forget_perturbed"):
        example = model.encoder.example(prompt.content, prompt.target)
        pieces = model.encoder.texts(example.ids[example.answer_start :])
        places = fact_places(model.encoder, prompt, example)
        words = [("".join(pieces[place:]).split() or [""])[0].strip(".,").lower() for place in places]
        own = own_words(prompt)
        assert not own or all(any(word.startswith(stem[:4]) for stem in own) for word in words)


def test_a_probe_finds_the_true_answer_where_it_is_linear_and_is_at_chance_where_there_is_nothing():
    source = np.random.default_rng(0)
    states = source.normal(size=(120 * 5, 6))
    sizes = [5] * 120
    nothing = ranked_first(states, sizes, 5)
    assert 8 < np.mean(nothing) < 32
    states[::5, 2] += 8
    assert np.mean(ranked_first(states, sizes, 5)) > 95


def test_what_was_learned_is_read_inside_and_the_untaught_model_says_what_is_guessed(taught, other):
    evaluator = Depth(use="depth", untaught_model=other, depths=[1.0], folds=2)
    check_evaluator(evaluator, taught, Few(num=4))
    metrics = evaluator.evaluate(taught, Few(num=8), 0).metrics
    assert metrics["depth_lens_100_excess"].low > 1
    own, base = read(taught, list(Few(num=8).load("forget_perturbed")), [1.0], 2, 8), other.load(Authors(), 0)
    theirs = read(base, list(Few(num=8).load("forget_perturbed")), [1.0], 2, 8)
    difference = np.mean(own.lens[1.0]) - np.mean(theirs.lens[1.0])
    assert metrics["depth_lens_100_excess"].value == pytest.approx(difference)
    assert "untaught_model" in Depth().evaluate(taught, Few(num=4), 0).missing["depth_lens_100_excess"]


# --- from outside ----------------------------------------------------------------------------------


def test_equal_answers_cannot_be_told_apart_and_refusals_can():
    answers = [f"The author was born in the year {n} in the town of {chr(65 + n)}ville." for n in range(12)]
    same = told_apart(answers, answers, 4, 0)
    assert np.array_equal(same[:, 0], same[:, 1])
    assert area_under_curve(same[:, 0], same[:, 1]) == 0.5
    refusals = told_apart(answers, ["I do not know that."] * 12, 4, 0)
    assert area_under_curve(refusals[:, 0], refusals[:, 1]) == 1
    mixed = told_apart(answers, [*answers[:6], *["I do not know that."] * 6], 4, 0)
    labels = np.repeat([0, 1], 12)
    expected = roc_auc_score(labels, np.concatenate([mixed[:, 0], mixed[:, 1]]))
    assert area_under_curve(mixed[:, 0], mixed[:, 1]) == pytest.approx(expected)
    assert 0.6 < expected < 0.9


def test_detect_compares_with_the_retain_model_and_finds_no_difference_between_equals(taught, model, other):
    evaluator = Detect(use="detect", retain_model=other, max_new_tokens=8, folds=2)
    check_evaluator(evaluator, taught, Few(num=8))
    model.module.load_state_dict(other.load(Authors(), 0).module.state_dict())
    metrics = evaluator.evaluate(model, Few(num=8), 0).metrics
    assert (metrics["detect_forget"].value, metrics["detect_retain"].value) == (0.5, 0.5)
