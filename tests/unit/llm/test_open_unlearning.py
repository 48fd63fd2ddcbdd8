"""Both ways with OpenUnlearning: its logs, and its experiments."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import hmean, ks_2samp

from collapse_core import CollapseError, load_recipe
from collapse_core.evaluation.during import evaluation_row
from collapse_core.runtime import files
from collapse_llm.data import Authors
from collapse_llm.evaluators.open_unlearning import OpenUnlearning

EXPERIMENT = """\
# @package _global_
defaults:
  - override /model: Llama-3.2-1B-Instruct
  - override /trainer: NPO
  - override /data: unlearn
  - override /data/datasets@data.forget: TOFU_QA_forget
  - override /data/datasets@data.retain: TOFU_QA_retain
  - override /eval: tofu
model:
  model_args:
    pretrained_model_name_or_path: somebody/tofu_${forget_split}_full
forget_split: forget05
retain_split: retain95
retain_logs_path: null
eval:
  tofu: {forget_split: "${forget_split}", retain_logs_path: "${retain_logs_path}", overwrite: true}
data:
  anchor: forget
  forget: {TOFU_QA_forget: {args: {hf_args: {name: "${forget_split}"}}}}
  retain: {TOFU_QA_retain: {args: {hf_args: {name: "${retain_split}"}}}}
trainer:
  args:
    warmup_epochs: 1.0
    learning_rate: 2e-5
    weight_decay: 0.01
    num_train_epochs: 5
    per_device_train_batch_size: 4
    gradient_accumulation_steps: 2
    seed: 7
  method_args: {beta: 0.2, gamma: 0.5, alpha: 2.0}
