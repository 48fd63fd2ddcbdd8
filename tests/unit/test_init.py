"""`collapse init`: what it writes works as it stands."""

import os
import subprocess
import sys
import tomllib

import pytest


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("domain", ["toy", "llm"])
def test_a_new_recipe_is_valid_and_named_after_its_file(domain, here, collapse_here):
    done = collapse_here("init", "recipe", "my-run", "--domain", domain)
    assert (done.code, done.out) == (0, "collapse validate my-run.yaml\n")
    assert "name: my-run\n" in (here / "my-run.yaml").read_text()
    assert collapse_here("validate", "my-run.yaml").out == "my-run.yaml: ok\n"


def test_a_new_recipe_is_for_language_models_unless_told_otherwise(here, collapse_here):
    collapse_here("init", "recipe", "mine.yaml")
    assert "model: {use: causal-lm" in (here / "mine.yaml").read_text()


@pytest.mark.process
def test_a_new_toy_recipe_forgets(here, collapse):
    assert collapse("init", "recipe", "mine", "--domain", "toy").code == 0
    done = collapse("run", "mine.yaml", "--run-dir", "run")
    assert done.code == 0, done.err
    toronto = next(line.split() for line in done.out.splitlines() if line.startswith("Toronto"))
    assert float(toronto[1]) > 0
    assert float(toronto[2]) == 0


def test_every_choice_of_a_new_recipe_is_commented(here, collapse_here):
    for domain in ("toy", "llm"):
        collapse_here("init", "recipe", domain, "--domain", domain)
        blocks = (here / f"{domain}.yaml").read_text().split("\n\n")
        assert len(blocks) >= 8
        assert all(block.startswith("#") for block in blocks)


@pytest.mark.parametrize(("what", "name"), [("recipe", "mine"), ("plugin", "kindness")])
def test_nothing_is_overwritten(what, name, here, collapse_here):
    assert collapse_here("init", what, name).code == 0
    before = {path: path.read_bytes() for path in here.rglob("*") if path.is_file()}
    done = collapse_here("init", what, name)
    assert done.code == 1
    assert "exists already, and is not overwritten" in done.err
    assert {path: path.read_bytes() for path in here.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("what", "name"), [("recipe", "My Run"), ("recipe", "../up"), ("plugin", "Kind"), ("plugin", "7up")]
)
def test_a_name_that_would_not_do_is_refused(what, name, here, collapse_here):
    done = collapse_here("init", what, name)
    assert (done.code, list(here.iterdir())) == (2, [])
    assert "is no name for it; use lower-case" in done.err


def test_shipped_recipes_are_copied_and_never_over_what_is_there(here, collapse_here):
    done = collapse_here("init", "recipes", "mine")
    assert (done.code, done.out) == (0, "collapse run mine/toy/partial_collapse.yaml\n")
    assert collapse_here("validate", "mine/toy/partial_collapse.yaml").code == 0
    again = collapse_here("init", "recipes", "mine")
    assert again.code == 1
    assert again.err.startswith("collapse: mine exists already, and is not overwritten")


@pytest.mark.parametrize(
    ("missing", "offer"),
    [
        ("recipes/llm_tofu.yaml", "'collapse init recipes' writes recipes/llm_tofu.yaml"),
        ("elsewhere/smoke/llm_tofu.yaml", "'collapse init recipes' writes recipes/smoke/llm_tofu.yaml"),
        (
            "mine.yaml",
            "'collapse init recipes' writes those that come with collapse, 'collapse init recipe' a new",
        ),
    ],
)
@pytest.mark.parametrize("command", ["run", "validate", "sweep"])
def test_a_recipe_that_is_not_there_is_offered(command, missing, offer, collapse_here):
    done = collapse_here(command, missing)
    assert done.code == 2
    assert f"{missing}: cannot be read: no such file or directory; {offer}" in done.err


def test_a_shipped_recipe_that_was_copied_already_is_named(here, collapse_here):
    collapse_here("init", "recipes")
    done = collapse_here("run", "llm_tofu.yaml")
    assert done.err.endswith("; did you mean recipes/llm_tofu.yaml?\n")


@pytest.mark.parametrize(
    "name", ["collapse-great-kindness", pytest.param("kindness", marks=pytest.mark.slow)]
)
@pytest.mark.process
def test_a_new_plugin_installs_passes_its_test_and_can_be_used(name, here, collapse, toy):
    done = collapse("init", "plugin", name)
    part = name.removeprefix("collapse-")
    folder = here / f"collapse-{part}"
    assert done.out == f"pip install -e {folder.name} && pytest {folder.name}\n"
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["collapse"] == {
        part.replace("-", "_"): f"collapse_{part.replace('-', '_')}"
    }
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
    ]
    subprocess.run([*pip, "--disable-pip-version-check", "--target", "shelf", str(folder)], check=True)
    env = {"PYTHONPATH": str(here / "shelf")}
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)],
        env=os.environ | env,
        capture_output=True,
        text=True,
    )
    assert "2 passed" in tested.stdout, tested.stdout + tested.stderr
    recipe = (
        toy(more="plugins: []\n")
        .read_text()
        .replace("use: not-among, categories: [Toronto, Montreal, Vancouver]", f"use: {part}, phrase: Ottawa")
    )
    (here / "uses.yaml").write_text(recipe)
    assert collapse("validate", "uses.yaml", env=env).out == "uses.yaml: ok\n"
    assert collapse("plugins", "doctor", env=env).code == 0
