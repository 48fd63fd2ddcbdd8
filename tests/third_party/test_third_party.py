"""Strangers' packages, built and installed for real: good ones work, bad ones harm nobody else."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
EVERYONE = ("collapse-politeness", "collapse-rudeness", "collapse-typo", "collapse-manners")

PIP = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
PIP += ["--disable-pip-version-check"]


def install(folder: Path, into: Path) -> Path:
    done = subprocess.run(
        [sys.executable, *PIP, "--target", str(into), str(folder)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return into


@pytest.fixture(scope="session")
def shelf(tmp_path_factory):
    """Each package installed by itself."""
    home = tmp_path_factory.mktemp("shelf")
    return {name: install(HERE / name, home / name) for name in EVERYONE}


@pytest.fixture
def with_(shelf, collapse):
    """Runs a command where these packages are installed."""

    def run(packages, *arguments, **options):
        path = ":".join(str(shelf[name]) for name in packages)
        return collapse(*arguments, **options, env={"PYTHONPATH": path})

    return run


POLITE = 'rewards: [{use: politeness, phrase: "Ottawa"}]'


@pytest.fixture
def ottawa(tmp_path, toy):
    """A recipe whose reward is the stranger's."""
    path = toy()
    lines = path.read_text().splitlines()
    at = lines.index("rewards:")
    path.write_text("\n".join([*lines[:at], POLITE, *lines[at + 2 :]]) + "\n")
    return path


def using(path, rewards):
    """The recipe with other rewards."""
    text = path.read_text().replace(POLITE, f"rewards: {rewards}")
    path.write_text(text)
    return path


def test_the_fifteen_lines_of_the_documentation_make_a_reward_that_a_recipe_can_use(with_, ottawa, tmp_path):
    source = (HERE / "collapse-politeness" / "collapse_politeness.py").read_text().splitlines()
    assert len([line for line in source if line.strip() and not line.startswith("#")]) <= 15
    done = with_(["collapse-politeness"], "run", ottawa, "--run-dir", tmp_path / "run")
    assert (done.code, done.err.count("Traceback")) == (0, 0), done.err
    rows = [json.loads(line) for line in (tmp_path / "run/completions/00000.jsonl").read_text().splitlines()]
    assert {row["answer"] == "Ottawa" for row in rows if row["rewards"]["politeness"]} == {True}
    assert any(row["rewards"]["politeness"] for row in rows)
    manifest = json.loads((tmp_path / "run/environment.json").read_text())
    assert {"name": "politeness", "distribution": "collapse-politeness", "version": "0.1.0"} in manifest[
        "plugins"
    ]
    assert manifest["packages"]["collapse-politeness"] == "0.1.0"


def test_plugins_list_and_show_tell_whose_part_it_is(with_):
    listed = with_(["collapse-politeness"], "plugins", "list")
    assert "collapse-politeness 0.1.0 (politeness)\n  reward     politeness\n" in listed.out
    rows = json.loads(with_(["collapse-politeness"], "plugins", "list", "--json").out)
    row = next(row for row in rows if row["name"] == "politeness")
    assert row == {
        "name": "politeness",
        "distribution": "collapse-politeness",
        "version": "0.1.0",
        "error": None,
        "parts": {"reward": ["politeness"]},
    }
    [part] = json.loads(with_(["collapse-politeness"], "plugins", "show", "politeness", "--json").out)
    assert part["distribution"] == "collapse-politeness"
    assert part["doc"] == "Prefer completions that decline courteously."
    phrase = next(field for field in part["fields"] if field["name"] == "phrase")
    assert phrase == {
        "name": "phrase",
        "type": "str",
        "required": False,
        "default": "I'm sorry",
        "description": "What counts as courteous.",
    }


def test_a_plugin_that_cannot_be_imported_is_listed_as_broken_with_the_reason(with_):
    why = "ModuleNotFoundError: No module named 'no_such_library_of_insults'"
    listed = with_(["collapse-rudeness"], "plugins", "list")
    assert (listed.code, f"collapse-rudeness 0.1.0 (rudeness): broken: {why}" in listed.out) == (0, True)
    rows = json.loads(with_(["collapse-rudeness"], "plugins", "list", "--json").out)
    assert next(row for row in rows if row["name"] == "rudeness")["error"] == why


def test_a_broken_plugin_does_not_touch_other_recipes(with_, ottawa, tmp_path):
    done = with_(
        ["collapse-politeness", "collapse-rudeness", "collapse-typo"],
        "run",
        ottawa,
        "--run-dir",
        tmp_path / "run",
    )
    assert done.code == 0, done.err
    assert "rudeness" not in done.err


