"""The measures on real networks, against sums done one row at a time without any padding."""

from statistics import fmean

import numpy as np
import pytest
import torch
from few_questions import Few, log_probs, loss
from scipy.stats import hmean, ks_2samp

from collapse_core import CollapseError, Prompt, PromptSet
from collapse_core.testing import check_evaluator
from collapse_llm.data import Authors
from collapse_llm.evaluators import (
    FactWords,
    ForgetQuality,
    LeastLikelyOption,
    Membership,
    Memorization,
    ModelUtility,
    PrivLeak,
    Responses,
    TokenShift,
)
from collapse_llm.evaluators.scoring import gradient_norms, score_answers
from collapse_llm.model import CausalLm

# --- scoring ---------------------------------------------------------------------------------------


def test_scores_do_not_depend_on_padding_or_on_the_batch(taught):
    prompts = [*Few().load("forget"), *Few().load("world_facts")]
    asked = [(p.content, p.target) for p in prompts]
    for size in (1, 5, 100):
        for scored, (question, answer) in zip(
            score_answers(taught, asked, size, standardize=True), asked, strict=True
        ):
            every, tokens = log_probs(taught, question, answer)
            expected = every[np.arange(len(tokens)), tokens]
            assert scored.log_probs == pytest.approx(expected, abs=2e-4)
            assert scored.hits.tolist() == (every.argmax(-1) == tokens).tolist()
            probs = np.exp(every)
            mean = (probs * every).sum(-1)
            sd = np.sqrt(np.clip((probs * every**2).sum(-1) - mean**2, 1e-6, None))
            assert scored.standardized == pytest.approx((expected - mean) / sd, rel=2e-3, abs=2e-3)
            assert scored.loss == pytest.approx(-expected.mean(), abs=2e-4)
            assert len(scored.spoken(scored.hits)) == len(tokens) - 1


def test_a_text_that_goes_on_has_no_end_to_leave_out_and_a_longer_answer_is_refused(tiny_directory):
    short = CausalLm(path=str(tiny_directory), compute="float32", max_length=22).load(Authors(), 0)
    prompt = Few().load("forget")[0]
    [scored] = score_answers(short, [({"continue": prompt.content}, prompt.target)], 1)
    assert not scored.ended
    assert len(scored.spoken(scored.hits)) == len(scored.hits)
    with pytest.raises(CollapseError, match="do not fit into the model's max_length of 22"):
        score_answers(short, [(prompt.content, prompt.target)], 1)


def test_gradient_norms_are_those_of_a_plain_backward_pass_and_leave_nothing_behind(model):
    asked = [(p.content, p.target) for p in Few(num=3).load("forget")]
    found = gradient_norms(model, asked)
    assert all(weight.grad is None for weight in model.module.parameters())
    for value, (question, answer) in zip(found, asked, strict=True):
        prompt, tokens = model.encoder.prompt(question), model.encoder.answer(answer)
        logits = model.module(torch.tensor([prompt + tokens])).logits[0, len(prompt) - 1 : -1]
        torch.nn.functional.cross_entropy(logits, torch.tensor(tokens)).backward()
        norms = [weight.grad.norm().item() for weight in model.module.parameters()]
        model.module.zero_grad()
        assert value == pytest.approx(fmean(norms), rel=1e-3)


def test_what_is_scored_for_one_evaluator_serves_the_next_until_the_weights_change(model):
    calls = []
    model.module.register_forward_hook(lambda *_: calls.append(1))
    before = Memorization().evaluate(model, Few(), 0)
    num = len(calls)
    again = Memorization().evaluate(model, Few(), 0)
    LeastLikelyOption().evaluate(model, Few(), 0)
    assert num == len(calls) > 0
    assert again == before
    with torch.no_grad():
        model.module.model.norm.weight[3] += 0.5
    changed = Memorization().evaluate(model, Few(), 0)
    assert len(calls) == 2 * num
    assert changed.metrics["probability_forget"].value != before.metrics["probability_forget"].value


# --- memorization ----------------------------------------------------------------------------------


def test_what_is_known_by_heart_is_extracted_whole(taught):
    metrics = Memorization().evaluate(taught, Few(), 0).metrics
    assert metrics["extraction_strength_forget"].value == pytest.approx(1)
    assert metrics["exact_memorization_forget"].value == pytest.approx(1)
    assert metrics["probability_forget"].value > 0.9
    assert metrics["extraction_strength_retain"].value < 0.5
    assert metrics["extraction_strength_forget"].direction == "down"
    assert metrics["extraction_strength_retain"].direction == "up"


def test_memorization_is_what_one_row_at_a_time_gives(model):
    metrics = Memorization(batch_size=4).evaluate(model, Few(), 0).metrics
    probability, ratio, second, exact, strength = [], [], [], [], []
    for prompt in Few().load("forget"):
        every, tokens = log_probs(model, prompt.content, prompt.target)
        hits = (every.argmax(-1) == tokens)[:-1]
        exact.append(hits.mean())
        strength.append(1 - min(k for k in range(len(hits) + 1) if hits[k:].all()) / len(hits))
        probability.append(np.exp(-loss(model, prompt.content, prompt.target)))
        right = np.exp(-loss(model, prompt.content, prompt.extra["paraphrased_answer"]))
        wrong = [np.exp(-loss(model, prompt.content, w)) for w in prompt.extra["perturbed_answer"]]
        quotient = np.prod(wrong) ** (1 / len(wrong)) / right
        ratio.append(min(quotient, 1 / quotient))
        second.append(right / (right + quotient * right))
    assert metrics["probability_forget"].value == pytest.approx(fmean(probability), rel=1e-3)
    assert metrics["truth_ratio_forget"].value == pytest.approx(fmean(ratio), rel=1e-3)
    assert metrics["truth_probability_forget"].value == pytest.approx(fmean(second), rel=1e-3)
    assert metrics["exact_memorization_forget"].value == pytest.approx(fmean(exact))
    assert metrics["extraction_strength_forget"].value == pytest.approx(fmean(strength))


