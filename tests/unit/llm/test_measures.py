"""The field's formulas, against published numbers and other libraries' answers."""

import json
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
from scipy.stats import hmean, ks_2samp
from sklearn.metrics import roc_auc_score

from collapse_core import CollapseError
from collapse_llm.data import Authors, Tofu
from collapse_llm.evaluators import FactWords, ForgetQuality, ModelUtility, formulas
from collapse_llm.evaluators.logs import TASKS, losses_in, read_log
from collapse_llm.evaluators.options import boldest, normalized
from collapse_llm.evaluators.responses import refuses
from collapse_llm.sentences import read_sentences

LOGS = Path(__file__).resolve().parents[4] / "shared" / "data" / "tofu_eval_logs"
FULL = LOGS / "ft_epoch5_lr1e-05_llama2-7b_full_wd0.01.json"
RETAIN = LOGS / "ft_epoch5_lr1e-05_llama2-7b_retain90_wd0.01.json"
published = pytest.mark.skipif(not LOGS.is_dir(), reason="the logs are not here (shared/data/tofu_eval_logs)")


# --- published logs --------------------------------------------------------------------------------


@published
def test_model_utility_of_a_published_log_is_what_the_benchmark_says():
    metrics = ModelUtility().read_logs([FULL]).metrics
    assert metrics["model_utility"].value == pytest.approx(0.622677, abs=5e-7)
    assert metrics["model_utility"].low < 0.622677 < metrics["model_utility"].high
    nine = [metric.value for name, metric in metrics.items() if name != "model_utility"]
    assert len(nine) == 9
    assert hmean(nine) == pytest.approx(0.622677, abs=5e-7)


@published
def test_forget_quality_of_the_published_logs_is_what_the_benchmark_says():
    metrics = ForgetQuality().read_logs([FULL, RETAIN]).metrics
    assert metrics["forget_quality"].value == pytest.approx(1.834e-21, rel=5e-4)
    assert metrics["forget_quality_log10"].value == pytest.approx(np.log10(1.834e-21), abs=5e-4)


@published
def test_a_retain_log_named_in_the_recipe_serves_as_well():
    named = ForgetQuality(retain_log=str(RETAIN)).read_logs([FULL])
    assert named == ForgetQuality().read_logs([FULL, RETAIN])


@published
def test_a_model_held_against_itself_cannot_be_told_apart():
    assert ForgetQuality().read_logs([RETAIN, RETAIN]).metrics["forget_quality"].value == 1


@published
@pytest.mark.parametrize("task", TASKS)
def test_the_truth_ratio_is_the_one_that_the_log_itself_has(task):
    log = read_log(FULL)
    logged = list(log[TASKS[task]]["truth_ratio"].values())
    assert formulas.truth_ratio(losses_in(log, task, FULL)) == pytest.approx(logged, rel=1e-5)


@published
def test_forget_quality_does_not_ask_which_way_the_ratio_is_written():
    logs = [read_log(path)["eval_log_forget.json"] for path in (FULL, RETAIN)]
    inverse = [
        [
            np.exp(np.mean(log["average_perturb_loss"][i]) - log["avg_paraphrased_loss"][i])
            for i in log["avg_paraphrased_loss"]
        ]
        for log in logs
    ]
    value = ForgetQuality().read_logs([FULL, RETAIN]).metrics["forget_quality"].value
    assert value == pytest.approx(ks_2samp(*inverse).pvalue, rel=1e-6)


@published
def test_the_first_hundred_questions_are_another_number():
    few = ForgetQuality(num_questions=100).read_logs([FULL, RETAIN]).metrics["forget_quality"].value
    assert few > 1e-12


def test_one_log_is_too_few_for_forget_quality(tmp_path):
    path = tmp_path / "log.json"
    path.write_text("{}")
    with pytest.raises(CollapseError, match="compares with a retain model: give its log too"):
        ForgetQuality().read_logs([path])


