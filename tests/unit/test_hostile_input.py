"""Texts, recipes, packages and pipes that nobody means well: each is named, none is obeyed or fatal."""

import json
import sys
import tempfile
import time

import pytest

from collapse_core import errors, load_recipe
from collapse_core.plugins import discovery
from collapse_core.run import environment

ESCAPE = "\x1b]0;x\a"


def test_control_characters_are_shown_and_not_sent():
    assert errors.printable(f"a{ESCAPE}b\ud800\x9bc\n\t") == "a\\x1b]0;x\\x07b\\ud800\\x9bc\n\t"


@pytest.mark.parametrize(
    "line", ['"a\\e]0;x\\a": 1', 'keep_text: "a\\e]0;x\\a"', "evaluate: {every: 0, with: ['a\\e']}"]
)
def test_a_recipe_with_escape_codes_sends_none_to_the_terminal(toy, collapse_here, line):
    done = collapse_here("validate", toy(more=f"{line}\n") if "evaluate" not in line else toy(evaluate=line))
    assert done.code != 0
    assert "\x1b" not in done.err + done.out
    assert "\a" not in done.err + done.out


@pytest.mark.parametrize("text", ["'a\\x1b[2Jb'", "'a\\ud800b'"])
def test_an_error_text_with_escape_codes_or_half_a_character_fails_the_run_and_is_shown(
    toy, tmp_path, collapse_here, text
):
    (tmp_path / "odd.py").write_text(
        "def worth(contents):\n    raise ValueError(" + text + ")\n", encoding="utf-8"
    )
    path = toy(more="plugins: [odd.py]\n", **{"  - {use": "  - {use: callable, function: 'odd:worth'}"})
    done = collapse_here("run", path, "--run-dir", tmp_path / "run")
    assert done.code == 1
    assert text.strip("'") in done.err
    assert "\x1b" not in done.err
    assert json.loads((tmp_path / "run" / "status.json").read_text())["status"] == "failed"


# --- recipes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "place", "what"),
    [
        (
            {"iterations": "iterations: 1000000000000000000"},
            "10:1",
            "iterations: expected at most 1000000000",
        ),
        (
            {"completions_per_prompt": "completions_per_prompt: 10000000"},
            "11:1",
            "completions_per_prompt: expected at most 1000000",
        ),
        ({"checkpoint": "retain_per_iteration: 1000000000000000000"}, "13:1", "expected at most 1000000000"),
        (
            {"checkpoint": "guard: {passes: 1, then: raise-n, factor: 1.0e+308}"},
            "13:1",
            "'factor' to the power",
        ),
        ({"  - {use": '  - {use: not-among, categories: ["a\\ud800"]}'}, "7:35", "holds half a character"),
        ({"checkpoint": '"a\\ud800": 1'}, "13:1", "holds half a character"),
    ],
)
def test_what_nobody_can_mean_is_refused_with_its_place(toy, collapse_here, line, place, what):
    path = toy(**line)
    done = collapse_here("validate", path)
    assert done.code == 2
    assert done.err.startswith(f"{path}:{place}: ")
    assert what in done.err


def test_a_name_that_no_folder_can_have_is_refused(toy, collapse_here):
    path = toy()
    path.write_text(path.read_text().replace("name: toy", f"name: {'a' * 300}"))
    assert f"{path}:2:1: name: expected at most 100 characters" in collapse_here("validate", path).err


def test_half_a_character_on_the_command_line_is_refused(toy, collapse_here):
    done = collapse_here("validate", toy(), "--set", 'data.forget=["a\\ud800"]')
    assert done.code == 2
    assert "data.forget: holds half a character" in done.err


def test_merge_keys_work_also_below_the_top(toy):
    path = toy(
        model="model: &m {use: categorical}",
        evaluate="evaluate: {baselines: {other: {<<: *m}}, with: [category-shares]}",
    )
    assert load_recipe(path).evaluate.baselines["other"].use == "categorical"


def test_a_home_directory_in_a_path_is_expanded(toy, tmp_path, monkeypatch):
    from collapse_core.recipe.document import read_file

    monkeypatch.setenv("HOME", str(tmp_path))
    base = toy("base.yaml", evaluate="evaluate: {baselines: {b: {use: x, path: ~/m}}}")
    path = tmp_path / "more.yaml"
    path.write_text("extends: ~/base.yaml\nplugins: [~/p.py]\nname: more\ndata: {path: ~/x}\n")
    assert base.exists()
    data = read_file(path).data
    assert data["data"]["path"] == f"{tmp_path}/x"
    assert data["plugins"] == [f"{tmp_path}/p.py"]
    assert data["evaluate"]["baselines"]["b"]["path"] == f"{tmp_path}/m"


