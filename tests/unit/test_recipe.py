"""What a recipe means once it is read."""

import pytest

from collapse_core import Recipe, RecipeError, load_recipe


def test_numbers_are_those_of_yaml_1_2(toy):
    path = toy(updater="updater: {use: categorical-mle, retain_weight: 1e-5}", more="seed: 0o17\n")
    recipe = load_recipe(path)
    assert (recipe.updater.retain_weight, recipe.seed) == (1e-5, 15)


def test_no_is_a_word(toy):
    text = toy().read_text().replace("[Toronto, Montreal, Vancouver]", "[no, on, yes]")
    path = toy()
    path.write_text(text)
    assert load_recipe(path).rewards[0].categories == ["no", "on", "yes"]


def test_a_resolved_recipe_says_every_default_and_reads_back_as_itself(toy):
    recipe = load_recipe(toy())
    resolved = recipe.resolved()
    assert resolved["filter"] == {"use": "best-of-n", "memory": True, "at_least": None, "against": None}
    assert resolved["evaluate"]["with"] == [{"use": "category-shares"}]
    assert Recipe.model_validate(resolved).resolved() == resolved
    assert Recipe.model_validate(resolved).digest() == recipe.digest()


@pytest.fixture
def extending(toy, tmp_path):
    toy("base.yaml", more="plugins: []\n")

    def extend(text):
        path = tmp_path / "over.yaml"
        path.write_text(f"extends: base.yaml\n{text}")
        return load_recipe(path)

    return extend


def test_what_extends_merges_mappings_and_replaces_the_rest(extending):
    recipe = extending(
        "name: over\niterations: 9\ndata: {num_draws: 3}\nrewards: []\ncheckpoint: {every: 1}\n"
    )
    assert (recipe.name, recipe.iterations, recipe.rewards) == ("over", 9, [])
    assert (recipe.data.use, recipe.data.num_draws) == ("cities", 3)
    assert (recipe.checkpoint.every, recipe.checkpoint.keep) == (1, 2)


def test_naming_the_same_part_keeps_its_fields_and_another_replaces_it_wholly(extending):
    same = extending("filter: {use: best-of-n}\ndata: {use: cities}\n")
    assert same.data.num_draws == 8
    other = extending("filter: {use: top-fraction, fraction: 0.5}\n")
    assert (other.filter.use, other.filter.fraction) == ("top-fraction", 0.5)


def test_plugins_of_a_base_are_found_beside_the_base(toy, tmp_path):
    (tmp_path / "deep").mkdir()
    toy("base.yaml", more="plugins: [nowhere.py]\n")
    path = tmp_path / "deep" / "over.yaml"
    path.write_text("extends: ../base.yaml\nname: over\n")
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    [problem] = caught.value.problems
    assert problem.file.endswith("base.yaml")


def test_what_is_set_wins_over_the_file_and_the_base(toy):
    recipe = load_recipe(
        toy(),
        ["iterations=1", "updater.retain_weight=2e0", "rewards.0.weight=3", "evaluate.every=0", "track=[]"],
    )
    assert (recipe.iterations, recipe.updater.retain_weight, recipe.rewards[0].weight) == (1, 2.0, 3.0)


def test_all_problems_are_told_at_once_and_in_order(toy):
    path = toy(
        data="data: {use: cities, a: 1}",
        filter="filter: {use: x}",
        iterations="iterations: -1",
        more="b: 1\n",
    )
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert [problem.path for problem in caught.value.problems] == ["data.a", "filter", "iterations", "b"]
    assert [problem.line for problem in caught.value.problems] == sorted(
        p.line for p in caught.value.problems
    )


def test_a_recipe_that_contains_itself_is_an_error_and_not_a_crash(tmp_path):
    path = tmp_path / "loop.yaml"
    path.write_text("version: 1\ndata: &again\n  use: *again\n")
    with pytest.raises(RecipeError, match=r":2:7: .*the alias \*again stands within what it is"):
        load_recipe(path)


def test_parts_are_frozen(toy):
    recipe = load_recipe(toy())
    with pytest.raises(ValueError, match="frozen"):
        recipe.filter.memory = False
