"""Files that a kill cannot tear, and things that are made once."""

import multiprocessing
import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collapse_core import files, progress
from collapse_core.runtime.cache import cache_root, cached

ROWS = st.lists(st.dictionaries(st.text(), st.text() | st.integers() | st.none(), max_size=3), max_size=4)


@given(rows=ROWS)
def test_lines_are_read_back_as_they_were_written_whatever_the_text(rows, tmp_path_factory):
    """Also line separators that JSON does not escape, such as U+2028 and U+0085."""
    path = tmp_path_factory.mktemp("lines") / "x.jsonl"
    files.write_lines(path, rows)
    assert files.read_lines(path) == rows
    for row in rows:
        files.append_line(path, row)
    assert files.read_lines(path) == rows + rows


def test_odd_line_separators_do_not_split_a_line(tmp_path):
    row = {"answer": "one\u2028two\u0085three\x0bfour\u2029"}
    files.append_line(tmp_path / "x.jsonl", row)
    assert files.read_lines(tmp_path / "x.jsonl") == [row]


def test_a_torn_last_line_is_dropped_wherever_it_is_torn(tmp_path):
    path = tmp_path / "x.jsonl"
    files.append_line(path, {"whole": "naïve"})
    whole = path.read_bytes()
    for end in range(len(whole)):
        path.write_bytes(whole + whole[:end])
        assert files.read_lines(path) == [{"whole": "naïve"}]


def test_no_file_is_no_lines(tmp_path):
    assert files.read_lines(tmp_path / "nowhere.jsonl") == []


def die_while_writing(path) -> None:
    real = os.fsync
    os.fsync = lambda number: os._exit(9)  # the text is written, and not yet in place
    files.write_text(path, "new" * 1000)
    os.fsync = real


def in_process(work, *arguments):
    process = multiprocessing.get_context("spawn").Process(target=work, args=arguments)
    process.start()
    return process


@pytest.mark.process
def test_a_kill_while_writing_leaves_the_old_file(tmp_path):
    path = tmp_path / "status.json"
    files.write_text(path, "old")
    process = in_process(die_while_writing, path)
    process.join()
    assert process.exitcode == 9
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 2
    files.drop_drafts(tmp_path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_old_file_and_no_draft(tmp_path, monkeypatch):
    path = tmp_path / "status.json"
    files.write_text(path, "old")

    def full(number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        files.write_text(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_directory_counts_only_once_it_is_sealed(tmp_path):
    directory = files.fresh_directory(tmp_path / "d")
    (directory / "weights").write_text("w")
    assert not files.is_sealed(directory)
    files.seal(directory)
    assert files.is_sealed(directory)
    assert not files.is_sealed(files.fresh_directory(directory))


# --- the cache -------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def cache_home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def make(directory) -> None:
    (directory / "made-by").write_text(str(os.getpid()))


def make_slowly(directory) -> None:
    (directory / "begun").write_text("")
    time.sleep(0.4)
    make(directory)


def make_and_die(directory) -> None:
    make(directory)
    os._exit(9)


def make_and_raise(directory) -> None:
    make(directory)
    raise ValueError("cannot be made")


def use(how, results) -> None:
    results.put(str((cached("things", "key", how) / "made-by").read_text()))


def test_a_thing_is_made_once():
    first = cached("things", "key", make)
    assert cached("things", "key", make_and_raise) == first
    assert cached("things", "other", make) != first


@pytest.mark.process
def test_two_processes_that_make_one_thing_at_once_both_get_it():
    results = multiprocessing.get_context("spawn").Queue()
    processes = [in_process(use, make_slowly, results) for _ in range(2)]
    found = {results.get(timeout=30) for _ in processes}
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert len(found) == 1
    assert found <= {str(process.pid) for process in processes}
    home = cached("things", "key", make_and_raise)
    assert [path.name for path in home.parent.iterdir()] == ["key"]


def make_while_waited_for(directory) -> None:
    with (cache_root().parent / "makers").open("a") as log:
        log.write(f"{os.getpid()}\n")
    for _ in range(400):
        if (cache_root().parent / "waits").exists():
            break
        time.sleep(0.05)
    make(directory)


def use_and_listen(how, results) -> None:
    said = []

    def listener(label, done, total):
        said.append((label, total))
        (cache_root().parent / "waits").touch()

    with progress.listening(listener):
        cached("things", "key", how)
    results.put(said)


@pytest.mark.process
def test_of_two_processes_one_makes_it_and_the_other_waits_and_says_so():
    results = multiprocessing.get_context("spawn").Queue()
    cache_root().mkdir(parents=True)
    processes = [in_process(use_and_listen, make_while_waited_for, results) for _ in range(2)]
    said = sorted(results.get(timeout=60) for _ in processes)
    for process in processes:
        process.join()
    assert said == [[], [("waiting for another run, which makes things/key", 0)]]
    assert len((cache_root().parent / "makers").read_text().splitlines()) == 1


@pytest.mark.process
def test_what_a_dead_process_has_begun_is_cleared_away_by_the_next():
    results = multiprocessing.get_context("spawn").Queue()
    in_process(use, make_and_die, results).join()
    left = [path.name for path in (cache_root() / "things").iterdir()]
    assert left == ["key.draft"]
    cached("things", "key", make)
    assert [path.name for path in (cache_root() / "things").iterdir()] == ["key"]


@pytest.mark.process
def test_a_maker_that_dies_leaves_nothing_that_counts():
    results = multiprocessing.get_context("spawn").Queue()
    process = in_process(use, make_and_die, results)
    process.join()
    assert process.exitcode == 9
    assert (cached("things", "key", make) / "made-by").read_text() == str(os.getpid())


def test_a_maker_that_raises_leaves_nothing_that_counts():
    with pytest.raises(ValueError, match="cannot be made"):
        cached("things", "key", make_and_raise)
    assert list((cache_root() / "things").iterdir()) == []
    assert (cached("things", "key", make) / "made-by").read_text() == str(os.getpid())


def test_a_thing_that_was_left_unfinished_is_made_again(tmp_path):
    home = cached("things", "key", make)
    (home / files.COMPLETE).unlink()
    (home / "made-by").write_text("torn")
    assert (cached("things", "key", make) / "made-by").read_text() == str(os.getpid())
