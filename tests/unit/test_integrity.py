"""What a kill, a broken disk or an edited file does to a run directory and to the cache."""

import errno
import json
import os
import re
import resource
import shutil
from contextlib import contextmanager

import numpy as np
import pytest
from safetensors.numpy import save_file

from collapse_core import errors, files, processes, progress
from collapse_core.run.checkpoints import to_fill
from collapse_core.runtime.cache import cache_root, cached

DATA = """
from pathlib import Path

from collapse_core import Entry, hookimpl
from collapse_core.runtime.digests import file_digest
from collapse_toy.data import Cities


class FromFile(Cities):
    \"\"\"The cities, and a file whose digest is recorded.\"\"\"

    def provenance(self):
        path = Path(FILE)
        return {path.name: file_digest(path), "hub": "cities"} if path.exists() else {}


@hookimpl
def collapse_components():
    yield Entry("dataset", "from-file", FromFile)
"""


@pytest.fixture
def killed(toy, tmp_path, collapse_here):
    """A run as a kill leaves it after its last iteration, with the checkpoints 2 and 4; and what it made."""

    def killed(**lines):
        run = tmp_path / "run"
        assert collapse_here("run", toy(**lines), "--run-dir", run).code == 0
        made = {name: (run / name).read_bytes() for name in ("journal.jsonl", "evaluations.jsonl")}
        (run / "status.json").unlink()
        (run / "report.html").unlink()
        return run, made

    return killed


def test_a_run_that_was_killed_before_its_report_gets_it_when_resumed(toy, tmp_path, collapse_here):
    run = tmp_path / "run"
    collapse_here("run", toy(), "--run-dir", run)
    (run / "report.html").unlink()
    (run / ".report.html.99999999.draft").write_text("<ht")
    done = collapse_here("resume", run)
    assert (done.code, done.out) == (0, f"collapse report {run}\n")
    assert (run / "report.html").exists()
    assert not list(run.glob("*.draft"))
    assert "is finished; read its report" in collapse_here("resume", run).err


def test_the_report_command_removes_drafts_of_dead_processes_only(toy, tmp_path, collapse_here):
    run = tmp_path / "run"
    collapse_here("run", toy(), "--run-dir", run)
    (run / ".report.html.99999999.draft").write_text("<ht")
    (run / f".report.html.{os.getppid()}.draft").write_text("<ht")
    assert collapse_here("report", run).code == 0
    assert [path.name for path in run.glob(".*.draft")] == [f".report.html.{os.getppid()}.draft"]


@pytest.mark.parametrize(
    "broken", [b"", b"[]", *(pytest.param(text, marks=pytest.mark.slow) for text in (b"\xff\xfe", b"{}"))]
)
def test_a_broken_status_does_not_stop_a_resumption(killed, collapse_here, broken):
    run, made = killed()
    (run / "status.json").write_bytes(broken)
    assert collapse_here("resume", run).code == 0
    assert {name: (run / name).read_bytes() for name in made} == made


