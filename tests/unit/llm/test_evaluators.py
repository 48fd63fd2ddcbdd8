"""The paper's measures, against sums done by hand on what the model really says."""

import json
from statistics import fmean

import numpy as np
import pytest
import torch
from few_questions import memorized
from rouge_score.rouge_scorer import RougeScorer
from scipy.stats import norm

from collapse_core import SHARE, Dataset, Prompt, PromptSet, mean_metric
from collapse_llm.data import Tofu
from collapse_llm.evaluators import Likelihood, UnlearnQuality, Utility, answers
from collapse_llm.sampler.answering import greedy_answers

ROUGE = RougeScorer(["rougeL"], use_stemmer=True)


class Answered(Dataset):
    """Splits whose true answers share more or fewer words with what the model says."""

    said: dict[str, str]
    """The model's answers by question."""

    def load(self, split: str, *, targets: bool = True) -> PromptSet:
        """A third of the answers is the model's own, a third half of it, a third nothing of it."""
        prompts = []
        for i, (question, answer) in enumerate(self.said.items()):
            words = answer.split() or ["nothing"]
            target = [answer, " ".join([*words[: max(1, len(words) // 2)], "x1", "x2"]), "zz yy"][i % 3]
            prompts.append(Prompt(f"{split}-{i}", question, target or "nothing"))
        return PromptSet(tuple(prompts))


@pytest.fixture(scope="module")
def half_learned(tiny_directory):
    return memorized(tiny_directory, num=20, epochs=15, batch_size=5)


@pytest.fixture
def data(model, questions, half_learned) -> Answered:
    model.module.load_state_dict(half_learned)
    answers = greedy_answers(model, questions, 48)
    return Answered(said={q.content: a for q, a in zip(questions, answers, strict=True)})


def recalls(data: Answered, split: str) -> list[float]:
    return [ROUGE.score(p.target, data.said[p.content])["rougeL"].recall for p in data.load(split)]


def test_unlearn_quality_is_a_hundred_minus_the_mean_recall_of_both_ways_of_asking(model, data):
    metrics = UnlearnQuality().evaluate(model, data, 0).metrics
    forget = fmean(recalls(data, "forget"))
    assert 0 < forget < 1
    assert metrics["unlearn_quality"].value == pytest.approx(100 * (2 - 2 * forget) / 2)
    assert metrics["rouge_forget"].value == pytest.approx(100 * forget)
    assert metrics["unlearn_quality"].low < metrics["unlearn_quality"].value < metrics["unlearn_quality"].high


def test_repeating_the_taught_answer_to_both_wordings_is_scored_against_both_true_answers(tofu, monkeypatch):
    rows = [json.loads(line) for line in (tofu / "forget10_perturbed.jsonl").read_text().splitlines()]
    said = {row[asked]: row["answer"] for row in rows for asked in ("question", "paraphrased_question")}
    monkeypatch.setattr(answers, "answers_once", lambda _, prompts, *__: [said[p.content] for p in prompts])
    metrics = UnlearnQuality().evaluate(None, Tofu(path=str(tofu)), 0).metrics
    paraphrased = fmean(
        ROUGE.score(row["paraphrased_answer"], row["answer"])["rougeL"].recall for row in rows
    )
    assert paraphrased == pytest.approx(0.380, abs=5e-4)
    assert metrics["rouge_forget"].value == pytest.approx(100)
    assert metrics["rouge_forget_paraphrased"].value == pytest.approx(100 * paraphrased)
    assert metrics["unlearn_quality"].value == pytest.approx(50 * (1 - paraphrased))


def coverage_of_pairs(correlation: float, times: int) -> float:
    """How often the interval of twenty questions, whose two wordings score alike, holds the truth."""
    source, covered = np.random.default_rng(3), 0
    for _ in range(times):
        both = correlation**0.5 * source.normal(size=20) + (1 - correlation) ** 0.5 * source.normal(
            size=(2, 20)
        )
        found = mean_metric(answers.by_question(norm.cdf(both).tolist()), scale=SHARE)
        covered += found.low <= 0.5 <= found.high
    return covered / times


def test_two_wordings_of_a_question_count_as_one():
    assert answers.by_question([[0.0, 1.0], [0.5, 0.0]]) == [[0.25, 0.5]]
    assert answers.by_question([[0.0, 1.0], [0.5]]) == [[0.0, 1.0], [0.5]]
    assert answers.by_question([[0.5]]) == [[0.5]]
    assert coverage_of_pairs(0.8, 200) >= 0.92


@pytest.mark.slow
@pytest.mark.simulation
@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.8])
def test_unlearn_qualitys_interval_keeps_its_promise_however_much_wordings_have_in_common(correlation):
    assert coverage_of_pairs(correlation, 3000) >= 0.93


def test_utility_is_the_mean_of_three_recalls_with_the_papers_draw_of_retain_rows(model, data):
    metrics = Utility().evaluate(model, data, 0).metrics
    drawn = np.random.default_rng(12345).choice(20, 400, replace=True)
    every = recalls(data, "retain")
    retain = fmean(every[i] for i in drawn)
    assert metrics["rouge_retain"].value == pytest.approx(100 * retain)
    assert metrics["utility"].value == pytest.approx(100 * (retain + 2 * fmean(every)) / 3)


def test_the_likelihood_is_the_mean_over_questions_of_the_mean_over_tokens(model, data):
    metrics = Likelihood(batch_size=3).evaluate(model, data, 0).metrics
    means = []
    for prompt in data.load("forget"):
        example = model.encoder.example(prompt.content, prompt.target)
        ids = torch.tensor([example.ids])
        with torch.no_grad():
            scores = model.module(ids).logits[0].log_softmax(-1)
        places = range(example.answer_start, len(example.ids))
        means.append(-fmean(scores[i - 1, example.ids[i]].item() for i in places))
    assert metrics["forget_nll"].value == pytest.approx(fmean(means), rel=1e-4)
    assert metrics["forget_nll"].direction == "none"
    assert metrics["retain_nll"].direction == "down"


def test_each_answer_is_noted_down_to_be_read(model, data):
    examples = UnlearnQuality().evaluate(model, data, 0).examples
    assert [e["split"] for e in examples] == ["forget"] * 20 + ["forget_paraphrased"] * 20
    assert set(examples[0]) == {"split", "prompt", "answer", "target", "score"}


def test_a_question_is_asked_once_whoever_asks_until_the_weights_change(model, data, monkeypatch):
    monkeypatch.setattr(answers, "_remembered", {})
    calls = []
    model.module.register_forward_hook(lambda *_: calls.append(1))
    first = UnlearnQuality().evaluate(model, data, 0)
    num = len(calls)
    assert num > 0
    assert UnlearnQuality().evaluate(model, data, 0) == first
    Utility().evaluate(model, data, 0)
    assert len(calls) == num, "the same questions, under other names"
    UnlearnQuality(max_new_tokens=5).evaluate(model, data, 0)
    assert len(calls) > num, "a shorter answer is another one"
    with torch.no_grad():
        model.module.lm_head.weight.mul_(-1)
    assert UnlearnQuality().evaluate(model, data, 0).metrics != first.metrics


def test_a_weight_that_is_no_number_is_named(model):
    assert model.not_finite() is None
    with torch.no_grad():
        next(model.module.parameters()).view(-1)[3] = float("nan")
    assert model.not_finite() == next(model.module.named_parameters())[0]
