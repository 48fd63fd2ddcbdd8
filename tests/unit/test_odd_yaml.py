"""YAML that no recipe can mean: each piece is refused in one sentence with its place, and takes no time."""

import time

import pytest
from ruamel.yaml.error import YAMLError

from collapse_core import errors, load_recipe
from collapse_core.cli import launching
from collapse_core.errors import CollapseError, Problem, RecipeError
from collapse_core.recipe.document import read_document
from collapse_core.recipe.reading import load_yaml

BOMB = "[&a [x, x, x, x, x, x, x, x, x], " + ", ".join(
    f"&{name} [{', '.join([f'*{before}'] * 9)}]" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


def problem(text: str, directory) -> str:
    with pytest.raises(RecipeError) as refused:
        read_document(text, "r.yaml", directory)
    return str(refused.value)


@pytest.mark.parametrize(
    ("value", "place", "what"),
    [
        ("!!python/object/apply:os.system [true]", "2:7", "tag '!!python/object/apply:os.system' means"),
        ("!custom {a: 1}", "2:7", "the tag '!custom' means nothing here; leave it out"),
        ("!!set {a, b}", "2:7", "the tag '!!set' means nothing here; leave it out"),
        ("!!str [1]", "2:7", "the tag '!!str' means nothing here; leave it out"),
        ("!!int x", "2:7", "'x' is not of the type 'int'"),
        ("9" * 5000, "2:7", "is not of the type 'int'"),
        ("&self [*self]", "2:7", "the alias *self stands within what it is an alias of"),
        ("&self {<<: *self}", "2:7", "the alias *self stands within what it is an alias of"),
        ("[" * 5000, "2:108", "mappings and lists are more than 100 deep"),
        ("\n  " + "- " * 3000 + "x", "3:201", "mappings and lists are more than 100 deep"),
        (BOMB + "]", "2:33", "more than 20000 keys and values, those of each *alias counted"),
        ("{[a]: 1}", "2:8", "expected a text as the key, found a list or a mapping"),
        ('"a\\0b"', "2:1", "name: holds the character U+0000"),
        ("a\0b", "2:8", "not valid YAML: the character U+0000 is not allowed in YAML"),
    ],
)  # fmt: skip
def test_what_no_recipe_can_mean_is_refused_at_once_with_its_place(tmp_path, value, place, what):
    began = time.process_time()
    said = problem(f"version: 1\nname: {value}\n", tmp_path)
    assert said.startswith(f"r.yaml:{place}: ")
    assert what in said
    assert "\n" not in said
    assert time.process_time() - began < 2


def test_a_date_and_signs_of_yaml_are_texts_and_an_anchored_truth_value_is_one(tmp_path):
    text = "a: 2025-04-10\nb: 2001-99-99\nc: =\nd: <<\ne: &yes true\nf: *yes\n2001-01-01: x\n"
    data = read_document(text, "r.yaml", tmp_path).data
    assert data == {
        "a": "2025-04-10", "b": "2001-99-99", "c": "=", "d": "<<", "e": True, "f": True, "2001-01-01": "x"
    }  # fmt: skip
    assert data["f"] is True


@pytest.mark.parametrize("override", ["name=!!int x", "name=&a [*a]", "name=" + "[" * 300, 'name="a\\0"'])
def test_an_override_is_read_as_a_recipe_is(toy, override):
    with pytest.raises(RecipeError, match="name: "):
        load_recipe(toy(), [override])
    assert load_recipe(toy(), ["name=2025-04-10"]).name == "2025-04-10"


@pytest.mark.parametrize("index", ["\u00b2", "9" * 5000])
def test_a_place_in_a_list_that_is_no_number_is_no_place(toy, index):
    with pytest.raises(RecipeError, match="there is no such place in the recipe"):
        load_recipe(toy(), [f"rewards.{index}.weight=2"])


@pytest.mark.parametrize("text", ["a: !!int x", "&a [*a]", "[" * 5000, "\xff"])
def test_settings_for_accelerate_that_are_no_yaml_are_named(tmp_path, text):
    path = tmp_path / "accelerate.yaml"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(CollapseError, match=r"accelerate\.yaml"):
        launching._is_sharding(path)


def test_what_the_parser_does_not_foresee_is_still_no_yaml(monkeypatch):
    from ruamel.yaml import YAML

    def fail(self, text):
        raise AttributeError("odd")

    monkeypatch.setattr(YAML, "load", fail)
    with pytest.raises(YAMLError, match="it cannot be parsed"):
        load_yaml("a: 1")


@pytest.mark.parametrize(
    "line",
    ["extends: ~nobody-has-this-home/base.yaml", "plugins: [~nobody-has-this-home/p.py]"],
)  # fmt: skip
def test_a_home_that_nobody_has_is_a_file_that_is_not_there(toy, line):
    path = toy(more=f"{line}\n")
    with pytest.raises(RecipeError, match="no such file or directory"):
        load_recipe(path)


def test_a_problem_is_one_line_however_odd_its_key():
    shown = str(Problem("r.yaml", 1, 2, "a\nb\t\u202ec", "unknown key 'a\nb'"))
    assert shown == "r.yaml:1:2: a\\nb\\t\\u202ec: unknown key 'a\\nb'"
    shown = str(Problem("r.yaml", 1, 2, "a" * 5000, "b" * 5000 + "; the end"))
    assert len(shown) < 1200
    assert shown.endswith("b; the end")


def test_of_many_problems_the_first_are_printed_and_the_others_counted():
    found = [Problem("r.yaml", line, 1, "a", "is missing") for line in range(1, 31)]
    lines = str(RecipeError(found)).splitlines()
    assert len(lines) == errors.MOST_SHOWN + 1
    assert lines[-1] == "r.yaml: 10 more problems"
    assert len(RecipeError(found).problems) == 30
    assert str(RecipeError(found[:21])).splitlines()[-1] == "r.yaml: 1 more problem"


def test_a_value_from_python_with_odd_keys_is_shown(toy):
    from collapse_core import build_recipe

    with pytest.raises(RecipeError, match=r"expected a text, found \{\(1, 2\): 3\}"):
        build_recipe(toy(), name={(1, 2): 3})