def test_only_the_first_questions_of_each_split_are_scored_where_that_is_asked(model):
    class First(Few):
        def load(self, split, *, targets=True):
            return PromptSet(tuple(super().load(split, targets=targets))[:2])

    assert Memorization(num_questions=2).evaluate(model, Few(), 0) == Memorization().evaluate(
        model, First(), 0
    )


# --- Model Utility and Forget Quality --------------------------------------------------------------


def test_model_utility_is_the_harmonic_mean_of_nine_means(taught):
    found = ModelUtility(max_new_tokens=8).evaluate(taught, Few(), 0)
    components = {}
    for task in ("retain", "real_authors", "world_facts"):
        probability, truth = [], []
        for prompt in Few().load(f"{task}_perturbed"):
            wrong = [loss(taught, prompt.content, w) for w in prompt.extra["perturbed_answer"]]
            true = loss(taught, prompt.content, prompt.target)
            also = loss(taught, prompt.content, prompt.extra.get("paraphrased_answer", prompt.target))
            total = np.exp(-true) + np.exp(-np.array(wrong)).sum()
            share = 1 if task == "retain" else 1 / total
            probability.append(np.exp(-true) * share)
            truth.append(max(0, 1 - np.exp(also - np.mean(wrong))))
        components[f"mu_probability_{task}"] = fmean(probability)
        components[f"mu_truth_ratio_{task}"] = fmean(truth)
        rouge = [row["score"] for row in found.examples if row["split"] == task]
        components[f"mu_rouge_{task}"] = fmean(rouge)
    for name, value in components.items():
        assert found.metrics[name].value == pytest.approx(value, rel=1e-3, abs=1e-6), name
    every = list(components.values())
    expected = hmean(every) if min(every) > 0 else 0
    assert found.metrics["model_utility"].value == pytest.approx(expected, rel=1e-3)


def test_forget_quality_is_scipys_test_of_both_models_ratios(taught, other):
    untaught = other.load(Few(), 0)
    ratios = [
        [
            np.exp(
                loss(model, p.content, p.extra["paraphrased_answer"])
                - np.mean([loss(model, p.content, w) for w in p.extra["perturbed_answer"]])
            )
            for p in Few().load("forget_perturbed")
        ]
        for model in (taught, untaught)
    ]
    found = ForgetQuality(retain_model=other).evaluate(taught, Few(), 0).metrics
    assert found["forget_quality"].value == pytest.approx(ks_2samp(*ratios).pvalue)
    same = ForgetQuality(retain_model=other).evaluate(untaught, Few(), 0).metrics
    assert same["forget_quality"].value == 1


@pytest.mark.parametrize(
    ("evaluator", "field"),
    [
        (ForgetQuality(), "retain_model: {use: causal-lm"),
        (PrivLeak(), "retain_model: {use: causal-lm"),
        (TokenShift(), "base_model: {use: causal-lm"),
        (Responses(), "judge_model: {use: causal-lm"),
    ],
)
def test_a_model_that_is_missing_beside_is_an_error_that_says_how_to_get_it(model, evaluator, field):
    with pytest.raises(CollapseError) as error:
        evaluator.evaluate(model, Few(), 0)
    assert field in str(error.value)
    assert "\n" not in str(error.value)


def test_questions_without_wrong_answers_are_named_by_what_needs_them(model):
    class Plain(Few):
        def load(self, split, *, targets=True):
            return PromptSet((Prompt("q-1", "Who?", "I."),))

    with pytest.raises(CollapseError, match="'q-1' has no wrong answers; give its row a list"):
        LeastLikelyOption().evaluate(model, Plain(), 0)
    found = Memorization().evaluate(model, Plain(), 0)
    assert {"extraction_strength_forget", "exact_memorization_retain", "probability_retain"} <= set(
        found.metrics
    )
    ratios = {f"truth_{what}_{split}" for what in ("ratio", "probability") for split in ("forget", "retain")}
    assert set(found.missing) == ratios
    assert all("'q-1' has no wrong answers" in reason for reason in found.missing.values())


# --- promises --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda other: ModelUtility(max_new_tokens=4),
        lambda other: ForgetQuality(retain_model=other),
        lambda other: Memorization(),
        lambda other: Membership(reference_model=other),
        lambda other: PrivLeak(retain_model=other),
        lambda other: FactWords(max_new_tokens=4),
        lambda other: Responses(judge_model=other, max_new_tokens=4),
        lambda other: TokenShift(base_model=other, num_chunks=3),
        lambda other: LeastLikelyOption(),
    ],
    ids=lambda make: make(None).__class__.__name__,
)
def test_measuring_changes_nothing_and_reads_what_is_declared(model, other, make):
    check_evaluator(make(other), model, Few(num=3))