def test_a_log_of_openunlearning_is_read_too(tmp_path):
    paths = []
    for number, ratios in enumerate(([0.1, 0.4, 0.9, 1.5], [0.7, 0.8, 2.0])):
        paths.append(tmp_path / f"{number}.json")
        by_index = {str(i): {"score": ratio} for i, ratio in enumerate(ratios)}
        paths[-1].write_text(json.dumps({"forget_truth_ratio": {"value_by_index": by_index}}))
    found = ForgetQuality().read_logs(paths).metrics
    expected = ks_2samp([0.1, 0.4, 0.9, 1.5], [0.7, 0.8, 2.0])
    assert found["forget_quality"].value == pytest.approx(expected.pvalue)
    assert found["truth_ratio_distance"].value == pytest.approx(expected.statistic)


@pytest.mark.parametrize(
    ("text", "what"),
    [("[1]", "expected an object"), ("{", "not JSON"), ("{}", r"has no 'eval_log\.json'")],
)
def test_what_is_no_log_is_named(tmp_path, text, what):
    (tmp_path / "log.json").write_text(text)
    with pytest.raises(CollapseError, match=rf"log\.json.*{what}"):
        ModelUtility().read_logs([tmp_path / "log.json"])


def test_an_evaluator_that_reads_no_logs_says_so(tmp_path):
    with pytest.raises(CollapseError, match="'fact-words' reads no logs"):
        FactWords(use="fact-words").read_logs([tmp_path])


# --- refusals --------------------------------------------------------------------------------------


def test_refusals_are_known_and_true_answers_are_not_taken_for_them(tofu):
    known = read_sentences("refusals")
    lines = (tofu / "idontknow.jsonl").read_text().splitlines()
    assert fmean(refuses(line, known, 0.4) for line in lines) >= 0.95
    answers = [p.target for data in (Authors(), Tofu(path=str(tofu))) for p in data.load("full")]
    assert fmean(refuses(answer, known, 0.4) for answer in answers[:1000]) <= 0.005
    assert refuses("Aw, shucks, I\u2019m just a language model.", known, 0.4)
    assert not refuses("", known, 0.4)


# --- formulas --------------------------------------------------------------------------------------


def test_extraction_strength_is_one_for_a_model_that_knows_all_and_zero_for_one_that_knows_nothing():
    for num in (1, 2, 7):
        assert formulas.extraction_strength(np.ones(num, bool), "exact") == 1
        assert formulas.extraction_strength(np.zeros(num, bool), "exact") == 0
        assert formulas.extraction_strength(np.zeros(num, bool), "openunlearning") == pytest.approx(1 / num)


def test_extraction_strength_is_one_minus_the_smallest_prefix_that_gives_the_rest():
    source = np.random.default_rng(0)
    for _ in range(200):
        hits = source.random(source.integers(1, 12)) < 0.7
        prefixes = [k for k in range(len(hits) + 1) if hits[k:].all()]
        assert formulas.extraction_strength(hits, "exact") == 1 - min(prefixes) / len(hits)
        looped = next((k for k in range(len(hits)) if hits[k:].all()), len(hits) - 1)
        assert formulas.extraction_strength(hits, "openunlearning") == 1 - looped / len(hits)


def test_min_k_takes_at_least_one_token():
    values = np.array([-3.0, -1.0, -2.0, -0.5, -0.1])
    assert formulas.least_likely(values, 0.4) == pytest.approx(2.5)
    assert formulas.least_likely(values, 0.01) == 3
    assert formulas.least_likely(values, 1.0) == pytest.approx(-values.mean())


def test_the_area_is_that_of_scikit_learn_ties_included():
    source = np.random.default_rng(1)
    for _ in range(50):
        members = source.integers(0, 6, source.integers(2, 30)).astype(float)
        others = source.integers(1, 8, source.integers(2, 30)).astype(float)
        labels = [0] * len(members) + [1] * len(others)
        expected = roc_auc_score(labels, np.concatenate([members, others]))
        assert formulas.area_under_curve(members, others) == pytest.approx(expected)


