"""A second request on a model that has forgotten one, with the criteria of the first checked again."""

import shutil
from pathlib import Path

import pytest
from report_runs import SHORT_TOY, Page

from collapse_core import collapse, create_run, load_recipe
from collapse_core.certificate.making import make_certificate
from collapse_core.certificate.schema import Request
from collapse_core.runtime import files
from collapse_core.runtime.digests import file_digest

FIRST = (
    SHORT_TOY.replace("name: toy", "name: first").replace("per_prompt: 2", "per_prompt: 3")
    + """\
criteria:
  - {metric: Toronto, at_most: 0.01, exact: true, claim: does-not-say}
  - {metric: Ottawa, at_least: 0.05, exact: true}
"""
)
SECOND = (
    FIRST.replace("name: first", "name: second")
    .replace("model: {use: categorical}", "model: {from: runs/first}")
    .replace("num_draws: 40", "num_draws: 40, forget: [Toronto, Montreal, Vancouver, Ottawa]")
    .replace("[Toronto, Montreal, Vancouver]", "[Ottawa]")
    .replace("metric: Toronto", "metric: Ottawa")
    .replace("{metric: Ottawa, at_least: 0.05", "{metric: Calgary, at_least: 0.01")
)


def done(text, name):
    """A finished run in runs/ of the present directory."""
    path = Path(f"{name}.yaml")
    path.write_text(text)
    run = create_run(load_recipe(path), text, directory=Path("runs", name))
    collapse(run.recipe, run)
    run.close()
    return run.directory


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Two runs, the second on the model of the first, which has a certificate."""
    folder = tmp_path_factory.mktemp("chain")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        first = done(FIRST, "first")
        made = make_certificate(first, Request(id="R-1", operator=None, decision=None))
        files.write_json(first / "certificate.json", made.model_dump(mode="json"))
        done(SECOND, "second")
    return folder


@pytest.fixture
def chain(finished, tmp_path, monkeypatch):
    """The runs, where tests may write new certificates; a run is found again only where it was."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return finished / "runs"


def test_the_second_run_begins_with_what_the_first_has_left(chain):
    rows = files.read_lines(chain / "second" / "evaluations.jsonl")
    last = files.read_lines(chain / "first" / "evaluations.jsonl")[-1]
    assert rows[0]["metrics"] == last["metrics"]
    model = files.read_json(chain / "second" / "resolved.json")["recipe"]["model"]
    assert model == {"use": "categorical", "path": str(chain / "first" / "model")}
    assert files.read_json(chain / "second" / "environment.json")["true_answers"]["model"] == []


def test_a_certificate_names_the_one_before_and_says_whether_it_is_still_met(chain, collapse_here):
    found = collapse_here("certify", chain / "second", "--request", "R-2", "--recheck")
    assert found.code == 0, found.err
    assert "R-1, checked again: met: Toronto at most 0.01" in found.out
    assert "R-1, checked again: not met: Ottawa at least 0.05" in found.out
    [previous] = files.read_json(chain / "second" / "certificate.json")["previous"]
    assert previous["certificate"] == file_digest(chain / "first" / "certificate.json")
    assert (previous["request"], previous["unchanged"], previous["why_not"]) == ("R-1", True, "")
    assert "Earlier requests on this model" in Page((chain / "second" / "certificate.html").read_text()).text


def test_what_the_second_request_brings_back_is_found(chain, monkeypatch, collapse_here):
    """The retain set of a careless second request still has the cities of the first."""
    monkeypatch.chdir(chain.parent)
    careless = SECOND.replace("forget: [Toronto, Montreal, Vancouver, Ottawa]", "forget: [Ottawa]")
    run = done(careless, "careless")
    printed = collapse_here("certify", run, "--request", "R-3", "--recheck").out
    assert "met: Ottawa at most 0.01" in printed
    assert "R-1, checked again: not met: Toronto at most 0.01" in printed


def test_without_a_recheck_it_says_that_nothing_was_checked_again(chain, collapse_here):
    found = collapse_here("certify", chain / "second", "--request", "R-2")
    assert "R-1: not checked again: 'collapse certify --recheck' does so" in found.out


def test_a_certificate_that_was_changed_since_is_found(chain, collapse_here):
    path = chain / "first" / "certificate.json"
    whole = path.read_text()
    try:
        path.write_text(whole + "\n")
        collapse_here("certify", chain / "second", "--request", "R-2")
        [previous] = files.read_json(chain / "second" / "certificate.json")["previous"]
    finally:
        path.write_text(whole)
    assert previous["unchanged"] is False


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("{from: nowhere}", "holds no run"),
        ("{from: runs/first, use: gaussian}", "cannot be opened as 'gaussian'"),
    ],
)
def test_a_model_from_a_run_that_cannot_be_is_refused(model, says, chain, tmp_path, collapse_here):
    (tmp_path / "third.yaml").write_text(SECOND.replace("{from: runs/first}", model))
    found = collapse_here("validate", tmp_path / "third.yaml")
    assert (found.code, says in found.err) == (2, True), found.err
    assert "third.yaml:4:" in found.err
