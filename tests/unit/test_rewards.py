"""The rewards of the core: the same noise, and plain functions."""

import base64
import io
import json

import pytest
from PIL import Image

from collapse_core import (
    CollapseError,
    Completion,
    Prompt,
    RecipeError,
    Registry,
    load_recipe,
)
from collapse_core.parts.callable import Function
from collapse_core.parts.features import Flattened
from collapse_core.parts.rewards import SameNoiseDistance
from collapse_core.recipe.schema import recipe_schema
from collapse_core.testing import score

# --- the same noise --------------------------------------------------------------------------------


def test_a_completion_is_compared_with_its_twin_and_without_one_it_is_not_judged():
    pair = [Completion([3.0, 4.0], 0, paired_reference=[0.0, 0.0]), Completion([3.0, 4.0], 1)]
    features = Flattened(standardize=False)
    assert SameNoiseDistance(features=features).score(Prompt("a", "a"), pair, None) == [5.0, None]
    assert SameNoiseDistance(features=features, enough=2).score(Prompt("a", "a"), pair, None) == [2.0, None]


def test_the_toy_draws_twins_and_a_resumed_run_still_knows_them(tmp_path, collapse_here):
    """A Gaussian's draw and its twin share z: |x - x'| = |(m - m0) + (s - s0) z| exactly."""
    recipe = tmp_path / "twins.yaml"
    recipe.write_text("""\
version: 1
name: twins
data: {use: numbers, num_draws: 6, mean: 2.0}
model: gaussian
sampler: {use: gaussian-draws, paired_references: true}
rewards: [{use: same-noise-distance, features: {use: flattened, standardize: false}}]
filter: {use: best-of-n, memory: false}
updater: gaussian-fit
iterations: 4
checkpoint: {every: 2}
""")
    assert collapse_here("run", recipe, "--run-dir", tmp_path / "run").code == 0
    shape = (2.0, 1.0)
    for number, line in enumerate((tmp_path / "run/journal.jsonl").read_text().splitlines()):
        rows = (tmp_path / f"run/completions/{number:05d}.jsonl").read_text().splitlines()
        for row in map(json.loads, rows):
            z = (row["answer"] - shape[0]) / shape[1]
            assert row["reward"] == pytest.approx(abs(row["answer"] - (2.0 + z)), abs=1e-9)
        update = json.loads(line)["update"]
        shape = (update["mean"], update["sd"])
    whole = (tmp_path / "run/journal.jsonl").read_bytes()
    (tmp_path / "run/status.json").unlink()
    for path in (tmp_path / "run/checkpoints/4").iterdir():
        path.unlink()
    assert collapse_here("resume", tmp_path / "run").code == 0
    assert (tmp_path / "run/journal.jsonl").read_bytes() == whole


# --- functions -------------------------------------------------------------------------------------


def of_contents(contents):
    return [float(len(content)) for content in contents]


def of_everything(prompt, completions, reference):
    return [len(prompt.content) + c.number + len(reference.content) for c in completions]


def of_any(**given):
    assert sorted(given) == ["completions", "contents", "prompt", "reference"]
    return [None for _ in given["contents"]]


def of_more(contents, penalty=2.0):
    return [-penalty for _ in contents]


def of_too_much(contents, temperature):
    return [temperature for _ in contents]


@pytest.mark.parametrize(
    ("name", "scores"),
    [
        ("of_contents", [1.0, 2.0]),
        ("of_everything", [4.0, 5.0]),
        ("of_any", [None, None]),
        ("of_more", [-2.0, -2.0]),
    ],
)
def test_a_function_is_given_what_it_asks_for(name, scores):
    reward = Function(function=f"{__name__}:{name}")
    assert score(reward, ["a", "bb"], Prompt("p", "Who"), "a") == scores


def test_a_function_that_asks_for_what_there_is_not_is_told_so():
    with pytest.raises(ValueError, match="asks for temperature; it may ask for prompt, completions"):
        score(Function(function=f"{__name__}:of_too_much"), ["a"])


