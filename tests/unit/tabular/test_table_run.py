"""Rewards and evaluators on known cases, and whole runs."""

import json
import re
from itertools import combinations
from pathlib import Path
from statistics import fmean

import pytest
from model_cards import card_of
from small_tables import small

from collapse_core import Callback, CollapseError, Prompt, collapse, create_run, load_recipe, open_run
from collapse_core.report.report import write_report
from collapse_core.testing import check_evaluator, check_part, check_reward, score
from collapse_tabular.data import Condition, Iris, TableFile
from collapse_tabular.data.vectors import Vectors
from collapse_tabular.evaluators import (
    TableForgetting,
    TablePrivacy,
    TableQuality,
    TableRelearning,
    TableShares,
)
from collapse_tabular.evaluators.shares import variety
from collapse_tabular.rewards import OutsideSubgroup, RowClassifier
from collapse_tabular.rewards.features import RowFeatures

RECIPES = Path(__file__).resolve().parents[3] / "recipes"
SMITH = {"trade": "smith", "town": "north", "height": 185.0, "children": 0, "income": "high"}
BAKER = SMITH | {"trade": "baker"}


# --- rewards -----------------------------------------------------------------------------------------


def test_the_exact_reward_reads_the_row():
    reward = OutsideSubgroup(conditions=[Condition(column="trade", value="smith")])
    assert score(reward, [SMITH, BAKER]) == [0.0, 1.0]
    check_part("reward", OutsideSubgroup, conditions=[{"column": "trade", "value": "smith"}])
    check_reward(reward, [SMITH, BAKER])


def test_its_conditions_are_the_data_sets_unless_it_has_its_own(table, wine):
    reward = OutsideSubgroup()
    with pytest.raises(CollapseError, match="has no conditions"):
        score(reward, [SMITH])
    reward.prepare(table, [], {})
    assert score(reward, [SMITH, BAKER]) == [0.0, 1.0]
    with pytest.raises(CollapseError, match="reads the column 'class', which prompts say"):
        OutsideSubgroup().prepare(wine, [], {})


@pytest.mark.parametrize("family", ["logistic", "neighbors"])
def test_the_classifier_rewards_rows_that_answer_another_prompt(family, wine):
    reward = RowClassifier(family=family)
    with pytest.raises(CollapseError, match="has not been prepared"):
        score(reward, [{}])
    reward.prepare(wine, wine.load("forget"), {})
    asked = Prompt("q", {"class": 1})
    by_class = {
        k: score(reward, [p.target for p in wine.load("test") if p.content == {"class": k}], asked)
        for k in (0, 1, 2)
    }
    means = {k: sum(scores) / len(scores) for k, scores in by_class.items()}
    assert means[1] < 0.15
    assert min(means[0], means[2]) > 0.85
    check_part("reward", RowClassifier)
    check_reward(reward, [p.target for p in wine.load("test")][:9], asked, data=wine)


def test_row_features_are_scaled_by_what_is_retained(table):
    features = RowFeatures()
    with pytest.raises(CollapseError, match="has not been prepared"):
        features.extract([SMITH])
    features.prepare(table)
    points = features.extract([p.target for p in table.load("retain")])
    assert points[:, 0].mean() == pytest.approx(0, abs=1e-9)
    assert points[:, 0].std() == pytest.approx(1)
    check_part("features", RowFeatures)


# --- evaluators --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [TableForgetting, TableQuality, TablePrivacy, TableRelearning, TableShares])
def test_an_evaluator_changes_nothing_and_reads_what_it_declares(kind, table, model):
    check_part("evaluator", kind)
    check_evaluator(kind(num_rows=40), model, table)


def measured(model, data):
    found = {}
    for evaluator in (TableForgetting(num_rows=150), TableQuality(num_rows=150), TablePrivacy(num_rows=150)):
        found |= {name: metric.value for name, metric in evaluator.evaluate(model, data, 0).metrics.items()}
    return found


@pytest.mark.slow
def test_a_model_that_knows_the_subgroup_is_told_from_one_that_does_not(wine):
    """Taught on all wines the model draws the class; taught without it, it draws others."""
    knows, never = (measured(small(teach={"split": s}).load(wine, 0), wine) for s in ("full", "retain"))
    assert knows["forgotten_share"] > 90
    assert knows["goes_to_class=1"] == pytest.approx(knows["forgotten_share"])
    assert never["forgotten_share"] < 10
    assert min(knows["retained_accuracy"], never["retained_accuracy"]) > 90
    assert min(knows["trained_on_drawn"], never["trained_on_drawn"]) > 90
    assert knows["judge_accuracy"] > 90
    assert 85 < knows["marginals"] < 100
    assert knows["membership_by_loss"] > never["membership_by_loss"]


