"""The estimate is kept by the run; a preview trains nothing."""

import re
import time
from dataclasses import replace

import pytest

from collapse_core import Model, collapse, create_run, load_recipe
from collapse_core.contracts.types import Prompt
from collapse_core.runtime import waiting
from collapse_core.runtime.cache import cached, timing
from collapse_core.session.estimate import known_costs, num_measurements, time_costs
from collapse_toy.evaluators import CategoryShares
from collapse_toy.model import Categorical
from collapse_toy.sampler import CategoricalDraws
from collapse_toy.updater import CategoricalMle


@pytest.fixture
def slow(monkeypatch):
    """A toy in which each prompt takes its time to sample, and each kept answer to be learned."""

    def slowed(method, seconds, argument):
        def perform(*args, **kwargs):
            time.sleep(seconds * (1 + len(args[argument])))
            return method(*args, **kwargs)

        return perform

    monkeypatch.setattr(CategoricalDraws, "sample", slowed(CategoricalDraws.sample, 0.002, 2))
    monkeypatch.setattr(CategoricalMle, "update", slowed(CategoricalMle.update, 0.003, 2))


def test_a_run_takes_what_was_estimated_within_a_factor_of_two(slow, toy, tmp_path, collapse_here):
    path = toy(
        data="data: {use: cities, num_draws: 30}",
        iterations="iterations: 8",
        filter="filter: {use: best-of-n, memory: false}",
    )
    recipe = load_recipe(path)
    assert known_costs(recipe) is None
    estimated, began = time_costs(recipe).seconds(recipe), waiting.clock()
    collapse(recipe, create_run(recipe, directory=tmp_path / "run"))
    assert estimated / 2 < waiting.clock() - began < 2 * estimated
    done = collapse_here("run", path, "--run-dir", tmp_path / "said", "--set", "iterations=1")
    assert re.search(r"estimate: \d+:\d\d minutes and .* \(1 iterations of ", done.err)
    assert "of each measurement" not in done.err, "there is one evaluator only"
    other = load_recipe(path, ["iterations=400", "seed=3"])
    assert known_costs(other).seconds(other) > 20 * estimated
    assert known_costs(load_recipe(path, ["completions_per_prompt=7"])) is None


def test_what_a_run_may_stop_by_is_timed_and_counted(toy, monkeypatch):
    take = CategoryShares.evaluate

    def takes_a_while(*arguments):
        time.sleep(0.1)
        return take(*arguments)

    monkeypatch.setattr(CategoryShares, "evaluate", takes_a_while)
    stop = "stop_when: {metric: Toronto, evaluator: category-shares, at_most: -1, every: 3}\n"
    recipe = load_recipe(toy(iterations="iterations: 10", evaluate="evaluate: {}", more=stop))
    costs = time_costs(recipe)
    without = costs.seconds(recipe.model_copy(update={"stop_when": None}))
    assert costs.stop_check >= 0.1
    assert costs.seconds(recipe) == pytest.approx(without + 4 * costs.stop_check), "before, and 3 times"


def test_a_preview_shows_prompt_reference_samples_and_labels_and_leaves_nothing(toy, tmp_path, collapse_here):
    path = toy()
    done = collapse_here("preview", path)
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0] == "8 prompts to forget, 65 to retain"
    assert lines[2:4] == ["forget draw-0, as the model reads it:", "draw"]
    assert lines[4].startswith("reference: ")
    assert sum(line.startswith("sample, reward ") for line in lines) == 3
    assert "learned: Ottawa" in lines
    assert "labels of 65 retain rows: 1 to 1 pieces are learned, median 1, of 2 to 2" in lines
    assert {entry.name for entry in tmp_path.iterdir()} == {"toy.yaml"}


def test_the_samples_of_a_preview_are_those_that_the_run_draws(toy, tmp_path, collapse_here):
    shown = collapse_here("preview", toy(), "--prompts", 2, "--set", "completions_per_prompt=3").out
    assert (
        collapse_here("run", toy(), "--set", "completions_per_prompt=3", "--run-dir", tmp_path / "run").code
        == 0
    )
    rows = (tmp_path / "run/completions/00000.jsonl").read_text().splitlines()[:6]
    drawn = [row.partition('"answer": "')[2].partition('"')[0] for row in rows]
    assert [line.rpartition(": ")[2] for line in shown.splitlines() if line.startswith("sample")] == drawn


def test_what_a_model_does_not_describe_is_shown_as_it_is():
    pieces = Model.pieces(Categorical({"a": 1.0}), Prompt("1", {"class": 3}), [1, 2])
    assert pieces == [('{"class": 3}', False), ("[1, 2]", True)]


def test_an_estimate_names_the_evaluators_that_take_longest(toy):
    recipe = load_recipe(toy(evaluate="evaluate: {every: 2, with: [category-shares]}"))
    costs = time_costs(recipe)
    assert costs.measurement == sum(costs.evaluators.values())
    assert costs.evaluators.keys() == {"category-shares"}
    named = replace(costs, evaluators={"quick": 0.2, "slow": 7.0, "slower": 80.0, "middling": 1.0})
    assert named.describe(recipe).endswith(
        "88.2 s for each measurement); of each measurement slower 80.0 s, slow 7.0 s, middling 1.0 s"
    )
    assert num_measurements(recipe) == 3


def test_what_other_programs_take_is_counted_and_said(toy):
    recipe = load_recipe(toy(evaluate="evaluate: {every: 2, with: [category-shares]}"))
    costs = replace(time_costs(recipe), load=10.0, teach=0.0, save=0.0, iteration=(20.0, 0.0))
    alone, shared = costs.describe(recipe), costs.describe(recipe, 2.5)
    assert "iterations of 20.0 s" in alone
    assert "iterations of 50.0 s" in shared
    assert shared.endswith("; 2.5 times as long as alone")
    assert "as alone" not in alone


def test_what_is_taught_for_the_model_counts_for_baselines_and_a_last_export_is_a_save(toy):
    baselines = "evaluate: {with: [], baselines: {other: {use: categorical}}}"
    recipe = load_recipe(
        toy(iterations="iterations: 5", evaluate=baselines, checkpoint="checkpoint: {every: 2}")
    )
    nothing = {"references": (0.0, 0.0), "iteration": (0.0, 0.0), "evaluators": {}}
    costs = replace(time_costs(recipe), load=1.0, teach=100.0, save=10.0, **nothing)
    assert costs.seconds(recipe) == 2 * 1.0 + 100.0 + 5 * 10.0, "saved before, after 2, 4 and 5, and exported"


def test_what_is_made_for_the_cache_is_no_part_of_the_time_that_work_takes(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = []

    def work():
        cached("slow", "thing", lambda folder: time.sleep(0.2))
        time.sleep(0.05)

    with timing(made):
        work()
        work()
    assert len(made) == 1
    assert made[0] > 0.1
