"""Every error of a recipe and every help text, word for word; `pytest tests/golden --golden` writes them."""

import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
RECIPES = sorted(path.stem for path in (HERE / "recipes").glob("*.yaml"))
GOOD = "sound.yaml"

COMMANDS = {
    "set_no_equals": ["validate", GOOD, "--set", "iterations"],
    "set_bad_path": ["validate", GOOD, "--set", "iterations.every=3"],
    "set_bad_index": ["validate", GOOD, "--set", "rewards.4.weight=2"],
    "set_misspelt": ["validate", GOOD, "--set", "updater.retain_wieght=2", "--set", "iteration=7"],
    "set_bad_value": ["validate", GOOD, "--set", "updater.retain_weight=much"],
    "set_bad_yaml": ["validate", GOOD, "--set", "rewards=[{use: not-among"],
    "set_good": ["validate", GOOD, "--set", "updater.retain_weight=1e-5", "--set", "rewards.0.weight=2"],
    "several_recipes": ["validate", GOOD, "plugin_missing.yaml", "tabs.yaml"],
    "no_such_recipe": ["validate", "nowhere.yaml"],
    "no_such_shipped_recipe": ["run", "recipes/toy/partial_collapse.yaml"],
    "no_such_run": ["resume", "."],
    "show_misspelt": ["plugins", "show", "best-of-m"],
    "show_misspelt_of_kind": ["plugins", "show", "filter/best-of-m"],
    "help": ["--help"],
    "help_run": ["run", "--help"],
    "help_resume": ["resume", "--help"],
    "help_validate": ["validate", "--help"],
    "help_preview": ["preview", "--help"],
    "help_plugins": ["plugins", "--help"],
    "help_plugins_list": ["plugins", "list", "--help"],
    "help_plugins_show": ["plugins", "show", "--help"],
    "help_plugins_doctor": ["plugins", "doctor", "--help"],
    "help_schema": ["schema", "--help"],
    "help_report": ["report", "--help"],
    "help_compare": ["compare", "--help"],
    "help_card": ["card", "--help"],
    "help_push": ["push", "--help"],
    "help_view": ["view", "--help"],
    "help_eval": ["eval", "--help"],
    "help_certify": ["certify", "--help"],
    "help_scrub": ["scrub", "--help"],
    "help_export-logs": ["export-logs", "--help"],
    "help_sweep": ["sweep", "--help"],
    "help_init": ["init", "--help"],
    "help_init_recipe": ["init", "recipe", "--help"],
    "help_init_recipes": ["init", "recipes", "--help"],
    "help_init_plugin": ["init", "plugin", "--help"],
    "unknown_command": ["rnu"],
    "show_filter": ["plugins", "show", "bradley-terry"],
}


@pytest.fixture
def check(request, collapse_here, monkeypatch):
    """Compares what a command prints with the golden text of that name."""
    monkeypatch.chdir(HERE / "recipes")

    def check(name: str, *arguments: str) -> None:
        done = collapse_here(*arguments)
        text = f"$ collapse {' '.join(arguments)}\n{done.out}{done.err}[exit {done.code}]\n"
        golden = HERE / "texts" / f"{name}.txt"
        if request.config.getoption("--golden"):
            golden.parent.mkdir(exist_ok=True)
            golden.write_text(text)
        assert text == golden.read_text()

    return check


@pytest.mark.parametrize("name", RECIPES)
def test_the_errors_of_a_recipe_read_as_they_always_did(name, check):
    check(f"recipe_{name}", "validate", f"{name}.yaml")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_says_what_it_always_said(name, check):
    check(name, *COMMANDS[name])


def test_no_golden_text_is_left_over():
    wanted = {*COMMANDS, *(f"recipe_{name}" for name in RECIPES)}
    assert {path.stem for path in (HERE / "texts").iterdir()} == wanted


def test_every_mistake_but_one_names_file_line_and_column():
    """A text that is wrong from the start has no better place; all else says where it stands."""
    for path in (HERE / "texts").glob("recipe_*.txt"):
        for line in path.read_text().splitlines()[1:-1]:
            if not line.endswith(".yaml: ok"):
                assert re.match(r"[a-z_]+\.yaml:[1-9]\d*:[1-9]\d*: \S", line)


def test_every_command_has_its_help_here():
    from collapse_core.cli import COMMANDS as KNOWN

    assert {f"help_{name}" for name in KNOWN} <= set(COMMANDS)