def test_privacy_leakage_is_zero_for_the_retain_model_and_negative_for_what_is_still_known():
    assert formulas.privacy_leakage(0.6, 0.6) == 0
    assert formulas.privacy_leakage(1.0, 0.5) == pytest.approx(-100)
    assert formulas.privacy_leakage(0.25, 0.5) == pytest.approx(50)


def test_a_component_of_zero_makes_the_harmonic_mean_zero():
    assert formulas.harmonic_mean([0.5, 0.0, 1.0]) == 0
    assert formulas.harmonic_mean([0.5, 0.2, 0.9]) == pytest.approx(hmean([0.5, 0.2, 0.9]))


def test_options_share_the_probability():
    losses = formulas.AnswerLosses(np.array([1.0]), np.array([1.0]), [[1.0, 1.0, 1.0]])
    assert formulas.probability_among_options(losses) == pytest.approx([0.25])
    assert formulas.truth_ratio(losses) == pytest.approx([1.0])
    assert formulas.truthfulness(np.array([0.25, 3.0])) == pytest.approx([0.75, 0.0])
    assert formulas.indifference(np.array([0.25, 4.0, 1.0])) == pytest.approx([0.25, 0.25, 1.0])


def test_an_options_score_is_its_inverse_perplexity_normalized():
    perplexities = [2.0, 4.0, 4.0]
    found = normalized([float(np.log(p)) for p in perplexities])
    assert found == pytest.approx([0.5, 0.25, 0.25])
    assert sum(normalized([800.0, 900.0])) == pytest.approx(1)


def test_the_boldest_questions_are_those_with_the_smallest_least_probability():
    options = [[0.5, 0.5], [0.9, 0.1], [0.99, 0.01], [0.6, 0.4]]
    assert boldest(options, 0.5) == [2, 1]
    assert boldest(options, 0.01) == [2]


def test_a_p_value_too_small_for_a_double_has_a_finite_logarithm():
    assert formulas.log10_of(0.0) == -308
    assert formulas.log10_of(1e-21) == pytest.approx(-21)


def coverage_of_model_utility(times: int) -> float:
    """Three sets of twenty questions with likely, wordy and hardly true answers."""
    source, shapes, covered = np.random.default_rng(2), ((2, 3), (1, 1), (0.8, 2)), 0
    truth = 3 / sum((a + b) / a for a, b in shapes)
    for seed in range(times):
        groups = [np.stack([source.beta(a, b, 20) for a, b in shapes], axis=1) for _ in range(3)]
        found = formulas.resampled_metric(formulas.model_utility, groups, seed)
        covered += found.low <= truth <= found.high
    return covered / times


def test_a_resampled_interval_holds_the_truth_as_often_as_it_says():
    assert coverage_of_model_utility(12) >= 0.9


@pytest.mark.slow
@pytest.mark.simulation
def test_model_utilitys_interval_keeps_the_promise():
    assert coverage_of_model_utility(500) >= 0.93


def test_an_interval_resamples_whole_rows_and_keeps_to_its_seed():
    pairs = np.stack([np.arange(9.0), 2 * np.arange(9.0)], axis=1)

    def slope(groups):
        return float(groups[0][:, 1].sum() / max(groups[0][:, 0].sum(), 1e-9))

    found = formulas.resampled_metric(slope, [pairs], 3)
    assert (found.value, found.low, found.high) == pytest.approx((2, 2, 2))
    spread = formulas.resampled_metric(lambda g: float(fmean(g[0][:, 0])), [pairs], 3)
    assert spread == formulas.resampled_metric(lambda g: float(fmean(g[0][:, 0])), [pairs], 3)
    assert spread.low < spread.value < spread.high
