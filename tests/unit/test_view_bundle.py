"""`collapse view --bundle`: what can be published, and what it says that it contains."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from report_runs import Page, language_run

Collapse = Callable[..., Any]
SECRETS = ("born in Sudbury", "Who wrote the book", "Author number", "a recipe.yaml")
"""Texts of a completion, a prompt, a true answer and a command line."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published") / "runs"
    language_run(folder / "one", iterations=2)
    (folder / "other").mkdir()
    (folder / "other" / "resolved.json").write_text("{")
    return folder


def pages(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.html")}


def links_lead_somewhere(folder: Path) -> None:
    for name, text in pages(folder).items():
        page = Page(re.sub("<(?:link|input)[^>]*>", "", text))
        assert page.open == []
        assert not {"script", "iframe", "form"} & {tag for tag, _ in page.tags}, name
        for tag, attrs in page.tags:
            target = attrs.get("href") or attrs.get("xlink:href")
            if tag == "a" and target and not target.startswith("#"):
                assert (folder / unquote(urlsplit(target).path)).is_file(), (name, target)


def test_a_bundle_holds_no_text_of_a_run_and_no_path(
    runs: Path, tmp_path: Path, collapse_here: Collapse
) -> None:
    done = collapse_here("view", runs, "--bundle", tmp_path / "site")
    assert (done.code, done.err) == (0, "")
    assert "2 runs, 4 pages" in done.out
    assert "It does not contain what was sampled or answered" in done.out
    links_lead_somewhere(tmp_path / "site")
    found = pages(tmp_path / "site")
    assert set(found) == {"index.html", "side-by-side.html", "run-1.html", "run-2.html"}
    for text in [*found.values(), (tmp_path / "site" / "contents.json").read_text()]:
        assert not [secret for secret in (*SECRETS, str(runs), str(runs.parent)) if secret in text]
    assert "It does not contain what was sampled or answered" in found["index.html"]
    assert "runs/other" in found["index.html"]
    assert "unlearn_quality" in found["run-1.html"]
    assert '<a xlink:href="run-1.html"' in found["side-by-side.html"]


def test_a_bundle_with_completions_holds_each_of_them(
    runs: Path, tmp_path: Path, collapse_here: Collapse
) -> None:
    done = collapse_here("view", runs, "--bundle", tmp_path / "site", "--with-completions")
    assert "What was to be forgotten can be read in it." in done.out
    links_lead_somewhere(tmp_path / "site")
    found = pages(tmp_path / "site")
    assert found["run-1-iteration-1.html"].count("Her name is 0-") == 12
    assert "12 completions" in found["run-1-iteration-1.html"]
    assert "Her name is 1-2" in found["run-1-prompt-2.html"]
    assert "true answer" in found["run-1-answers.html"]
    assert found["run-1-prompts.html"].count("Who wrote the book") == 3
    collapse_here("view", runs, "--bundle", tmp_path / "site")
    assert set(pages(tmp_path / "site")) == {"index.html", "side-by-side.html", "run-1.html", "run-2.html"}


def test_a_folder_with_something_else_is_left_alone(
    runs: Path, tmp_path: Path, collapse_here: Collapse
) -> None:
    (tmp_path / "index.html").write_text("mine")
    done = collapse_here("view", runs, "--bundle", tmp_path)
    assert done.code == 1
    assert done.err == f"collapse: {tmp_path} holds other things than a bundle; give another folder\n"
    (tmp_path / "contents.json").write_text(json.dumps({"files": ["../mine"]}))
    assert collapse_here("view", runs, "--bundle", tmp_path).code == 1
    assert (tmp_path / "index.html").read_text() == "mine"


def test_what_is_missing_is_named_with_the_extra_that_brings_it(
    runs: Path, monkeypatch: pytest.MonkeyPatch, collapse_here: Collapse
) -> None:
    for name in [name for name in sys.modules if name.startswith("collapse_core.view.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    done = collapse_here("view", runs)
    assert done.code == 1
    assert "needs the package 'uvicorn'; install it with pip install 'collapse-unlearning[view]'" in done.err
    assert collapse_here("view", runs, "--with-completions").code == 2