task_name: ???
"""


def scored(*values: float) -> dict[str, object]:
    return {str(number): {"score": value} for number, value in enumerate(values)}


def log(path: Path, *ratios: float, auc: float = 0.5, **more: object) -> Path:
    fair = float(np.mean([min(r, 1 / r) for r in ratios]))
    value = {
        "forget_truth_ratio": {"agg_value": fair, "value_by_index": scored(*ratios)},
        "forget_Q_A_Prob": {
            "agg_value": 0.3,
            "value_by_index": {"0": {"prob": 0.2, "avg_loss": 1.6}, "1": {"prob": 0.4, "avg_loss": 0.9}},
        },
        "mia_min_k": {"agg_value": auc, "auc": auc, "forget": {}, "holdout": {}},
        **more,
    }
    path.write_text(json.dumps(value))
    return path


# --- logs ------------------------------------------------------------------------------------------


def test_each_metric_of_a_log_is_read_with_an_interval_where_it_has_questions(tmp_path):
    path = log(tmp_path / "TOFU_EVAL.json", 0.5, 2.0, 0.9, 1.1, forget_quality={"agg_value": None})
    found = OpenUnlearning().read_logs([path])
    assert found.metrics["forget_Q_A_Prob"].value == 0.3
    assert found.metrics["forget_Q_A_Prob"].direction == "down"
    assert found.metrics["forget_Q_A_Prob"].low < 0.2 < 0.4 < found.metrics["forget_Q_A_Prob"].high
    assert found.metrics["forget_truth_ratio"].direction == "up"
    assert found.metrics["mia_min_k"].low is None
    assert found.missing == {"forget_quality": "the log gives None"}


def test_a_summary_and_a_log_of_muse_are_read_as_well(tmp_path):
    summary, muse = tmp_path / "TOFU_SUMMARY.json", tmp_path / "MUSE_EVAL.json"
    summary.write_text('{"model_utility": 0.6, "forget_quality": 1e-21}')
    assert OpenUnlearning().read_logs([summary]).metrics["forget_quality"].value == 1e-21
    rows = {
        str(n): {"rougeL_f1": f, "rougeL_recall": 1.0, "generation": ""} for n, f in enumerate((0.2, 0.6))
    }
    muse.write_text(json.dumps({"forget_verbmem_ROUGE": {"agg_value": 0.4, "value_by_index": rows}}))
    metric = OpenUnlearning().read_logs([muse]).metrics["forget_verbmem_ROUGE"]
    assert metric.value == 0.4
    assert metric.low < 0.2 < 0.6 < metric.high, "two questions say little"


def test_a_retain_models_log_gives_what_compares_with_it(tmp_path):
    rng = np.random.default_rng(0)
    own, other = rng.uniform(0.2, 2, 40), rng.uniform(0.2, 1.2, 40)
    first = log(tmp_path / "own.json", *own, auc=0.2)
    second = log(tmp_path / "retain.json", *other, auc=0.4)
    metrics = OpenUnlearning().read_logs([first, second]).metrics
    assert metrics["forget_quality"].value == pytest.approx(ks_2samp(own, other).pvalue)
    assert metrics["privleak"].value == pytest.approx(100 * ((1 - 0.2) - (1 - 0.4)) / (1 - 0.4))


def test_a_log_of_two_evaluations_is_refused(tmp_path):
    stale = {"agg_value": 0.9, "value_by_index": scored(0.1, 0.2)}
    path = log(tmp_path / "TOFU_EVAL.json", 0.5, extraction_strength=stale)
    with pytest.raises(
        CollapseError, match=r"'extraction_strength' is 0\.9, but the mean of its values by question"
    ):
        OpenUnlearning().read_logs([path])


def test_what_is_measured_is_written_as_a_log_that_says_the_same(model, tmp_path, collapse_here):
    evaluator = OpenUnlearning(use="open-unlearning", max_new_tokens=4, num_questions=2)
    found = evaluator.evaluate(model, Authors(), 0)
    run = tmp_path / "run"
    run.mkdir()
    files.write_json(run / "resolved.json", {"recipe": {"name": "measured"}})
    files.append_line(
        run / "evaluations.jsonl", {"model": "after", "iteration": 1} | evaluation_row(evaluator, found, True)
    )
    done = collapse_here("export-logs", run)
    assert done.code == 0, done.err
    assert done.out.split() == [str(run / "logs" / f"TOFU_{kind}.json") for kind in ("EVAL", "SUMMARY")]
    written = json.loads((run / "logs" / "TOFU_EVAL.json").read_text())
    first = written["forget_Q_A_Prob"]["value_by_index"]["0"]
    assert first["prob"] == pytest.approx(np.exp(-first["avg_loss"]))
    assert set(written["forget_Q_A_ROUGE"]["value_by_index"]) == {"0", "1"}
    again = evaluator.read_logs([run / "logs" / "TOFU_EVAL.json"])
    assert again.missing == {}
    assert {name: m.value for name, m in again.metrics.items()} == pytest.approx(
        {name: m.value for name, m in found.metrics.items()}
    )
    nine = [
        found.metrics[f"{prefix}_{name}"].value
        for prefix, names in {
            "retain": ("Q_A_Prob", "Q_A_ROUGE", "Truth_Ratio"),
            "ra": ("Q_A_Prob_normalised", "Q_A_ROUGE", "Truth_Ratio"),
            "wf": ("Q_A_Prob_normalised", "Q_A_ROUGE", "Truth_Ratio"),
        }.items()
        for name in names
    ]
    assert found.metrics["model_utility"].value == pytest.approx(hmean(nine) if min(nine) > 0 else 0)


def test_export_logs_says_what_must_be_measured_first(tmp_path, collapse_here):
    files.write_json(tmp_path / "resolved.json", {"recipe": {"name": "bare"}})
    row = {"model": "after", "iteration": 1, "evaluator": "likelihood", "metrics": {}, "examples": []}
    files.append_line(tmp_path / "evaluations.jsonl", row)
    done = collapse_here("export-logs", tmp_path)
    assert done.code == 1
    assert "the evaluator 'open-unlearning' has not measured this model" in done.err


# --- experiments -----------------------------------------------------------------------------------


def converted(text: str, tmp_path: Path, monkeypatch, collapse_here):
    monkeypatch.chdir(tmp_path)
    Path("experiment.yaml").write_text(text)
    done = collapse_here("init", "recipe", "from-there", "--from-open-unlearning", "experiment.yaml")
    return done, Path("from-there.yaml")


def test_an_experiment_becomes_a_recipe_that_says_the_same(tmp_path, monkeypatch, collapse_here):
    done, path = converted(EXPERIMENT, tmp_path, monkeypatch, collapse_here)
    assert done.code == 0, done.err
    recipe = load_recipe(path).resolved()
    assert recipe["seed"] == 7
    assert recipe["data"]["forget"] == "forget05"
    assert recipe["model"]["path"] == "somebody/tofu_forget05_full"
    assert recipe["model"]["prompt"]["date"] == "10 Apr 2025"
    assert recipe["sampler"]["use"] == "true-answers"
    assert recipe["iterations"] == 5
    said = {
        key: recipe["updater"][key] for key in ("use", "beta", "retain_weight", "learning_rate", "batch_size")
    }
    assert said == {"use": "npo", "beta": 0.2, "retain_weight": 4, "learning_rate": 2e-5, "batch_size": 8}
    assert (recipe["updater"]["warmup"], recipe["updater"]["schedule"]) == (1, "linear")
    assert [one["use"] for one in recipe["evaluate"]["with"]] == ["open-unlearning"]
    assert "gamma 0.5 scales both losses" in done.err


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("NPO", "UNDIAL", "trainer.handler: no updater is 'UNDIAL'"),
        (
            "alpha: 2.0",
            "retain_loss_type: KL",
            "experiment.yaml:30: trainer.method_args.retain_loss_type: NPO has",
        ),
        (
            "seed: 7",
            "neftune_noise_alpha: 5",
            "experiment.yaml:29: trainer.args.neftune_noise_alpha: no recipe",
        ),
        ("TOFU_QA_forget", "MUSE_forget", "data.forget: the data 'MUSE_forget' is not trained on here"),
        ("retain95", "retain90", "retain_split: the retain set of forget05 is retain95 here"),
        ("tofu_${forget_split}", "${elsewhere}", "it refers to 'elsewhere', which the file does not have"),
        ("eval:\n  tofu", "eval:\n  muse", "eval: the suite 'muse' is not measured by its name"),
    ],
)
def test_what_no_recipe_can_say_is_named_with_its_line(old, new, said, tmp_path, monkeypatch, collapse_here):
    assert old in EXPERIMENT
    done, path = converted(EXPERIMENT.replace(old, new), tmp_path, monkeypatch, collapse_here)
    assert done.code == 1
    assert said in done.err
    assert not path.exists()


@pytest.mark.parametrize(
    ("trainer", "arguments", "updater"),
    [
        ("GradAscent", "{}", {"use": "gradient-ascent", "retain_weight": 0}),
        ("GradDiff", "{alpha: 3}", {"use": "gradient-ascent", "retain_weight": 3}),
        ("SimNPO", "{beta: 4.5, delta: 0.1, gamma: 1}", {"use": "simnpo", "beta": 4.5, "gamma": 0.1}),
        (
            "RMU",
            r"{module_regex: model\.layers\.5, steering_coeff: 4}",
            {"use": "rmu", "layer": 5, "steering": 4},
        ),
        ("DPO", "{beta: 0.3}", {"use": "dpo", "beta": 0.3, "retain_weight": 1}),
    ],
)
def test_each_trainer_has_its_updater(trainer, arguments, updater, tmp_path, monkeypatch, collapse_here):
    text = EXPERIMENT.replace("NPO", trainer).replace("{beta: 0.2, gamma: 0.5, alpha: 2.0}", arguments)
    done, path = converted(text, tmp_path, monkeypatch, collapse_here)
    assert done.code == 0, done.err
    found = load_recipe(path).resolved()["updater"]
    assert {key: found[key] for key in updater} == updater
