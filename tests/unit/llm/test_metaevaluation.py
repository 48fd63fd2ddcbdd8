"""The measure of the evaluators themselves."""

import json

import pytest
from click.testing import CliRunner
from sklearn.metrics import roc_auc_score

from benchmarks.metaevaluation import judge, main, table


def test_a_metric_is_faithful_as_far_as_it_separates_the_pools_and_robust_as_far_as_no_model_changes_sides():
    learned = [{"sharp": 90.0, "blunt": x} for x in (1.0, 5.0, 3.0, 9.0)]
    never = [{"sharp": 10.0, "blunt": x} for x in (2.0, 4.0, 0.0, 3.0)]
    rounding = [{"sharp": 20.0, "blunt": 9.0}, *learned[1:]]
    training = [{"sharp": 60.0, "blunt": 0.0}, {"sharp": 60.0, "blunt": 9.0}, *never[2:]]
    sharp, blunt = judge(learned, never, rounding, training)
    assert (sharp.metric, sharp.faithfulness, sharp.quantized, sharp.relearned) == ("sharp", 1.0, 25.0, 50.0)
    expected = roc_auc_score([1] * 4 + [0] * 4, [1, 5, 3, 9, 2, 4, 0, 3])
    assert blunt.faithfulness == pytest.approx(expected)
    assert (blunt.quantized, blunt.relearned) == (25.0, 25.0)
    assert table([sharp]).splitlines()[-1] == "| `sharp` | 1.00 | 25 | 50 |"


@pytest.mark.slow
def test_two_tiny_models_of_each_pool_are_taught_and_every_evaluator_is_judged(tmp_path):
    results = tmp_path / "found.json"
    settings = ["--path", "tiny-llama", "--models", 2, "--epochs", 4, "--learning-rate", 5e-3]
    done = CliRunner().invoke(
        main, [*map(str, settings), "--questions", "4", "--results", str(results)], catch_exceptions=False
    )
    assert done.exit_code == 0
    found = json.loads(results.read_text())
    judged = {verdict["metric"]: verdict for verdict in found["verdicts"]}
    assert {"extraction_strength_forget", "fact_words_forget", "jailbreak_worst", "mia_loss"} <= set(judged)
    assert all(0 <= verdict["faithfulness"] <= 1 for verdict in judged.values())
    assert not any("retain" in metric for metric in judged)
