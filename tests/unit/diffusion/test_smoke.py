"""The shrunken flagship, whole: it teaches, forgets, reports, and goes on from where it was stopped."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from model_cards import card_of

from collapse_core import collapse, create_run, load_recipe, open_run
from collapse_core.report.report import write_report

RECIPE = Path(__file__).resolve().parents[3] / "recipes" / "smoke" / "diffusion_digits.yaml"


RECOGNITION_ALONE = (
    "evaluate.with=[{use: recognition, num_forget: 40, num_retain: 5, drawing: {steps: 8}}]",
    "evaluate.baselines={}",
)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(RECOGNITION_ALONE, id="recognition alone"),
        pytest.param((), id="as shipped", marks=pytest.mark.slow),
    ],
)
def whole(request, tmp_path_factory):
    """The directory of a whole run."""
    recipe, directory = load_recipe(RECIPE, request.param), tmp_path_factory.mktemp("digits") / "whole"
    run = create_run(recipe, RECIPE.read_text(), {}, directory)
    collapse(recipe, run)
    run.close()
    return directory


def journal(directory):
    return [json.loads(line) for line in (directory / "journal.jsonl").read_text().splitlines()]


def test_a_run_forgets_and_its_report_shows_it(whole, tmp_path):
    measured = [json.loads(line) for line in (whole / "evaluations.jsonl").read_text().splitlines()]
    forget = {
        row["model"]: row["metrics"]["forget_recognized"]["value"]
        for row in measured
        if row["evaluator"] == "recognition"
    }
    assert forget["after"] < forget["before"] / 2
    write_report([whole], tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "forget_recognized" in page
    drawn, sampled = page.split("What was sampled")
    image = '<img class="pixels" src="data:image/png;base64,'
    models = {row["model"] for row in measured}
    assert models >= {"before", "after"}
    assert drawn.count(image) == len(models) * (10 + 24), (
        "of each model, all of the forgotten class and some of the rest"
    )
    assert sampled.count(image) > 24, "of more than one iteration"
    assert 6 <= sampled.count('<li class="kept"') < sampled.count(image)


def test_the_card_of_its_model_is_one_that_the_hub_reads(whole, tmp_path, monkeypatch, collapse_here):
    from diffusers.utils import dynamic_modules_utils

    monkeypatch.setattr(dynamic_modules_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr(sys, "path", [*sys.path])
    card, _ = card_of(whole, tmp_path, collapse_here)
    assert card.data.library_name == "diffusers"
    assert "forget_recognized" in {result.metric_type for result in card.data.eval_results}


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_to_the_same_end(whole, tmp_path):
    """Nothing is measured, which takes most of the time and must not change what is chosen."""
    recipe = load_recipe(RECIPE, ["evaluate={every: 0}"])
    stopped = create_run(recipe, RECIPE.read_text(), {}, tmp_path / "stopped")
    stopped.interrupted = True
    collapse(recipe, stopped)
    stopped.close()
    assert len(journal(tmp_path / "stopped")) == 1
    again = open_run(tmp_path / "stopped", recipe)
    collapse(recipe, again)
    assert again.finished
    again.close()
    assert journal(tmp_path / "stopped") == journal(whole)
    images = [
        [json.loads(line)["answer"] for line in file.read_text().splitlines()]
        for folder in (whole, tmp_path / "stopped")
        for file in sorted((folder / "completions").glob("*.jsonl"))
    ]
    assert images[:4] == images[4:]
    assert np.shape(images[0][0]) == (8, 8)
