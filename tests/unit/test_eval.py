"""Measuring after the fact: a run's model, any model, published logs."""

import json
import re

import pytest
from measured_toys import measured_recipe

TINY = """\
version: 1
name: tiny
data: {use: authors}
model: {use: causal-lm, path: tiny-llama, compute: float32, teach: {epochs: 1, learning_rate: 5e-3}}
sampler: {use: generate, max_new_tokens: 4}
rewards: [{use: rouge-distance}]
filter: {use: best-of-n}
updater: {use: sft, learning_rate: 2e-3}
prompts_per_iteration: 2
completions_per_prompt: 2
iterations: 1
evaluate: {with: [likelihood]}
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A finished run, and a recipe; never changed."""
    from collapse_core import collapse, create_run, load_recipe

    folder = tmp_path_factory.mktemp("eval")
    recipe = measured_recipe(folder)
    loaded = load_recipe(recipe)
    run = create_run(loaded, recipe.read_text(), {"recipe": {}}, folder / "run")
    collapse(loaded, run)
    run.close()
    return folder


def files_in(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def recorded(run, model="after"):
    rows = [json.loads(line) for line in (run / "evaluations.jsonl").read_text().splitlines()]
    return [row for row in rows if row["model"] == model]


@pytest.fixture
def measured(collapse_here):
    def measure(*arguments):
        done = collapse_here("eval", *arguments, "--json")
        assert done.code == 0, done.err
        return json.loads(done.out)

    return measure


def test_the_model_of_a_run_measures_as_it_did_at_the_end_and_nothing_is_written(measured, home):
    before = files_in(home / "run")
    assert measured(home / "run") == recorded(home / "run")
    assert files_in(home / "run") == before


def test_a_run_that_was_interrupted_is_measured_where_it_stands(measured, home):
    from collapse_core import collapse, create_run, load_recipe

    class AfterThree:
        def on_iteration(self, line, total):
            run.interrupted = line["iteration"] == 2

        def __getattr__(self, name):
            return lambda *arguments: None

    recipe = measured_recipe(home)
    loaded = load_recipe(recipe)
    run = create_run(loaded, recipe.read_text(), {"recipe": {}}, home / "half")
    model = collapse(loaded, run, [AfterThree()])
    run.close()
    [row] = measured(home / "half")
    assert row["iteration"] == 3
    assert row["metrics"]["unlearn_quality"]["value"] == pytest.approx(
        100 * (1 - sum(model.probabilities[city] for city in ("Toronto", "Montreal", "Vancouver")))
    )


@pytest.mark.parametrize(
    "asked",
    [
        ["shares:half=7", "category-shares"],
        ["[{use: shares, half: 7}, category-shares]"],
        ["{use: shares, half: 7}", "category-shares"],
        ["FILE"],
    ],
    ids=" ".join,
)
def test_other_evaluators_can_be_named_in_four_ways(measured, home, tmp_path, asked):
    (tmp_path / "more.yaml").write_text("- {use: shares, half: 7}\n- category-shares\n")
    words = [w for one in asked for w in ("--with", one.replace("FILE", str(tmp_path / "more.yaml")))]
    rows = measured(home / "run", *words)
    assert [row["evaluator"] for row in rows] == ["shares", "category-shares"]
    quality = rows[0]["metrics"]["unlearn_quality"]
    assert quality["high"] - quality["low"] == pytest.approx(14)


def test_what_stands_beside_is_measured_when_asked_for(measured, home):
    rows = measured(home / "run", "--baselines")
    assert rows == recorded(home / "run") + recorded(home / "run", "never trained on it")


def test_the_table_is_that_of_a_run_with_the_same_numbers(collapse_here, home):
    done = collapse_here("eval", home / "run", "--baselines")
    assert done.code == 0
    assert re.search(r"metric +better +after +never trained on it +distance\n", done.out)
    value = recorded(home / "run")[0]["metrics"]["unlearn_quality"]["value"]
    assert f"{value:.1f}" in done.out


def test_rows_are_appended_to_a_file_when_asked_for(collapse_here, home, tmp_path):
    for _ in range(2):
        assert collapse_here("eval", home / "run", "--output", tmp_path / "rows.jsonl").code == 0
    lines = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert [line.pop("measured") for line in lines] == [str(home / "run")] * 2
    assert lines == recorded(home / "run") * 2


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "give a RUN or a MODEL, or --logs"),
        (["nowhere"], 1, "is no run, so nothing says what to measure it by; give a recipe with --recipe"),
        (
            ["nowhere", "--recipe", "RECIPE"],
            1,
            "nowhere holds no categorical model (there is no probabilities.json in it)",
        ),
        (["RUN", "--with", "shares:haf=7"], 2, "unknown key 'haf'; did you mean 'half'?"),
        (["RUN", "--with", "sharse"], 2, "did you mean 'shares'?"),
        (["RUN", "--with", "shares:half"], 2, "expected name:field=value"),
        (["RUN", "--with", "nowhere.yaml"], 2, "nowhere.yaml: cannot be read"),
        (["RUN", "--set", "evaluate.with=[]"], 1, "names no evaluators"),
        (["--logs", "RECIPE"], 1, "nothing says what to measure"),
        (["RUN", "--logs", "RECIPE", "--with", "category-shares"], 1, "category-shares"),
        (["--logs", "RECIPE", "--with", "category-sharse"], 2, "did you mean 'category-shares'?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_clear_sentence(collapse_here, home, arguments, code, said):
    known = {"RUN": home / "run", "RECIPE": home / "measured.yaml"}
    done = collapse_here("eval", *(known.get(word, word) for word in arguments))
    assert (done.code, done.out) == (code, "")
    assert said in done.err
    assert "Traceback" not in done.err


def test_metrics_are_computed_from_logs_without_a_model(measured, home, tmp_path):
    for name, text in (("one.log", "1 2"), ("two.log", "6")):
        (tmp_path / name).write_text(text)
    logs = [word for name in ("one.log", "two.log") for word in ("--logs", tmp_path / name)]
    [row] = measured("--recipe", home / "measured.yaml", *logs)
    assert (row["evaluator"], row["metrics"]["mean_of_log"]["value"]) == ("shares", 3)


@pytest.mark.model
def test_a_run_and_its_exported_model_measure_the_same_and_anything_else_does_not(
    measured, collapse_here, tmp_path, monkeypatch
):
    """A language model, since it can be opened from its directory."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    recipe, run = tmp_path / "tiny.yaml", tmp_path / "run"
    recipe.write_text(TINY)
    assert collapse_here("run", recipe, "--run-dir", run).code == 0
    [of_run] = measured(run)
    [of_model] = measured(run / "model", "--recipe", recipe)
    [of_other] = measured("tiny-llama", "--recipe", recipe)
    overlap = json.loads((run / "environment.json").read_text())["overlap"]
    assert overlap.startswith("20 prompts to forget, 140 to retain; 0 on both sides, 0 nearly (at least 80%")
    assert of_run.pop("overlap") == overlap
    assert f"Overlap of the data: {overlap}." in (run / "report.html").read_text()
    assert [of_run] == recorded(run)
    [line] = map(json.loads, (run / "journal.jsonl").read_text().splitlines())
    assert 0 < line["num_tokens"] <= 4 * line["num_completions"], "no answer has more than max_new_tokens"
    assert line["update"]["num_tokens"] > line["num_kept"]
    assert of_model["metrics"] == of_run["metrics"]
    assert of_other["metrics"] != of_run["metrics"]


def test_what_was_not_measured_stands_in_the_row_with_its_reason(capsys):
    from pathlib import Path

    from collapse_core import Evaluation, Metric
    from collapse_core.evaluation.during import evaluation_row
    from collapse_core.session.console import Console
    from collapse_toy.evaluators import CategoryShares

    found = Evaluation({"num": Metric(1.0)}, missing={"utility": "the data set has no split 'world_facts'"})
    row = evaluation_row(CategoryShares(use="category-shares"), found, keep_text=True)
    assert row["missing"] == {"utility": "the data set has no split 'world_facts'"}
    assert "missing" not in evaluation_row(CategoryShares(), Evaluation({}), keep_text=True)
    Console(Path("run")).on_evaluation({"model": "before"} | row)
    assert "before: num 1  not measured: utility" in capsys.readouterr().err
