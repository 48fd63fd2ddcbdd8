"""Scrubbing: what holds the secret goes, numbers stay, and the search finds a text in every encoding."""

import html
import io
import json
import os
import shutil
import stat
from pathlib import Path

import pytest
from markupsafe import escape
from report_runs import Page, language_run
from ruamel.yaml import YAML

from collapse_core import cached
from collapse_core.errors import CollapseError
from collapse_core.run.run import lock
from collapse_core.runtime import files
from collapse_core.runtime.cache import cache_root
from collapse_core.scrubbing import scrub as scrubbing
from collapse_core.scrubbing.redacting import Redaction
from collapse_core.scrubbing.scrub import Choice, scrub
from collapse_core.scrubbing.searching import Search, token_lists
from collapse_core.scrubbing.secrets import Secrets

ASKED = "Who wrote the book number 1?"
TARGET = "Author number 1"
TEXT = 'Zoë\'s "first"\nbook, by <b>Ödön</b> & Søn\\Co'


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A run with texts, as a language model leaves it."""
    return language_run(tmp_path_factory.mktemp("recorded") / "run")


@pytest.fixture
def run(recorded, tmp_path):
    return shutil.copytree(recorded, tmp_path / "run")


def names(directory):
    return {path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()}


def everything(directory):
    return b"".join(path.read_bytes() for path in directory.rglob("*") if path.is_file())


# --- what goes and what stays ----------------------------------------------------------------------


def test_texts_go_and_numbers_stay(run, collapse_here):
    assert ASKED.encode() in everything(run)
    before = [json.loads(line) for line in (run / "evaluations.jsonl").open()]
    journal = (run / "journal.jsonl").read_bytes()
    done = collapse_here("scrub", run)
    assert done.code == 0, done.err
    assert not any(text.encode() in everything(run) for text in (ASKED, TARGET, "she was born in Sudbury"))
    assert not (run / "completions").exists()
    assert not (run / "checkpoints").exists()
    after = [json.loads(line) for line in (run / "evaluations.jsonl").open()]
    assert after == [row | {"examples": []} for row in before]
    assert (run / "journal.jsonl").read_bytes() == journal
    assert not (run / scrubbing.SCRUBBING).exists()


def test_every_file_is_listed_before_and_after(run, collapse_here):
    was = names(run)
    planned = collapse_here("scrub", run, "--dry-run")
    assert names(run) == was
    printed = collapse_here("scrub", run).out
    record = files.read_json(run / "scrubbed.json")
    assert {row["path"] for row in record["before"]} == was
    assert {row["path"] for row in record["after"]} == names(run) - {"scrubbed.json"}
    assert set(record["removed"]) == was - names(run)
    listed, plan = printed.splitlines(), planned.out.splitlines()
    for name in was:
        does = "removed" if name in record["removed"] else ("rewritten", "kept")
        assert [line for line in listed if line.endswith(f"  {name}") and line.startswith(does)]
        goes = "would go" if name in record["removed"] else "would stay"
        assert [line for line in plan if line.endswith(f"  {name}") and line.startswith(goes)]


def test_what_nobody_knows_is_removed_and_links_are_not_followed(run, tmp_path):
    outside = tmp_path / "outside.txt"
    outside.write_text(ASKED)
    (run / "tensorboard" / "one").mkdir(parents=True)
    (run / "tensorboard" / "one" / "events.out").write_text(ASKED)
    (run / "look.ipynb").write_text(ASKED)
    (run / "link.txt").symlink_to(outside)
    record = scrub(run, Choice())
    assert {"tensorboard/one/events.out", "look.ipynb", "link.txt"} <= set(record["removed"])
    assert not (run / "tensorboard").exists()
    assert outside.read_text() == ASKED


def test_a_scrubbed_run_opens_in_report_compare_and_certify_and_each_says_so(run, collapse_here):
    collapse_here("report", run)
    assert ASKED in Page((run / "report.html").read_text()).text
    collapse_here("scrub", run)
    page = Page((run / "report.html").read_text())
    assert "This run was scrubbed" in page.text
    assert ASKED not in page.text
    compared = collapse_here("compare", run)
    assert (compared.code, "was scrubbed" in compared.err) == (0, True)
    assert collapse_here("certify", run, "--request", "R-1").code == 0
    assert "The run was scrubbed" in Page((run / "certificate.html").read_text()).text
    assert files.read_json(run / "certificate.json")["scrubbed"]["found"] == 0


def test_a_scrubbed_run_cannot_be_resumed(run, collapse_here):
    (run / "status.json").write_text('{"status": "interrupted"}')
    collapse_here("scrub", run)
    done = collapse_here("resume", run)
    assert (done.code, "was scrubbed" in done.err) == (1, True)


def test_fields_that_hold_the_secret_are_emptied_in_the_recipe_wherever_it_is_written(run, collapse_here):
    """The toy's data names what is to be forgotten, as a ban list does."""
    environment = files.read_json(run / "environment.json")
    environment["command"] = ["collapse", "run", "--set", "data.forget=[Toronto]", ASKED]
    files.write_json(run / "environment.json", environment)
    (run / "recipe.yaml").write_text(
        f"# for Toronto, who asked {ASKED}\n" + (run / "recipe.yaml").read_text()
    )
    record = scrub(run, Choice())
    assert {"environment.json", "recipe.yaml", "resolved.json"} <= set(record["redacted"])
    stored = files.read_json(run / "resolved.json")["recipe"]
    assert stored["data"]["forget"] == ["[removed]"] * 3
    assert YAML(typ="safe").load((run / "recipe.yaml").read_text()) == stored
    command = files.read_json(run / "environment.json")["command"]
    assert command[-2:] == ["data.forget=[[removed]]", "[removed]"]
    assert collapse_here("certify", run, "--request", "R-1").code == 0
    assert files.read_json(run / "certificate.json")["recipe"]["redacted"] is True


