"""Text in any script is compared, and what is no number is named."""

import json
import math

import numpy as np
import pytest

from collapse_core import CollapseError, Dataset, Prompt, PromptSet, standing_in
from collapse_llm.evaluators import FactWords, Memorization, Responses, UnlearnQuality
from collapse_llm.evaluators.formulas import AnswerLosses, harmonic_mean, probability_among_options
from collapse_llm.evaluators.logs import forget_truth_ratios, losses_in
from collapse_llm.evaluators.muse import f_measure
from collapse_llm.model import CausalLm
from collapse_llm.rewards import rouge_f1, rouge_recall, stems
from collapse_llm.words import join, share_unseen, words

ROWS = [
    ("\u5a9b\u5e9c\u4f4f\u5728\u54ea\u91cc\uff1f", "\u5979\u4f4f\u5728\u4e1c\u4eac\u6865\u3002"),
    (
        "\u0413\u0434\u0435 \u0436\u0438\u0432\u0451\u0442 \u041c\u0430\u0440\u0430?",
        "\u041d\u0430 \u0423\u043b\u0438\u0446\u0435 \u041c\u0438\u0440\u0430.",
    ),
    ("Where?", "Gda\u0144sk, \u0141\u00f3d\u017a \u00e9\u00e8\u00ea\u00eb\u0119\u0105."),
]


class Scripts(Dataset):
    """Questions and answers in three scripts."""

    rows: list[int] = [0, 1, 2]

    def load(self, split, *, targets=True):
        if split not in ("forget", "retain", "holdout"):
            raise CollapseError(f"the data set has no split '{split}'")
        return PromptSet(tuple(Prompt(f"{split}-{i}", *ROWS[i]) for i in self.rows))

    def splits(self):
        return ["forget", "retain", "holdout"]


@pytest.mark.parametrize("row", range(2))
def test_an_answer_in_another_script_is_seen_by_its_words_or_characters(row):
    answer = ROWS[row][1]
    assert rouge_recall(answer, answer) == rouge_f1(answer, answer) == 1
    assert rouge_recall(answer, "no") == 0
    assert 0 < rouge_recall(answer, answer[: len(answer) // 2 + 1]) < 1


def test_muse_measures_see_other_scripts_and_are_the_packages_in_latin_letters():
    from rouge_score.rouge_scorer import RougeScorer

    assert [f_measure(answer, answer) for _, answer in ROWS[:2]] == [1, 1]
    for one, other in (("Running wild, he ran", "he runs wild"), ("It's 4711-x", "its 4711")):
        package = RougeScorer(["rougeL"], use_stemmer=False).score(one, other)["rougeL"].fmeasure
        assert f_measure(one, other) == package


def test_text_in_latin_letters_is_compared_as_the_rouge_package_does():
    from rouge_score.tokenizers import DefaultTokenizer

    package = DefaultTokenizer(use_stemmer=True)
    for text in (
        "Jos\u00e9 was running, running 3 times!",
        "",
        "na\u00efve \u2014 O\u2019Neil's stories",
        "It's 4711-x",
    ):
        assert list(stems(text)) == package.tokenize(text)
    assert stems("Running \u4e1c\u4eac \u0423\u043b\u0438\u0446\u0430 7") == (
        "run", "\u4e1c", "\u4eac", "\u0443\u043b\u0438\u0446\u0430", "7",
    )  # fmt: skip


def test_words_and_joints_know_scripts_without_spaces():
    assert words("Ab \u4e1c\u4eac c") == ["ab", "\u4e1c", "\u4eac", "c"]
    assert join("It was", "the best") == " the best"
    assert join("\u4e1c", "\u4eac") == "\u4eac"
    assert share_unseen([ROWS[0][1], ROWS[1][1], "abc"]) == 0
    assert share_unseen(["\u00e9a"]) == 0.5


def test_no_measure_fails_on_any_script(model, tiny_directory):
    judge = CausalLm(use="causal-lm", path=str(tiny_directory), compute="float32")
    for evaluator in (
        UnlearnQuality(max_new_tokens=4),
        FactWords(max_new_tokens=4),
        Responses(max_new_tokens=4, judge_model=judge),
        Memorization(),
    ):
        found = evaluator.evaluate(model, Scripts(rows=[0, 1]), 0)
        assert found.metrics
        assert all(math.isfinite(metric.value) for metric in found.metrics.values())


def test_letters_that_rouge_does_not_see_are_said(model):
    with standing_in({}) as notes:
        UnlearnQuality(max_new_tokens=4).evaluate(model, Scripts(rows=[2]), 0)
    assert any("no letters with accents" in note for note in notes)
    with standing_in({}) as notes:
        UnlearnQuality(max_new_tokens=4).evaluate(model, Scripts(rows=[0, 1]), 0)
    assert not notes


# --- holes -------------------------------------------------------------------------------------------


def test_a_hole_makes_the_harmonic_mean_no_number_wherever_it_is():
    for values in ([math.nan, 0.5, 0.5], [0.5, math.nan, 0.5]):
        assert math.isnan(harmonic_mean(values))
    assert harmonic_mean([0.0, 0.5]) == 0


def test_options_too_unlikely_for_a_double_are_still_compared():
    losses = AnswerLosses(np.array([800.0]), np.array([800.0]), [[800.0, 801.0]])
    assert probability_among_options(losses)[0] == pytest.approx(1 / (1 + 1 + math.exp(-1)), abs=1e-12)
    assert probability_among_options(losses)[0] == pytest.approx(0.422, abs=1e-3)


def test_a_hole_in_a_log_is_named(tmp_path):
    path = tmp_path / "log.json"
    part = {"avg_gt_loss": {"0": 1.0, "3": None}, "avg_paraphrased_loss": {"0": 1.0, "3": 1.0}}
    part |= {"average_perturb_loss": {"0": [1.0], "3": [math.nan]}}
    log = {"eval_log_forget.json": part}
    with pytest.raises(CollapseError, match="no number in 'avg_gt_loss' for question 3, but None"):
        losses_in(log, "forget", path)
    part["avg_gt_loss"]["3"] = 1.0
    with pytest.raises(CollapseError, match="no number in 'average_perturb_loss' for question 3, but nan"):
        losses_in(log, "forget", path)
    for scores, what in (({"0": {"score": None}}, "for question 0, but None"), ({}, "holds no scores")):
        path.write_text(json.dumps({"forget_truth_ratio": {"value_by_index": scores}}))
        with pytest.raises(CollapseError, match=what):
            forget_truth_ratios(path)