def test_what_was_forgotten_is_relearned_from_real_rows(wine):
    never = small(teach={"split": "retain"}).load(wine, 0)
    evaluator = TableRelearning(num_rows=60, after=[1, 150], learning_rate=2e-3)
    found = [metric.value for metric in evaluator.evaluate(never, wine, 0).metrics.values()]
    assert found[0] < 20
    assert found[1] > 80


def test_shares_are_those_of_the_label_where_nothing_is_said(table, wine, model):
    found = TableShares(num_rows=300).evaluate(model, table, 0).metrics
    high = sum(p.target["income"] == "high" for p in table.load("full")) / len(table.load("full"))
    assert found["share_high"].value == pytest.approx(100 * high, abs=12)
    assert found["share_high"].value + found["share_low"].value == pytest.approx(100)
    assert found["variety"].value == pytest.approx(1, abs=0.2)
    with pytest.raises(CollapseError, match="counts the values of 'class', which prompts say"):
        TableShares().evaluate(small(teach={"steps": 1}).load(wine, 0), wine, 0)


def test_variety_is_the_mean_squared_distance_of_two_rows_over_that_of_real_ones(table):
    real = [prompt.target for prompt in table.load("full")][:40]
    some = real[::3]

    def apart(rows):
        points = Vectors.fit(real).of(rows)
        return [((one - other) ** 2).sum() for one, other in combinations(points, 2)]

    assert variety(some, real) == pytest.approx(fmean(apart(some)) / fmean(apart(real)))
    assert variety(real[:1] * 5, real) == pytest.approx(0)


@pytest.mark.slow
def test_a_subgroup_with_conditions_is_judged_by_its_own_columns(table):
    found = measured(small(condition_dropout=0.5).load(table, 0), table)
    assert found["judge_accuracy"] == 100
    assert found["forgotten_share"] > 85
    assert found["unasked_share"] == pytest.approx(25, abs=12), "a quarter of all people are in it"
    assert sum(value for name, value in found.items() if name.startswith("goes_")) == pytest.approx(100)


EVERY_MEASURE = [
    TableForgetting(num_rows=20),
    TableQuality(num_rows=20),
    TablePrivacy(num_rows=20),
    TableRelearning(num_rows=20, after=[2]),
    TableShares(num_rows=20),
]


@pytest.mark.parametrize("evaluator", EVERY_MEASURE, ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("split", ["retain", "forget_examples"])
def test_a_model_that_never_saw_a_category_is_still_measured(evaluator, split, tmp_path):
    """Groups and codes are unknown to a model that was taught a part of the rows."""
    path = tmp_path / "codes.csv"
    groups = ["abc"[i % 3] for i in range(60)]
    lines = [f"{group},{'yn'[i % 2]},{i},{group}{i // 6}\n" for i, group in enumerate(groups)]
    path.write_text("g,y,x,code\n" + "".join(lines))
    conditions = [Condition(column="g", value="a")]
    table = TableFile(path=str(path), prompt=["g"], predict="y", forget=conditions)
    model = small(teach={"split": split, "steps": 3}).load(table, 0)
    found = evaluator.evaluate(model, table, 0).metrics
    assert all(metric.value == metric.value for metric in found.values())
    if isinstance(evaluator, TableRelearning):
        assert ("rows_it_cannot_draw" in found) == (split == "retain")


def test_what_cannot_be_relearned_is_said(tmp_path):
    iris = Iris(prompt=[], num_draws=8)
    never = small(teach={"split": "retain", "steps": 3}).load(iris, 0)
    found = TableRelearning(num_rows=20, after=[2]).evaluate(never, iris, 0).metrics
    assert (found["rows_it_cannot_draw"].value, found["relearned_after_2"].value) == (100, 0)


def test_only_tables_and_models_of_rows_are_measured(model):
    with pytest.raises(CollapseError, match="needs the class Table; choose another under data:"):
        TableForgetting().evaluate(model, load_recipe(RECIPES / "toy" / "no_collapse.yaml").data, 0)


# --- runs --------------------------------------------------------------------------------------------


class StopAfter(Callback):
    """Interrupts a run as Ctrl-C does."""

    def __init__(self, run, iteration):
        self.run, self.iteration = run, iteration

    def on_iteration(self, line, total):
        self.run.interrupted = line["iteration"] + 1 == self.iteration


def start(directory, *sets):
    recipe = load_recipe(RECIPES / "smoke" / "tabular_wine.yaml", ["model.device=cpu", *sets])
    return recipe, create_run(recipe, "", {}, directory)


def finish(recipe, run, *callbacks):
    collapse(recipe, run, [*callbacks])
    run.close()


def lines(run, name):
    return [json.loads(line) for line in (run / name).read_text().splitlines()]


FEW_MEASURES = (
    "evaluate.with=[{use: table-forgetting, num_rows: 100}, {use: table-quality, num_rows: 100}]",
)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(FEW_MEASURES, id="two measures"),
        pytest.param((), id="as shipped", marks=pytest.mark.slow),
    ],
)
def whole(request, tmp_path_factory):
    """A whole smoke run."""
    directory = tmp_path_factory.mktemp("run") / "run"
    finish(*start(directory, *request.param))
    return directory


