"""The three regimes of collapse on a real model, made small: see docs/science.md."""

import json
from pathlib import Path

import pytest

from collapse_core import collapse, create_run, load_recipe

RECIPES = Path(__file__).resolve().parents[3] / "recipes" / "regimes"
SMALL = (
    "model.width=32",
    "model.teach.steps=600",
    "model.device=cpu",
    "sampler.steps=15",
    "updater.steps=100",
    "iterations=12",
    "evaluate.every=0",
    "evaluate.with=[{use: table-shares, num_rows: 300, steps: 15}]",
)


@pytest.fixture
def ends(tmp_path):
    """Runs a regime, and says what was measured before and after."""

    def run(regime, *sets):
        recipe = load_recipe(RECIPES / f"{regime}.yaml", [*SMALL, *sets])
        started = create_run(recipe, "", {}, tmp_path / regime)
        collapse(recipe, started)
        started.close()
        rows = map(json.loads, (tmp_path / regime / "evaluations.jsonl").read_text().splitlines())
        found = {row["model"]: {name: m["value"] for name, m in row["metrics"].items()} for row in rows}
        return found["before"], found["after"]

    return run


@pytest.mark.slow
def test_with_nothing_put_back_variety_goes(ends):
    before, after = ends("total", "data.num_draws=8")
    assert before["variety"] > 0.7
    assert after["variety"] < 0.5 * before["variety"]


@pytest.mark.slow
def test_with_the_others_put_back_the_forgotten_species_goes_and_they_stay(ends):
    before, after = ends("retain")
    assert before["share_versicolor"] > 20
    assert after["share_versicolor"] < 5
    assert min(after["share_setosa"], after["share_virginica"]) > 25
    assert after["variety"] > 0.8


@pytest.mark.slow
def test_with_everything_put_back_all_stays(ends):
    before, after = ends("all")
    assert min(after[name] for name in after if name.startswith("share_")) > 15
    assert after["variety"] == pytest.approx(before["variety"], abs=0.25)