def test_a_recipe_takes_away_what_the_recipe_that_it_extends_says(toy, tmp_path, collapse_here):
    toy("base.yaml", evaluate="evaluate: {every: 2, with: [category-shares], baselines: {b: categorical}}")
    path = tmp_path / "more.yaml"
    path.write_text("extends: base.yaml\nwithout: [evaluate.baselines.b, checkpoint]\n")
    recipe = load_recipe(path)
    assert (recipe.evaluate.baselines, recipe.evaluate.every, recipe.checkpoint.every) == ({}, 2, 10)
    path.write_text("extends: base.yaml\nwithout:\n  - evaluate.basline\n")
    done = collapse_here("validate", path)
    assert (done.code, done.err) == (
        2,
        f"{path}:3:5: without.0: the recipe that is extended has no key 'evaluate.basline' to take away\n",
    )


def test_a_sweep_that_sets_a_key_twice_is_refused(toy, tmp_path, collapse_here):
    done = collapse_here("sweep", toy(), "--set", "seed=0,1", "--set", "seed=2", "--dir", tmp_path / "sweep")
    assert done.code == 2
    assert "seed: is set 2 times; give all its values at once: --set seed=value,value" in done.err
    assert not (tmp_path / "sweep").exists()


# --- packages --------------------------------------------------------------------------------------


@pytest.fixture
def broken_package(tmp_path, monkeypatch):
    """An installed package whose metadata is empty, with a plugin."""
    home = tmp_path / "site"
    (home / "foo-1.0.dist-info").mkdir(parents=True)
    (home / "foo-1.0.dist-info" / "entry_points.txt").write_text("[collapse]\nfoo = foo\n")
    monkeypatch.syspath_prepend(str(home))
    for cached in (environment.packages, discovery.installed_plugins):
        cached.cache_clear()
    yield home
    monkeypatch.undo()
    sys.modules.pop("foo", None)
    for cached in (environment.packages, discovery.installed_plugins):
        cached.cache_clear()


def test_a_package_without_metadata_is_listed_as_broken(broken_package):
    assert environment.packages()["foo-1.0.dist-info"] == "broken"


@pytest.mark.parametrize(
    ("source", "error"),
    [
        (None, "No module named 'foo'"),
        ("class Odd(BaseException): ...\nraise Odd('not here')", "Odd: not here"),
    ],
)
def test_a_plugin_that_cannot_be_imported_for_any_reason_is_listed_as_broken(
    broken_package, toy, collapse_here, source, error
):
    if source:
        (broken_package / "foo.py").write_text(source)
    (found,) = [p for p in discovery.installed_plugins() if p.name == "foo"]
    assert (found.distribution, found.version) == ("unknown", "unknown")
    assert error in str(found.error)
    assert collapse_here("validate", toy()).code == 0


def test_a_plugin_file_that_raises_base_exception_is_named(toy, tmp_path, collapse_here):
    (tmp_path / "odd.py").write_text("class Odd(BaseException): ...\nraise Odd('not here')")
    done = collapse_here("validate", toy(more="plugins: [odd.py]\n"))
    assert (done.code, "cannot be loaded: Odd: not here" in done.err) == (3, True)


# --- runs ------------------------------------------------------------------------------------------


def test_two_runs_that_begin_in_one_second_have_a_directory_each(toy, tmp_path, monkeypatch, collapse_here):
    path = toy()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(time, "strftime", lambda form, *when: "20260101-000000")
    assert [collapse_here("run", path).code for _ in range(2)] == [0, 0]
    first, second = sorted((tmp_path / "runs" / "toy").iterdir())
    assert second.name == f"{first.name}-2"
    assert (second / "report.html").exists()


class Closed:
    """A pipe that nobody reads."""

    encoding = "utf-8"

    def __init__(self, file):
        self.fileno = file.fileno

    def write(self, text):
        raise BrokenPipeError(32, "Broken pipe")

    def flush(self):
        raise BrokenPipeError(32, "Broken pipe")

    def isatty(self):
        return False


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_run_whose_output_nobody_reads_ends_well_and_has_its_report(
    toy, tmp_path, monkeypatch, collapse_here, stream
):
    with tempfile.TemporaryFile() as file:
        monkeypatch.setattr(sys, stream, Closed(file))
        done = collapse_here("run", toy(), "--run-dir", tmp_path / "run")
    assert done.code == 0
    assert (tmp_path / "run" / "report.html").exists()


def test_hints_can_be_pasted_also_where_a_directory_has_spaces(toy, tmp_path, collapse_here):
    run = tmp_path / "my run"
    assert collapse_here("run", toy(), "--run-dir", run).out.endswith(f"collapse report '{run}'\n")
    assert f"'collapse report '{run}''" in collapse_here("resume", run).err