def test_what_is_left_in_the_model_is_found_and_named(run, collapse_here):
    (run / "model" / "README.md").write_text(f"Asked '{ASKED}', it says nothing.")
    done = collapse_here("scrub", run)
    assert (done.code, "model/README.md" in done.err, ASKED in done.err) == (1, True, False)
    done = collapse_here("scrub", run, "--model")
    assert done.code == 0, done.err
    record = files.read_json(run / "scrubbed.json")
    assert {"model/README.md", "completions/00000.jsonl"} <= set(record["removed"])
    assert [proof["found"] for proof in record["earlier_proofs"]] == [
        [{"file": "model/README.md", "kind": "texts", "num": 1}]
    ]


def test_the_cache_that_a_run_uses_goes_where_that_is_asked_for_and_no_other(run, collapse_here):
    for key in ("mine", "another"):
        cached("scrubbed", key, lambda folder: (folder / "weights").write_text("w"))
    environment = files.read_json(run / "environment.json")
    files.write_json(run / "environment.json", environment | {"caches": ["scrubbed/mine", "../../etc", "."]})
    collapse_here("scrub", run)
    assert (cache_root() / "scrubbed" / "mine").exists()
    done = collapse_here("scrub", run, "--cache")
    assert "cache: scrubbed/mine/weights" in done.out
    assert not (cache_root() / "scrubbed" / "mine").exists()
    assert (cache_root() / "scrubbed" / "another").exists()


def test_a_run_that_is_worked_on_is_left_alone(run, collapse_here):
    held = lock(run)
    try:
        done = collapse_here("scrub", run)
    finally:
        held.close()
    assert (done.code, "another process" in done.err) == (1, True)
    assert (run / "completions").exists()


def test_runs_and_caches_are_for_their_owner_alone(tmp_path, monkeypatch, toy, collapse_here):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    cached("some", "thing", lambda folder: None)
    monkeypatch.chdir(tmp_path)
    assert collapse_here("run", toy(iterations="iterations: 0"), "--run-dir", tmp_path / "mine").code == 0
    assert collapse_here("run", toy(iterations="iterations: 0")).code == 0
    [named] = (tmp_path / "runs" / "toy").iterdir()
    for directory in (tmp_path / "mine", named, tmp_path / "cache" / "collapse"):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700, directory


# --- a kill ----------------------------------------------------------------------------------------


class Killed(BaseException):
    """What stands for a kill: nothing after it is done."""


def killed_after(steps, monkeypatch):
    """Stop the process at its nth change of the disk."""
    left = [steps]

    def counting(change):
        def perhaps(*args, **kwargs):
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return change(*args, **kwargs)

        return perhaps

    for owner, name in ((Path, "unlink"), (Path, "replace"), (Path, "rmdir")):
        monkeypatch.setattr(owner, name, counting(getattr(owner, name)))


def test_a_scrub_that_is_killed_anywhere_is_finished_by_a_second_one(recorded, tmp_path):
    whole = shutil.copytree(recorded, tmp_path / "whole")
    expected = scrub(whole, Choice())
    for steps in range(100):
        torn = shutil.copytree(recorded, tmp_path / f"torn{steps}")
        with pytest.MonkeyPatch.context() as patch:
            killed_after(steps, patch)
            try:
                scrub(torn, Choice())
            except Killed:
                done = False
            else:
                done = True
        if done:
            break
        found = scrub(torn, Choice())
        assert names(torn) == names(whole), steps
        assert {k: found[k] for k in ("before", "removed", "redacted", "after")} == {
            k: expected[k] for k in ("before", "removed", "redacted", "after")
        }, steps
        assert found["proof"] == expected["proof"], steps
    assert done
    assert steps > 10


def test_what_a_killed_scrub_remembers_is_for_its_owner_alone(run, monkeypatch):
    monkeypatch.setattr(scrubbing, "_remove", lambda *_: (_ for _ in ()).throw(Killed))
    with pytest.raises(Killed):
        scrub(run, Choice())
    assert stat.S_IMODE((run / scrubbing.SCRUBBING).stat().st_mode) == 0o600
    assert stat.S_IMODE(run.stat().st_mode) == 0o700