@pytest.mark.parametrize("name", ["state.json", "probabilities.json"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(killed, collapse_here, name):
    run, made = killed()
    path = run / "checkpoints" / "4" / name
    path.write_text(path.read_text().replace("0", "1"))
    done = collapse_here("resume", run)
    assert done.code == 0
    said = "".join(f"{run / 'checkpoints' / '4'} is damaged ({name})".split())
    assert said in "".join(done.err.split()), "the terminal may break the line anywhere"
    assert {name: (run / name).read_bytes() for name in made} == made


def test_a_run_whose_checkpoints_are_all_damaged_begins_anew(killed, collapse_here):
    run, made = killed()
    for path in run.glob("checkpoints/*/probabilities.json"):
        path.unlink()
    done = collapse_here("resume", run)
    assert (done.code, done.err.count("is damaged")) == (0, 2)
    assert {name: (run / name).read_bytes() for name in made} == made


def test_a_damaged_checkpoint_is_not_measured(killed, collapse_here):
    run, _ = killed()
    (run / "checkpoints" / "4" / "probabilities.json").write_text("{}")
    done = collapse_here("eval", run)
    assert done.code == 1
    assert "is damaged (probabilities.json)" in done.err


@pytest.mark.parametrize("folder", ["completions", "checkpoints"])
def test_a_folder_of_the_run_that_is_gone_is_made_again(killed, collapse_here, folder):
    run, made = killed()
    shutil.rmtree(run / folder)
    assert collapse_here("resume", run).code == 0
    assert (run / folder).is_dir()
    assert {name: (run / name).read_bytes() for name in made} == made


def test_a_data_file_that_has_changed_is_refused_and_named(killed, tmp_path, collapse_here):
    source = tmp_path / "forget10.json"
    source.write_text("[]")
    (tmp_path / "data.py").write_text(DATA.replace("FILE", repr(str(source))))
    run, _ = killed(data="data: {use: from-file, num_draws: 8}\nplugins: [data.py]")
    source.write_text("[1]")
    done = collapse_here("resume", run)
    assert (done.code, done.err) == (
        2,
        f"{run}: data (forget10.json): is not the file that this run began with; put that back, or start a "
        "new run\n",
    )
    source.unlink()
    assert "data (forget10.json)" in collapse_here("resume", run).err
    source.write_text("[]")
    assert collapse_here("resume", run).code == 0


# --- the cache -------------------------------------------------------------------------------------


@pytest.fixture
def said():
    found: list[str] = []
    with progress.listening(lambda label, done, total: found.append(label)):
        yield found


@pytest.fixture
def thing(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def make(directory):
        (directory / "weights").write_bytes(b"\1" * 64)
        (directory / "config.json").write_text("{}")

    return lambda key="key": cached("things", key, make)


@pytest.mark.parametrize("harm", ["flip", "truncate", "unlink", "seal"])
def test_a_damaged_thing_of_the_cache_is_made_anew_and_that_is_said(thing, said, harm):
    path = thing() / (files.COMPLETE if harm == "seal" else "weights")
    if harm == "unlink":
        path.unlink()
    else:
        path.write_bytes({"flip": b"\1" * 63 + b"\0", "truncate": b"\1", "seal": b"no json"}[harm])
    assert said == []
    assert (thing() / "weights").read_bytes() == b"\1" * 64
    assert said == [f"{path.parent} is damaged ({path.name}); it is made anew"]


def test_a_file_where_a_thing_of_the_cache_should_be_is_replaced(thing):
    home = cache_root() / "things" / "key"
    home.parent.mkdir(parents=True)
    home.write_text("")
    assert (thing() / "config.json").read_text() == "{}"


@contextmanager
def no_file_beyond(size):
    """Refuse to let a file grow, as a full disk does, while the block runs."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_in_the_cache_is_named_as_one_elsewhere_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def save(folder):
        save_file({"weight": np.zeros(4096)}, folder / "weights.safetensors")

    home = cache_root() / "things" / "key"
    with no_file_beyond(8192), pytest.raises(OSError, match="File too large") as caught:
        cached("things", "key", save)
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(home))
    assert errors.system_error(caught.value) == f"{home}: file too large"
    assert list(home.parent.iterdir()) == []
    assert (cached("things", "key", save) / "weights.safetensors").stat().st_size > 8192


def test_a_full_disk_at_a_checkpoint_is_named_whatever_library_writes_it(tmp_path):
    full = pytest.raises(OSError, match="File too large")
    with no_file_beyond(8192), full as caught, to_fill(processes.current(), tmp_path / "4") as folder:
        save_file({"weight": np.zeros(4096)}, folder / "weights.safetensors")
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(tmp_path / "4"))


def test_what_a_library_says_of_itself_is_no_full_disk(tmp_path):
    for text in ("no number", "not found (os error 2)"):
        with pytest.raises(ValueError, match=re.escape(text)), files.naming(tmp_path):
            raise ValueError(text)


def test_drafts_of_dead_processes_go_at_the_next_use_of_any_thing(thing):
    thing()
    for key in ("a", "b"):
        (cache_root() / "things" / f"{key}.draft").mkdir()
    thing()
    assert [path.name for path in (cache_root() / "things").iterdir()] == ["key"]


def test_the_draft_of_a_living_process_stays(thing):
    from filelock import FileLock

    thing()
    (cache_root() / "things" / "a.draft").mkdir()
    with FileLock(cache_root() / "locks" / "things" / "a"):
        thing()
    assert (cache_root() / "things" / "a.draft").is_dir()


def test_a_directory_sealed_before_digests_were_recorded_counts_as_sound(tmp_path):
    (tmp_path / files.COMPLETE).touch()
    (tmp_path / "weights").write_text("x")
    assert files.damaged(tmp_path) == []
    files.seal(tmp_path)
    assert json.loads((tmp_path / files.COMPLETE).read_text()).keys() == {"weights"}
    assert files.damaged(tmp_path) == []
