"""Whole runs of the shipped recipes, made small."""

import json
import re
from pathlib import Path

import pytest
from model_cards import card_of
from safetensors.torch import load_file

from collapse_core import Callback, create_run, load_recipe, open_run
from collapse_core import collapse as run_loop
from collapse_core.report.report import write_report

SMOKE = Path(__file__).resolve().parents[3] / "recipes" / "smoke"


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def run(name, directory, *overrides):
    recipe = load_recipe(SMOKE / f"{name}.yaml", overrides)
    started = create_run(recipe, "", {}, directory)
    run_loop(recipe, started)
    started.close()
    return directory


def metric(directory, model, name):
    found = [
        r["metrics"][name]
        for r in rows(directory / "evaluations.jsonl")
        if r["model"] == model and name in r["metrics"]
    ]
    [one] = found
    return one["value"]


def report(directory, folder):
    write_report([directory], folder / "report.html")
    return (folder / "report.html").read_text()


WITHOUT_A_BASELINE = ("evaluate.baselines={}",)


@pytest.fixture(scope="module")
def motif(tmp_path_factory):
    """The run of a generator, which tests only read."""
    return run("graph_motif", tmp_path_factory.mktemp("motif") / "run", *WITHOUT_A_BASELINE)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    """The run of a classifier, which tests only read."""
    return run("graph_nodes", tmp_path_factory.mktemp("nodes") / "run")


def test_a_generator_forgets_k4_and_keeps_the_rest(motif, tmp_path):
    check_forgotten(motif, tmp_path)


@pytest.mark.slow
def test_as_shipped_it_is_measured_next_to_a_baseline(tmp_path):
    check_forgotten(run("graph_motif", tmp_path / "run"), tmp_path)
    assert metric(tmp_path / "run", "never trained on it", "forget_rate") < 0.35


def check_forgotten(directory, tmp_path):
    assert metric(directory, "before", "forget_rate") > 0.6
    assert metric(directory, "after", "forget_rate") < 0.35
    models = {row["model"] for row in rows(directory / "evaluations.jsonl")}
    assert metric(directory, "after", "accuracy") > metric(directory, "before", "accuracy") - 0.08
    assert metric(directory, "after", "forget_valid") > 0.95
    page = report(directory, tmp_path)
    drawn = re.findall(r'<svg viewBox="[^"]*" aria-hidden="true"><path d="M.*?</svg>', page, re.S)
    assert len(drawn) > len(models) * (12 + 24), "of each model, and then by iteration"
    assert 'class="kept"' in page
    assert "<text x" not in "".join(drawn), "its nodes have no names"


@pytest.mark.slow
def test_retain_data_alone_make_it_forget_far_less(tmp_path):
    alone = ("rewards=[]", "filter={use: above, threshold: 1}", "evaluate.baselines={}")
    directory = run("graph_motif", tmp_path / "run", *alone)
    assert metric(directory, "after", "forget_rate") > metric(directory, "before", "forget_rate") - 0.3


def test_a_classifier_forgets_a_digit(nodes):
    directory = nodes
    assert metric(directory, "before", "accuracy_forget") > 0.8
    assert metric(directory, "after", "accuracy_forget") < 0.1
    assert metric(directory, "after", "accuracy_test_forgotten") < 0.1
    before, after = (metric(directory, model, "accuracy_test_retained") for model in ("before", "after"))
    assert after > before - 0.05


@pytest.mark.parametrize(("kind", "measured"), [("motif", "forget_rate"), ("nodes", "accuracy_forget")])
def test_the_card_of_a_model_is_one_that_the_hub_reads(kind, measured, request, tmp_path, collapse_here):
    card, names = card_of(request.getfixturevalue(kind), tmp_path, collapse_here)
    assert (card.data.library_name, card.data.pipeline_tag) == ("collapse", "graph-ml")
    assert measured in {result.metric_type for result in card.data.eval_results}
    assert names["weights"]


FEW = ("data.num_molecules=300", "model.teach.epochs=2", "iterations=1")


@pytest.mark.slow
@pytest.mark.parametrize(
    "few",
    [
        pytest.param(FEW, id="few molecules"),
        pytest.param((), id="as many as shipped", marks=pytest.mark.slow),
    ],
)
def test_molecules_go_through_the_same_loop(few, zinc, tmp_path):
    directory = run("graph_molecules", tmp_path / "run", f"data.path={zinc}", "evaluate.baselines={}", *few)
    assert metric(directory, "after", "valid") > 0.95, "what is drawn keeps to valences"
    if not few:
        assert metric(directory, "after", "forget_rate") < metric(directory, "before", "forget_rate")
    assert re.findall(
        r'<svg viewBox="[^"]*" aria-hidden="true"><path d="M.*?>(?:O|N)</text>', report(directory, tmp_path)
    )


class StopsAfter(Callback):
    def __init__(self, started, iterations):
        self.started, self.iterations = started, iterations

    def on_iteration(self, line, total):
        self.started.interrupted = line["iteration"] + 1 == self.iterations


@pytest.mark.parametrize("name", [pytest.param("graph_motif", marks=pytest.mark.slow), "graph_nodes"])
def test_a_resumed_run_ends_as_one_that_never_stopped(name, tmp_path):
    quick = (
        "evaluate.with=[]",
        "iterations=3",
        "model.teach.epochs=2" if name == "graph_motif" else "seed=0",
    )
    whole = run(name, tmp_path / "whole", *quick)
    recipe = load_recipe(SMOKE / f"{name}.yaml", quick)
    first = create_run(recipe, "", {}, tmp_path / "halves")
    run_loop(recipe, first, [StopsAfter(first, 2)])
    first.close()
    assert not (tmp_path / "halves" / "model").exists()
    second = open_run(tmp_path / "halves", recipe)
    run_loop(recipe, second)
    second.close()
    assert (whole / "journal.jsonl").read_bytes() == (tmp_path / "halves" / "journal.jsonl").read_bytes()
    one, other = (load_file(path / "model" / "model.safetensors") for path in (whole, tmp_path / "halves"))
    assert all((one[key] == other[key]).all() for key in one)