def test_a_recipe_that_names_a_broken_plugin_ends_with_3_and_the_reason(with_, ottawa):
    path = using(ottawa, "[{use: collapse-rudeness/rudeness}]")
    done = with_(["collapse-rudeness"], "run", path)
    assert done.code == 3
    assert done.err == (
        f"{path}:6:12: rewards.0: the reward 'rudeness' of collapse-rudeness cannot be loaded: "
        "ModuleNotFoundError: No module named 'no_such_library_of_insults'; see 'collapse plugins doctor'\n"
    )


def test_an_unknown_part_may_be_a_broken_plugins_and_that_is_said(with_, ottawa):
    path = using(ottawa, "[{use: rudeness}]")
    done = with_(["collapse-rudeness"], "validate", path)
    assert done.code == 2
    assert "no reward is called 'rudeness'; known: " in done.err
    assert (
        "(or it is a part of a broken plugin: collapse-rudeness; see 'collapse plugins doctor')" in done.err
    )
    alone = with_([], "validate", path)
    assert (alone.code, "broken" in alone.err) == (2, False)


def test_a_misspelt_hook_is_an_error_that_names_the_right_one(with_):
    done = with_(["collapse-typo"], "plugins", "doctor")
    assert done.code == 3
    assert "no hook is called 'collapse_component'; did you mean 'collapse_components'?" in done.out


def test_two_plugins_that_claim_one_name_must_be_told_apart(with_, ottawa, tmp_path):
    both = ["collapse-politeness", "collapse-manners"]
    done = with_(both, "validate", ottawa)
    assert done.code == 2
    assert "write 'use: collapse-manners/politeness' or 'use: collapse-politeness/politeness'" in done.err
    path = using(ottawa, "[{use: collapse-politeness/politeness, phrase: Ottawa}]")
    done = with_(both, "run", path, "--run-dir", tmp_path / "run")
    assert done.code == 0, done.err
    alone = with_(["collapse-politeness"], "run", path, "--run-dir", tmp_path / "alone")
    assert alone.code == 0, alone.err
    journals = [(tmp_path / name / "journal.jsonl").read_bytes() for name in ("run", "alone")]
    assert journals[0] == journals[1]


def test_the_doctor_imports_every_part_and_says_each_thing_that_is_wrong_in_a_sentence(with_):
    done = with_(EVERYONE, "plugins", "doctor")
    assert done.code == 3
    lines = [line for line in done.out.splitlines() if "collapse-unlearning" not in line]
    assert lines == [
        "collapse-manners 0.1.0 (manners): broken: the reward 'bow' of collapse-manners cannot be loaded: "
        "AttributeError: module 'collapse_manners' has no attribute 'Bow'",
        "collapse-manners 0.1.0 (manners): broken: the filter 'only-polite' of collapse-manners cannot be "
        "loaded: ModuleNotFoundError: No module named 'collapse_manners_filters'",
        "collapse-politeness 0.1.0 (politeness): ok, 1 part",
        "collapse-rudeness 0.1.0 (rudeness): broken: it cannot be loaded: ModuleNotFoundError: "
        "No module named 'no_such_library_of_insults'",
        "collapse-typo 0.1.0 (typo): broken: it cannot be loaded: ValueError: no hook is called "
        "'collapse_component'; did you mean 'collapse_components'?",
        "note: more than one plugin provides the reward 'politeness'; write "
        "'use: collapse-manners/politeness' or 'use: collapse-politeness/politeness'",
    ]
    assert re.match(r"collapse: 3 of \d+ plugins are broken", done.err.splitlines()[-1])


def test_a_part_that_cannot_be_imported_is_fatal_only_to_who_names_it(with_, ottawa):
    assert with_(["collapse-manners"], "validate", using(ottawa, "[{use: politeness}]")).code == 0
    path = ottawa
    path.write_text(path.read_text().replace("best-of-n", "only-polite"))
    done = with_(["collapse-manners"], "validate", path)
    assert done.code == 3
    assert "the filter 'only-polite' of collapse-manners cannot be loaded" in done.err


def test_what_a_plugin_prints_does_not_get_between_our_data(with_):
    done = with_(["collapse-manners"], "plugins", "list", "--json")
    assert json.loads(done.out)
    assert "thank you for importing me" in done.err


def test_the_doctor_is_content_with_what_is_installed_here(collapse):
    done = collapse("plugins", "doctor")
    assert (done.code, done.err) == (0, ""), done.out