def by_model(run):
    found = {}
    for row in lines(run, "evaluations.jsonl"):
        found.setdefault(row["model"], {}).update({n: m["value"] for n, m in row["metrics"].items()})
    return found


def test_the_smoke_run_forgets_the_class_and_keeps_the_others(whole):
    found = by_model(whole)
    assert found["before"]["forgotten_share"] > 90
    assert found["after"]["forgotten_share"] < 10
    assert found["after"]["retained_accuracy"] > found["before"]["retained_accuracy"] - 5
    assert found["after"]["marginals"] > 0.92 * found["before"]["marginals"]
    assert found["never trained on it"]["forgotten_share"] < 10
    assert {path.name for path in (whole / "model").iterdir()} == {"model.safetensors", "config.json"}


def test_its_report_shows_rows_and_marginals_by_iteration_and_by_model(whole, tmp_path):
    write_report([whole], tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert page.count('<table class="rows">') == 3, "forgotten and retained rows, and what was sampled"
    assert page.count("<bdi>alcohol</bdi>") == 3
    strips = re.findall(r'<figcaption dir="auto">alcohol.*?</table>', page, re.S)
    named = [re.findall(r'<th scope="row">(.*?)</th>', strip) for strip in strips]
    assert named[:2] == [["before", "after", "never trained on it", "real"]] * 2
    assert named[2][:2] == ["iteration 1", "iteration 2"]


def test_the_card_of_its_model_is_one_that_the_hub_reads_and_opens_the_model(whole, tmp_path, collapse_here):
    card, names = card_of(whole, tmp_path, collapse_here)
    assert (card.data.library_name, card.data.pipeline_tag) == ("collapse", "other")
    assert "forgotten_share" in {result.metric_type for result in card.data.eval_results}
    assert {"weights", "config"} <= set(names)
    assert names["weights"]


@pytest.mark.slow
@pytest.mark.parametrize("whole", [()], ids=["as shipped"], indirect=True)
def test_a_run_that_is_stopped_and_resumed_ends_as_if_it_had_never_stopped(whole, tmp_path):
    recipe, run = start(tmp_path / "run")
    finish(recipe, run, StopAfter(run, 3))
    assert len(lines(tmp_path / "run", "journal.jsonl")) == 3
    finish(recipe, open_run(tmp_path / "run", recipe))
    for name in ("journal.jsonl", "evaluations.jsonl"):
        assert lines(tmp_path / "run", name) == lines(whole, name)
    for name in ("model.safetensors", "config.json"):
        assert (tmp_path / "run" / "model" / name).read_bytes() == (whole / "model" / name).read_bytes()


CONTROLS = {
    "retained rows alone": "filter={use: above, threshold: 2}",
    "its own rows, unchosen": "completions_per_prompt=1",
}


FORGETTING_ALONE = ["evaluate.baselines={}", "evaluate.with=[{use: table-forgetting, num_rows: 200}]"]


@pytest.mark.slow
@pytest.mark.parametrize("control", CONTROLS)
def test_without_a_choice_by_reward_it_does_not_forget(control, tmp_path):
    finish(*start(tmp_path / "run", CONTROLS[control], *FORGETTING_ALONE))
    assert by_model(tmp_path / "run")["after"]["forgotten_share"] > 70
