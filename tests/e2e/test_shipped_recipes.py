"""The recipes that ship: all are sound, and the published settings are the published ones."""

from pathlib import Path

import pytest

from collapse_core import load_recipe

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
EVERY = sorted(RECIPES.rglob("*.yaml"))
READ_FORGET_ANSWERS = {
    "altpo",
    "ce_u",
    "dpo",
    "gradient_ascent",
    "gradient_difference",
    "guided_target",
    "jensun",
    "npo",
    "pdu",
    "rmu",
    "satimp",
    "simnpo",
    "undial",
    "wga",
}
"""The methods, of those that PMC is compared with, that cannot do without the true answers."""


@pytest.mark.parametrize("path", EVERY, ids=lambda path: path.relative_to(RECIPES).as_posix())
def test_every_recipe_is_sound(path):
    recipe = load_recipe(path)
    assert recipe.needs_targets == (path.stem in READ_FORGET_ANSWERS)
    assert not recipe.track, "no tracker unless one asks for it"


PUBLISHED = {
    "phi_tofu": {
        "path": "microsoft/phi-1_5", "temperature": 1.25, "top_p": 0.95, "n": 5, "weight": 1.5, "rate": 1e-5,
        "batch": 64, "micro": 16, "epochs": 40, "teach": (5, 2e-5, 32), "chat": False,
    },
    "llama_tofu": {
        "path": "meta-llama/Llama-3.2-3B-Instruct", "temperature": 0.9, "top_p": 0.95,
        "n": 20, "weight": 1.25, "rate": 1e-5, "batch": 16, "micro": 8, "epochs": 30,
        "teach": (5, 1e-5, 16), "chat": True,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_settings_are_those_of_the_paper(name):
    """The public implementation's table of hyperparameters; an epoch is 400 questions."""
    recipe, paper = load_recipe(RECIPES / "paper" / f"{name}.yaml"), PUBLISHED[name]
    model, sampler, updater = recipe.model, recipe.sampler, recipe.updater
    assert (model.path, model.max_length, model.prompt.chat) == (paper["path"], 200, paper["chat"])
    assert (sampler.temperature, sampler.top_p) == (paper["temperature"], paper["top_p"])
    assert (sampler.top_k, sampler.min_p) == (50, 0), "what transformers takes where nothing is said"
    assert recipe.completions_per_prompt == paper["n"]
    assert [(reward.use, reward.min_len) for reward in recipe.rewards] == [("rouge-distance", 0)]
    assert (updater.retain_weight, updater.learning_rate) == (paper["weight"], paper["rate"])
    assert (updater.batch_size, updater.micro_batch_size) == (paper["batch"], paper["micro"])
    assert recipe.prompts_per_iteration == paper["batch"], "one optimizer step an iteration, on live weights"
    assert recipe.iterations == paper["epochs"] * 400 // paper["batch"]
    assert updater.warmup == pytest.approx(400 / paper["batch"]), "one epoch"
    teach = model.teach
    assert (teach.epochs, teach.learning_rate, teach.batch_size) == paper["teach"]
    if paper["chat"]:
        assert (model.prompt.system, model.prompt.date) == ("You are a helpful assistant.", "10 Apr 2025")
    else:
        assert (model.prompt.question, model.prompt.answer) == ("Question: {}\n", "Answer: {}")
