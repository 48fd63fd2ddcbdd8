"""A run shows signs of life in every phase, and none once it has ended."""

import json
import os
import threading
import time

import pytest

from collapse_core import Callback, CollapseError, collapse, create_run, load_recipe, progress
from collapse_core.run import heartbeat
from collapse_core.run.heartbeat import Heartbeat


@pytest.fixture(autouse=True)
def beats_often(monkeypatch):
    monkeypatch.setattr(heartbeat, "INTERVAL", 0.01)


@pytest.fixture
def status(tmp_path):
    return lambda: json.loads((tmp_path / "status.json").read_text())


def wait_until(true, seconds=20):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.005)


def test_a_long_phase_renews_the_heartbeat_and_nothing_else(tmp_path, status):
    path, sign = tmp_path / "status.json", Heartbeat(tmp_path / "status.json")
    with sign.beating():
        sign.show({"status": "running", "iteration": 3, "phase": "sample"})
        first = path.stat().st_ino
        wait_until(lambda: path.stat().st_ino != first)
        found = status()
        assert found.pop("heartbeat").endswith("Z")
        assert found == {"status": "running", "iteration": 3, "phase": "sample", "pid": os.getpid()}
    assert [entry.name for entry in tmp_path.iterdir()] == ["status.json"]


def test_a_phase_says_what_it_is_busy_with(tmp_path, status):
    sign = Heartbeat(tmp_path / "status.json")
    with sign.beating():
        sign.show({"status": "running", "phase": "load"})
        progress.report("teach", 3, 9)
        wait_until(lambda: status().get("done") == 3)
        assert (status()["phase"], status()["total"]) == ("load: teach", 9)
        sign.show({"status": "running", "phase": "update"})
        assert (status()["phase"], status().get("done")) == ("update", None)
        progress.report("update", 1, 2)
        wait_until(lambda: status().get("done") == 1)
        assert status()["phase"] == "update"


def test_it_listens_beside_whoever_listens_already(tmp_path):
    heard = []
    sign = Heartbeat(tmp_path / "status.json")
    with progress.listening(lambda *all_: heard.append(all_)), sign.beating():
        progress.report("teach", 1, 2)
    progress.report("teach", 2, 2)
    assert heard == [("teach", 1, 2)]


@pytest.mark.parametrize("last", ["finished", "interrupted", "failed"])
def test_a_run_that_has_ended_is_not_written_to(tmp_path, last):
    path, sign = tmp_path / "status.json", Heartbeat(tmp_path / "status.json")
    with sign.beating():
        sign.show({"status": "running"})
        sign.show({"status": last})
        written = path.stat()
        time.sleep(0.1)
        assert path.stat() == written
    assert not [thread for thread in threading.enumerate() if thread.name == "heartbeat"]


def test_it_ends_with_its_block_even_when_that_fails(tmp_path):
    path, sign = tmp_path / "status.json", Heartbeat(tmp_path / "status.json")

    def fails() -> None:
        with sign.beating():
            sign.show({"status": "running"})
            raise CollapseError("no")

    with pytest.raises(CollapseError):
        fails()
    written = path.stat()
    time.sleep(0.1)
    assert path.stat() == written, "whoever resumes the run has the file to itself"


def test_a_file_that_cannot_be_written_leaves_the_failure_to_the_run(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    sign = Heartbeat(folder / "status.json")
    with sign.beating():
        sign.show({"status": "running"})
        folder.rename(tmp_path / "away")
        time.sleep(0.1)
        folder.mkdir()
        wait_until((folder / "status.json").exists)


class Slow(Callback):
    """Waits in every phase for a sign of life."""

    def __init__(self, path) -> None:
        self.path, self.phases = path, []

    def on_phase(self, name) -> None:
        if name != "done":
            before = self.path.stat().st_ino
            wait_until(lambda: self.path.stat().st_ino != before)
            self.phases.append((name, json.loads(self.path.read_text())["phase"]))


def test_the_heartbeat_beats_in_every_phase_and_the_journal_is_the_same(toy, tmp_path):
    recipe = load_recipe(toy(iterations="iterations: 2"))
    watched = create_run(recipe, "", {}, tmp_path / "watched")
    slow = Slow(watched.directory / "status.json")
    collapse(recipe, watched, [slow])
    watched.close()
    assert {name for name, _ in slow.phases} == {
        "load",
        "references",
        "evaluate",
        "save",
        "sample",
        "update",
        "record",
    }
    assert all(name == said for name, said in slow.phases)
    plain = create_run(recipe, "", {}, tmp_path / "plain")
    collapse(recipe, plain)
    plain.close()
    for name in ("journal.jsonl", "evaluations.jsonl"):
        assert (watched.directory / name).read_bytes() == (plain.directory / name).read_bytes()