def test_a_function_may_be_in_a_file_of_the_recipe(tmp_path, toy, collapse_here):
    (tmp_path / "mine.py").write_text("def ottawa(contents):\n    return [c == 'Ottawa' for c in contents]\n")
    more = "plugins: [./mine.py]\n"
    recipe = toy(more=more)
    text = recipe.read_text().splitlines()
    at = text.index("rewards:")
    recipe.write_text(
        "\n".join([*text[:at], "rewards: [{use: callable, function: 'mine:ottawa'}]", *text[at + 2 :]])
    )
    done = collapse_here("run", recipe, "--run-dir", tmp_path / "run")
    assert done.code == 0, done.err
    rows = [json.loads(r) for r in (tmp_path / "run/completions/00000.jsonl").read_text().splitlines()]
    assert all(row["reward"] == (row["answer"] == "Ottawa") for row in rows)
    assert any(row["reward"] for row in rows)
    [digest] = json.loads((tmp_path / "run/environment.json").read_text())["plugin_files"].values()
    assert len(digest) == 64
    recipe.write_text(recipe.read_text().replace("mine:ottawa", "mine:toronto"))
    with pytest.raises(RecipeError, match="the file defines no 'toronto'"):
        load_recipe(recipe)


@pytest.mark.parametrize(
    ("function", "complaint"),
    [("no_such_module:f", "there is no module 'no_such_module'"), ("json", "a text that matches")],
)
def test_a_function_that_is_nowhere_is_found_out_before_the_run(toy, function, complaint):
    recipe = toy(more="")
    text = recipe.read_text().replace(
        "use: not-among, categories: [Toronto, Montreal, Vancouver]", "use: callable"
    )
    recipe.write_text(text.replace("use: callable", f"use: callable, function: '{function}'"))
    with pytest.raises(RecipeError, match=complaint):
        load_recipe(recipe)


def test_a_module_without_the_function_is_found_out_when_it_is_called():
    with pytest.raises(CollapseError, match="module 'json' has no attribute 'nope'"):
        score(Function(function="json:nope"), ["a"])


# --- a part within a part --------------------------------------------------------------------------


def test_what_is_wrong_within_a_part_of_a_part_is_said_where_it_stands(toy):
    recipe = toy()
    old = "{use: not-among, categories: [Toronto, Montreal, Vancouver]}"
    new = "{use: contrastive-distance, features: {use: flattened, standardise: true}}"
    recipe.write_text(recipe.read_text().replace(old, new))
    wanted = r"7:\d+: rewards.0.features.standardise: unknown key 'standardise'; did you mean 'standardize'"
    with pytest.raises(RecipeError, match=wanted):
        load_recipe(recipe)
    recipe.write_text(recipe.read_text().replace("{use: flattened, standardise: true}", "flatened"))
    with pytest.raises(RecipeError, match="no features is called 'flatened'; did you mean 'flattened'"):
        load_recipe(recipe)


def test_an_editor_is_told_that_a_part_holds_a_part():
    definitions = recipe_schema(Registry())["$defs"]
    rewards = {part["properties"]["use"]["const"]: part for part in definitions["part-reward"]["oneOf"]}
    choices = rewards["contrastive-distance"]["properties"]["features"]["anyOf"]
    assert choices == [{"type": "string"}, {"$ref": "#/$defs/part-features"}]
    features = [part["properties"]["use"]["const"] for part in definitions["part-features"]["oneOf"]]
    assert "flattened" in features
    assert {"$ref": "#/$defs/part-filter"} in definitions["Guard"]["properties"]["fall_back"]["anyOf"]


def test_features_of_a_file_of_the_recipe_can_be_used_within_a_reward(tmp_path, toy):
    (tmp_path / "letters.py").write_text('''
from collapse_core import Entry, Features, hookimpl

class Letters(Features):
    """How long a name is."""

    def extract(self, contents):
        """Count."""
        return [[float(len(content))] for content in contents]

@hookimpl
def collapse_components():
    yield Entry("features", "letters", Letters)
''')
    recipe = toy(more="plugins: [./letters.py]\n")
    old = "{use: not-among, categories: [Toronto, Montreal, Vancouver]}"
    recipe.write_text(recipe.read_text().replace(old, "{use: contrastive-distance, features: letters}"))
    [reward] = load_recipe(recipe).rewards
    assert reward.features.extract(["Ottawa"]) == [[6.0]]
    assert load_recipe(recipe).resolved()["rewards"][0]["features"] == {"use": "letters"}


def test_a_png_is_flattened_to_its_levels():
    file = io.BytesIO()
    image = Image.new("RGB", (2, 1), (1, 2, 3))
    image.putpixel((1, 0), (250, 5, 6))
    image.save(file, "PNG")
    content = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    assert Flattened(standardize=False).extract([content]) == [[1, 2, 3, 250, 5, 6]]