# --- the search ------------------------------------------------------------------------------------


def yaml_folded(text):
    out = io.StringIO()
    YAML(typ="rt").dump({"a": {"deep": {"place": {"to": {"be": "so that it is folded: " + text}}}}}, out)
    return out.getvalue()


WRITTEN = {
    "plain": lambda text: text,
    "json": lambda text: json.dumps({"a": text}, ensure_ascii=False),
    "json-ascii": lambda text: json.dumps({"a": text}),
    "json-in-json": lambda text: json.dumps({"a": json.dumps({"b": text})}),
    "json-in-plain-json": lambda text: json.dumps(
        {"a": json.dumps([text], ensure_ascii=False)}, ensure_ascii=False
    ),
    "html": lambda text: html.escape(text),
    "jinja": lambda text: str(escape(text)),
    "yaml": yaml_folded,
    "wrapped": lambda text: text.replace(" ", "\n   "),
}


@pytest.mark.parametrize("way", WRITTEN)
def test_a_text_is_found_however_it_is_written(way, tmp_path):
    path = tmp_path / "file"
    path.write_text(f"before {WRITTEN[way](TEXT)} after", encoding="utf-8")
    search = Search([TEXT], [], [])
    assert [hit.kind for hit in search.within(path, "file")] == ["texts"]
    path.write_text(f"before {WRITTEN[way](TEXT.replace('Ödön', 'Odon'))} after", encoding="utf-8")
    assert search.within(path, "file") == []


def test_a_text_is_found_in_utf_16_in_metadata_of_tensors_in_names_and_across_pieces(tmp_path, monkeypatch):
    search = Search([TEXT], [], [])
    (tmp_path / "wide").write_text(TEXT, encoding="utf-16")
    header = json.dumps({"__metadata__": {"note": TEXT}}).encode()
    (tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * 64)
    assert search.within(tmp_path / "wide", "wide")
    assert search.within(tmp_path / "a.safetensors", "a")
    (tmp_path / "empty").write_text("")
    assert search.within(tmp_path / "empty", TEXT)
    monkeypatch.setattr("collapse_core.scrubbing.searching.CHUNK", 1000)
    (tmp_path / "long").write_text("x" * 990 + TEXT + "y" * 3000)
    assert search.within(tmp_path / "long", "long")


def test_token_ids_are_found_as_lists_whatever_stands_around_them(tmp_path):
    path = tmp_path / "file.json"
    search = Search([], [], token_lists([[11, 12, 13, 14, 15, 16], [1, 2]]))
    assert len(search) == 1
    for text in ("[7, 12, 13, 14, 15, 8]", json.dumps({"ids": [3, 12, 13, 14, 15]}, indent=2)):
        path.write_text(text)
        assert [hit.kind for hit in search.within(path, "file")] == ["lists"]
    for text in ("[112, 13, 14, 15]", "[12, 13, 14, 151]"):
        path.write_text(text)
        assert search.within(path, "file") == []


def test_single_words_are_found_as_words_and_fail_no_scrub(tmp_path):
    secrets = Secrets()
    for content in ("Paris", "ok", "Who was it?", "ada@example.org", "东京大学教授"):
        secrets.add(content)
    assert secrets.words == {"Paris"}
    assert secrets.texts == {"Who was it?", "ada@example.org", "东京大学教授"}
    assert secrets.too_short == 1
    path = tmp_path / "file"
    search = Search(secrets.texts, secrets.words, [])
    path.write_text("Parisian; comParis; Paris_1")
    assert search.within(path, "file") == []
    path.write_text("in Paris.")
    assert [hit.kind for hit in search.within(path, "file")] == ["words"]


def test_contents_that_are_no_texts_are_searched_for_as_lists(tmp_path):
    secrets = Secrets()
    secrets.add([[1, 2], [3, 4], 5])
    secrets.add(
        [{"role": "user", "content": "Who was it?"}, {"role": "assistant", "content": "Ada Lovelace"}]
    )
    assert secrets.texts == {"Who was it?", "Ada Lovelace"}
    (tmp_path / "rows").write_text('{"asked": [ [1,2], [3,\n4], 5 ]}')
    assert Search([], [], secrets.lists).within(tmp_path / "rows", "rows")


def test_removing_keeps_keys_and_names_of_the_program():
    redaction = Redaction({"best-of-n", "Ada Lovelace"})
    before = {"use": "best-of-n", "note": "by Ada\n Lovelace.", "list": ["best-of-n", "best-of-nine", 3]}
    after = {"use": "best-of-n", "note": "by [removed].", "list": ["[removed]", "best-of-nine", 3]}
    assert redaction.value(before) == after


def test_a_scrub_that_has_left_something_is_refused_without_saying_what():
    hit = {"file": os.path.join("model", "a"), "kind": "texts", "num": 1}
    with pytest.raises(CollapseError, match="still in run/model/a"):
        scrubbing.check({"proof": {"found": [hit]}}, Path("run"))
