"""The certificate of a run: made from what the run stored, signed, and found out where anything changed."""

import json
import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from report_runs import SHORT_TOY, Page

from collapse_core import collapse, create_run, load_recipe
from collapse_core.certificate.schema import Certificate

RECIPE = (
    SHORT_TOY
    + """\
criteria:
  - {metric: Toronto, at_most: 0.01, exact: true, claim: does-not-say}
  - {metric: Ottawa, at_least: 0.9, exact: true}
  - {metric: Calgary, at_least: 0.01}
"""
)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A finished run of a toy with criteria."""
    folder = tmp_path_factory.mktemp("certified")
    (folder / "toy.yaml").write_text(RECIPE)
    run = create_run(load_recipe(folder / "toy.yaml"), RECIPE, directory=folder / "run")
    collapse(run.recipe, run)
    run.close()
    return folder / "run"


@pytest.fixture
def run(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


@pytest.fixture
def key(tmp_path):
    """The path of a private key, and of its public half."""
    made = Ed25519PrivateKey.generate()
    private = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = made.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for name, text in (("key.pem", private), ("public.pem", public)):
        (tmp_path / name).write_bytes(text)
    return tmp_path / "key.pem", tmp_path / "public.pem"


def read(run):
    return Certificate.model_validate_json((run / "certificate.json").read_text())


def test_a_certificate_holds_criteria_against_what_was_measured(run, collapse_here):
    done = collapse_here(
        "certify", run, "--request", "R-17", "--operator", "An office", "--decision", "erase"
    )
    assert done.code == 0, done.err
    found = read(run)
    assert [one.verdict for one in found.criteria] == ["met", "not met", "cannot be told"]
    assert found.claim.level == "does-not-say"
    assert (found.request.id, found.request.operator) == ("R-17", "An office")
    assert found.forgotten.prompts == 40
    assert len(found.forgotten.digest) == 64
    assert list(found.resulting_model.files) == ["probabilities.json"]
    assert found.true_answers.loop == "never loaded"
    assert found.recipe.criteria_set_before_the_run
    assert any("none was tried" in sentence for sentence in found.not_shown)
    assert {"completions", "checkpoints", "model"} <= {copy.where for copy in found.copies}


def test_the_page_says_what_the_certificate_says_and_escapes_it(run, collapse_here):
    collapse_here("certify", run, "--request", "R-17", "--decision", "<script>alert(1)</script>")
    text = (run / "certificate.html").read_text()
    page = Page(text)
    assert page.open == []
    assert "<script>" not in text
    for said in ("R-17", "not met", "cannot be told", "does not say", "mostly the secret itself", "<script>"):
        assert said in page.text, said


def test_criteria_that_were_changed_after_the_run_are_refused(run, collapse_here):
    path = run / "resolved.json"
    stored = json.loads(path.read_text())
    stored["recipe"]["criteria"][0]["at_most"] = 0.5
    path.write_text(json.dumps(stored))
    done = collapse_here("certify", run, "--request", "R-17")
    assert done.code == 1
    assert "may have been set afterwards" in done.err
    assert not (run / "certificate.json").exists()


def test_a_recipe_file_that_was_changed_after_the_run_is_refused(run, collapse_here):
    path = run / "recipe.yaml"
    path.write_text(path.read_text().replace("0.01", "0.5"))
    done = collapse_here("certify", run, "--request", "R-17")
    assert (done.code, "recipe.yaml is not the recipe" in done.err) == (1, True)


def test_a_run_that_is_not_finished_is_not_certified(run, collapse_here):
    (run / "status.json").write_text('{"status": "interrupted"}')
    done = collapse_here("certify", run, "--request", "R-17")
    assert (done.code, "collapse resume" in done.err) == (1, True)


@pytest.mark.parametrize("name", ["ada@example.org", "Ada Lovelace", ""])
def test_a_request_is_called_by_a_pseudonym(name, run, collapse_here):
    done = collapse_here("certify", run, "--request", name)
    assert (done.code, "no pseudonym" in done.err) == (1, True)


def test_the_schema_of_certificates_can_be_printed(collapse_here):
    schema = json.loads(collapse_here("schema", "certificate").out)
    assert schema["title"] == "collapse-certificate/1"
    assert schema["additionalProperties"] is False
    assert set(schema["required"]) == set(Certificate.model_fields)


# --- signatures ------------------------------------------------------------------------------------


def test_any_changed_byte_of_certificate_page_or_model_is_found_and_named(run, key, collapse_here):
    private, public = key
    assert collapse_here("certify", run, "--request", "R-17", "--sign", private).code == 0
    sound = collapse_here("certify", run, "--verify", "--key", public)
    assert (sound.code, "3 files are as they were signed" in sound.out) == (0, True)
    for name in ("certificate.json", "certificate.html", "model/probabilities.json"):
        whole = (run / name).read_bytes()
        for place in (0, len(whole) // 2, len(whole) - 1):
            (run / name).write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            done = collapse_here("certify", run, "--verify", "--key", public)
            assert (done.code, done.err) == (1, f"collapse: {run / name}: has changed since it was signed\n")
        (run / name).write_bytes(whole)
    (run / "model" / "more.bin").write_text("")
    assert "more.bin: was not signed" in collapse_here("certify", run, "--verify").err
    (run / "model" / "more.bin").unlink()
    (run / "certificate.html").unlink()
    assert "certificate.html: is gone" in collapse_here("certify", run, "--verify").err


def test_a_list_of_digests_that_was_changed_to_match_is_found(run, key, collapse_here):
    collapse_here("certify", run, "--request", "R-17", "--sign", key[0])
    path = run / "certificate.sig"
    signature = json.loads(path.read_text())
    signature["files"]["certificate.json"] = "0" * 64
    path.write_text(json.dumps(signature))
    assert "does not match" in collapse_here("certify", run, "--verify").err
    path.write_text("no JSON")
    assert "does not match" in collapse_here("certify", run, "--verify").err


def test_the_private_key_is_written_nowhere_and_another_key_is_found(run, key, tmp_path, collapse_here):
    private, _ = key
    collapse_here("certify", run, "--request", "R-17", "--sign", private)
    secret = private.read_text().splitlines()[1][-40:]
    assert not any(secret.encode() in path.read_bytes() for path in run.rglob("*") if path.is_file())
    other = Ed25519PrivateKey.generate().public_key()
    pem = other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "other.pem").write_bytes(pem)
    done = collapse_here("certify", run, "--verify", "--key", tmp_path / "other.pem")
    assert (done.code, "another key" in done.err) == (1, True)


def test_a_key_with_a_password_is_asked_for_and_other_files_are_refused(
    run, tmp_path, monkeypatch, collapse_here
):
    path = tmp_path / "locked.pem"
    made = Ed25519PrivateKey.generate()
    locked = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word"))
    path.write_bytes(locked)
    monkeypatch.setattr("click.prompt", lambda *_, **__: "word")
    assert collapse_here("certify", run, "--request", "R-17", "--sign", path).code == 0
    monkeypatch.setattr("click.prompt", lambda *_, **__: "wrong")
    assert "this password" in collapse_here("certify", run, "--request", "R-17", "--sign", path).err
    rsa = generate_private_key(65537, 1024).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for text in (b"no key", rsa):
        path.write_bytes(text)
        done = collapse_here("certify", run, "--request", "R-17", "--sign", path)
        assert (done.code, "holds no private Ed25519 key" in done.err) == (1, True)


def test_a_certificate_that_was_not_signed_says_so_and_a_new_one_drops_the_old_signature(
    run, key, collapse_here
):
    assert "has no certificate.sig" in collapse_here("certify", run, "--verify").err
    collapse_here("certify", run, "--request", "R-17", "--sign", key[0])
    collapse_here("certify", run, "--request", "R-18")
    assert not (run / "certificate.sig").exists()


# --- criteria in recipes ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{metric: m}", "expected one of at_least, at_most and within"),
        ("{metric: m, at_most: 1, at_least: 0}", "expected one of at_least, at_most and within"),
        ("{metric: m, within: 1}", "'within' needs 'against'"),
        ("{metric: m, at_most: 1, scale: [1, 0]}", "whose first number is less"),
        ("{metric: m, at_most: 1, claim: cannot-be-told-apart}", "is shown by equivalence"),
        ("{metric: m, at_most: 1, against: nobody}", "which is no baseline of the recipe"),
        ("{metric: m, at_most: 1, confidence: 1}", "expected less than 1"),
    ],
)
def test_a_criterion_that_means_nothing_is_refused(line, says, tmp_path, collapse_here):
    path = tmp_path / "toy.yaml"
    path.write_text(RECIPE.split("criteria:")[0] + f"criteria:\n  - {line}\n")
    done = collapse_here("validate", path)
    assert (done.code, says in done.err) == (2, True), done.err


def test_a_recipe_without_criteria_is_the_recipe_it_was_before_there_were_any(tmp_path: Path):
    path = tmp_path / "toy.yaml"
    path.write_text(RECIPE.split("criteria:")[0])
    assert "criteria" not in load_recipe(path).resolved()
