"""Whole runs that push the reference completions away, in the three domains with gradient steps."""

import json
from pathlib import Path

import pytest

from collapse_core import collapse, create_run, load_recipe

pytestmark = pytest.mark.model

SMOKE = Path(__file__).resolve().parents[2] / "recipes" / "smoke"
TINY = {
    "diffusion_digits": ("rewards=[]", "data.num_draws=3", "model.teach.steps=3", "updater.steps=2"),
    "graph_motif": ("data.num_draws=8", "model.teach.epochs=1", "updater.num_steps=2"),
    "tabular_wine": ("rewards=[]", "data.num_draws=8", "model.teach.steps=3", "updater.steps=2"),
}
SHORT = ("iterations=2", "completions_per_prompt=2", "evaluate.with=[]", "evaluate.baselines={}")


def journal(name, directory, *overrides):
    path = SMOKE / f"{name}.yaml"
    recipe = load_recipe(path, [*TINY[name], *SHORT, *overrides])
    run = create_run(recipe, path.read_text(), {}, directory)
    collapse(recipe, run)
    run.close()
    return (directory / "journal.jsonl").read_text()


@pytest.mark.parametrize("name", TINY)
def test_a_run_pushes_where_it_is_asked_to_and_else_learns_the_same(name, tmp_path):
    plain = journal(name, tmp_path / "plain")
    assert journal(name, tmp_path / "off", "filter.against=reference") == plain
    pushed = journal(name, tmp_path / "on", "filter.against=reference", "updater.against_weight=1")
    first, ours = (json.loads(text.splitlines()[0]) for text in (plain, pushed))
    assert ours.pop("update")["collapse_loss"] > first.pop("update")["collapse_loss"]
    assert ours == first
    assert pushed.splitlines()[1] != plain.splitlines()[1]
