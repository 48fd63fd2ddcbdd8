"""Recipes and runs that use the old name of a key are read for one version more, with one sentence."""

import json

import pytest

from collapse_core import load_recipe
from collapse_core.recipe.renamed import RENAMED, RenamedKeyWarning

OLD = "evaluate: {every: 2, with: [category-shares], beside: {copy: {use: categorical}}}"


@pytest.fixture
def old(toy):
    path = toy()
    text = path.read_text().replace("evaluate: {every: 2, with: [category-shares]}", OLD)
    assert "beside" in text
    path.write_text(text)
    return path


def test_the_old_name_is_read_and_the_new_one_is_named_with_its_place(old):
    number = old.read_text().splitlines().index(OLD) + 1
    column = OLD.index("beside") + 1
    expected = f"{old}:{number}:{column}: evaluate.beside: is called 'baselines' since version 0.2"
    with pytest.warns(RenamedKeyWarning) as caught:
        recipe = load_recipe(old)
    assert [str(one.message).partition(";")[0] for one in caught] == [expected]
    assert list(recipe.evaluate.baselines) == ["copy"]


def test_a_misspelled_part_under_an_old_name_is_still_found_where_it_stands(old, collapse_here):
    old.write_text(old.read_text().replace("{copy: {use: categorical}}", "{copy: {use: categorica}}"))
    done = collapse_here("validate", old)
    assert done.code == 2
    assert "evaluate.baselines.copy: no model is called 'categorica'" in done.err


def test_an_old_name_beside_the_new_one_is_an_error(old, collapse_here):
    old.write_text(old.read_text().replace("beside:", "baselines: {}, beside:"))
    done = collapse_here("validate", old)
    assert done.code == 2
    assert "unknown key 'beside'" in done.err


def test_an_override_may_use_an_old_name(toy):
    with pytest.warns(RenamedKeyWarning, match=r"--set .*evaluate.beside: is called 'baselines'"):
        recipe = load_recipe(toy(), ["evaluate.beside={copy: {use: categorical}}"])
    assert list(recipe.evaluate.baselines) == ["copy"]


def test_the_sentence_is_printed_once_and_no_traceback(old, collapse_here, tmp_path):
    done = collapse_here("run", old, "--run-dir", tmp_path / "run")
    assert done.code == 0
    assert done.err.count("is called 'baselines' since version 0.2; the old name is read until 0.3") == 1


def test_a_run_of_the_version_before_is_resumed_and_reported(old, collapse_here, tmp_path):
    run = tmp_path / "run"
    assert collapse_here("run", old, "--run-dir", run).code == 0
    resolved = json.loads((run / "resolved.json").read_text())
    evaluate = resolved["recipe"]["evaluate"]
    evaluate["beside"] = evaluate.pop("baselines")
    (run / "resolved.json").write_text(json.dumps(resolved))
    (run / "status.json").unlink()
    assert collapse_here("resume", run).code == 0
    assert collapse_here("report", run).code == 0
    assert "copy" in (run / "report.html").read_text()


def test_every_new_name_is_a_key_of_some_part():
    from collapse_core import Registry
    from collapse_core.recipe.recipe import EvaluateWhen

    registry = Registry()
    for place, old, new in RENAMED:
        kind = {"sampler": "sampler", "model": "model"}.get(place[0], "model")
        parts = [registry.find(kind, name) for name in registry.names(kind)]
        known = [EvaluateWhen] if place == ("evaluate",) else parts
        fields = [part.model_fields for part in known]
        assert any(new in keys for keys in fields), new
        assert not any(old in keys for keys in fields), old
