"""Parts that do not go together are refused before anything is loaded, and named."""

from itertools import product
from pathlib import Path

import pytest

from collapse_core import Evaluator, RecipeError, Registry, load_recipe
from collapse_core.contracts.part_kinds import INTERFACES

pytestmark = pytest.mark.model

RECIPES = Path(__file__).resolve().parents[2] / "recipes"

CITIES = """\
version: 1
name: odd
data: {{use: cities}}
model: {{use: categorical}}
sampler: {{use: {sampler}}}
rewards: {rewards}
filter: {filter}
updater: {{use: {updater}}}
iterations: 1
evaluate: {{with: {evaluators}}}
"""
SOUND = {
    "sampler": "categorical-draws",
    "rewards": "[]",
    "filter": "{use: best-of-n}",
    "updater": "categorical-mle",
    "evaluators": "[category-shares]",
}


def refused(tmp_path, **parts):
    path = tmp_path / "odd.yaml"
    path.write_text(CITIES.format(**SOUND | parts))
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    return str(caught.value)


def test_the_recipe_is_sound_until_a_part_is_exchanged(tmp_path):
    path = tmp_path / "sound.yaml"
    path.write_text(CITIES.format(**SOUND))
    assert load_recipe(path).sampler.use == "categorical-draws"


@pytest.mark.parametrize(
    ("parts", "place", "pair"),
    [
        ({"sampler": "generate"}, "sampler", ("'generate'", "language-model", "'categorical'")),
        ({"updater": "gaussian-fit"}, "updater", ("'gaussian-fit'", "gaussian", "'categorical'")),
        ({"rewards": "[rouge-distance]"}, "rewards", ("'rouge-distance'", "questions", "'cities'")),
        ({"evaluators": "[likelihood]"}, "evaluate", ("'likelihood'", "language-model", "'categorical'")),
        (
            {"rewards": "[{use: same-noise-distance, features: graph-shape}]"},
            "rewards",
            ("'graph-shape'", "graphs or molecules", "'cities'"),
        ),
        (
            {"filter": "{use: group-advantages}"},
            "updater",
            ("'group-advantages'", "weights", "'categorical-mle'"),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_cannot_work_together_is_refused_with_the_pair_and_its_place(parts, place, pair, tmp_path):
    said = refused(tmp_path, **parts)
    assert f": {place}: " in said
    assert all(word in said for word in pair), said
    assert said.count("\n") == 0


def test_a_model_of_one_domain_does_not_learn_the_data_of_another(tmp_path):
    path = tmp_path / "odd.yaml"
    path.write_text(CITIES.format(**SOUND).replace("{use: categorical}", "{use: gaussian}"))
    with pytest.raises(RecipeError, match="the model 'gaussian' works on numbers, but the data set 'cities'"):
        load_recipe(path)


def test_an_updater_that_learns_from_pairs_needs_a_filter_that_makes_them(tmp_path):
    path = tmp_path / "dpo.yaml"
    path.write_text(
        "version: 1\nname: dpo\ndata: {use: authors}\nmodel: {use: causal-lm, path: tiny-llama}\n"
        "sampler: {use: sentences}\nfilter: {use: best-of-n}\nupdater: {use: dpo}\niterations: 1\n"
    )
    with pytest.raises(RecipeError, match=r"'best-of-n' names none; set filter\.against to"):
        load_recipe(path)
    assert load_recipe(path, ["filter.against=target"]).needs_targets
    assert not load_recipe(path, ["filter.against=reference"]).needs_targets


@pytest.mark.parametrize("recipe", ["diffusion_digits", "graph_motif", "graph_nodes", "tabular_wine"])
def test_a_push_needs_a_filter_that_says_what_is_pushed_away(recipe):
    path = RECIPES / f"{recipe}.yaml"
    with pytest.raises(RecipeError, match=r"names none; set filter\.against to reference") as refusal:
        load_recipe(path, ["updater.against_weight=1"])
    assert str(refusal.value).count("\n") == 0
    assert not load_recipe(path, ["updater.against_weight=1", "filter.against=reference"]).needs_targets


def test_every_part_says_what_it_goes_with_in_words_that_some_part_provides():
    registry = Registry()
    parts = {(kind, name): registry.find(kind, name) for kind in INTERFACES for name in registry.names(kind)}
    data = {part.provides for (kind, _), part in parts.items() if kind == "dataset"}
    models = {part.provides for (kind, _), part in parts.items() if kind == "model"}
    assert "" not in data | models
    for (kind, name), part in parts.items():
        known = models if kind in ("sampler", "updater", "evaluator") else data
        assert set(part.works_on) <= known, (kind, name)
        if kind in ("model", "sampler", "updater", "evaluator"):
            assert part.works_on, (kind, name)
        if issubclass(part, Evaluator):
            assert set(part.optional_splits) <= set(part.reads), name


def test_no_sampler_of_one_domain_is_taken_for_a_model_of_another():
    registry = Registry()
    models = [registry.find("model", name) for name in registry.names("model")]
    samplers = [registry.find("sampler", name) for name in registry.names("sampler")]
    for model, sampler in product(models, samplers):
        same = model.__module__.split(".")[0] == sampler.__module__.split(".")[0]
        assert same or model.provides not in sampler.works_on
