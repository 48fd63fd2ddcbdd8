"""What processes do together, with threads in their place: they meet in the same way, only quicker."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collapse_core import CollapseError, cached, load_recipe, processes
from collapse_core.cli.launching import _command, _verdict
from collapse_core.recipe.recipe import Launch
from collapse_core.recipe.stored import load_stored
from collapse_core.runtime.processes import FailedElsewhereError, Processes


class Thread(Processes):
    """One of several threads that meet at a barrier."""

    def __init__(self, index: int, table: list, barrier: threading.Barrier) -> None:
        self.index, self.count = index, len(table)
        self.table, self.barrier = table, barrier

    def exchange(self, value):
        self.barrier.wait(5)
        self.table[self.index] = value
        self.barrier.wait(5)
        found = list(self.table)
        self.barrier.wait(5)
        return found


def on_each(num, work):
    """What `work(processes)` gives, or raises, on each of `num` threads."""
    table, barrier = [None] * num, threading.Barrier(num)

    def outcome(index):
        try:
            return work(Thread(index, table, barrier))
        except CollapseError as error:
            return error
        except ValueError as error:
            return error

    with ThreadPoolExecutor(num) as pool:
        return list(pool.map(outcome, range(num)))


@given(items=st.lists(st.integers(), max_size=9), num=st.integers(1, 4))
def test_what_is_shared_out_comes_back_in_order(items, num):
    shares = [Thread(index, [None] * num, None).share(items) for index in range(num)]
    assert sum(map(len, shares)) == len(items)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert on_each(num, lambda p: p.gather_shares(p.share(items))) == [items] * num
    doubled = [2 * item for item in items]
    assert on_each(num, lambda p: p.spread(items, lambda mine: [2 * i for i in mine])) == [doubled] * num


def test_an_item_may_be_none():
    assert on_each(2, lambda p: p.gather_shares(p.share([1, None, 3]))) == [[1, None, 3]] * 2


def test_one_that_wants_to_stop_stops_all():
    assert on_each(3, lambda p: p.agree(p.index == 2)) == [True] * 3
    assert on_each(3, lambda p: p.agree(False)) == [False] * 3


def test_what_fails_on_one_fails_on_all_and_only_that_one_has_the_error():
    def stumble(mine):
        if 4 in mine:
            raise ValueError("not four")
        return mine

    first, second, third = on_each(3, lambda p: p.spread([0, 1, 2, 3, 4], stumble))
    assert isinstance(second, ValueError)
    for told in (first, third):
        assert isinstance(told, FailedElsewhereError)
        assert "ValueError: not four" in str(told)


def test_the_exit_code_of_a_failure_is_that_of_all():
    from collapse_core import PluginError

    def fail():
        raise PluginError("broken")

    own, told = on_each(2, lambda p: p.on_main(fail))
    assert (own.exit_code, told.exit_code, str(told)) == (3, 3, "broken")


def test_the_main_process_makes_something_for_all_as_if_it_were_alone(monkeypatch):
    monkeypatch.setattr(processes, "_joined", Thread(0, [None] * 2, threading.Barrier(2)))
    assert processes.current().count == 2
    made = []

    def make():
        made.append(processes.current().count)
        return "it"

    assert on_each(2, lambda p: p.on_main(make)) == ["it", "it"]
    assert made == [1], "what it calls must not wait for the others, who do not call it"


def test_alone_an_error_is_what_it_was():
    with pytest.raises(ZeroDivisionError):
        Processes().spread([1], lambda mine: [1 // 0])


def test_what_all_need_is_made_once(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = []

    def make(directory):
        made.append(directory)
        (directory / "it").write_text("made")

    table, barrier = [None] * 2, threading.Barrier(2)
    by_thread = {}
    monkeypatch.setattr(processes, "current", lambda: by_thread[threading.get_ident()])

    def each(index):
        by_thread[threading.get_ident()] = Thread(index, table, barrier)
        return (cached("things", "key", make) / "it").read_text()

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(each, range(2))) == ["made", "made"]
    assert len(made) == 1


# --- launch ----------------------------------------------------------------------------------------


def test_the_config_is_found_beside_the_recipe(toy, tmp_path):
    loaded = load_recipe(toy(more="launch: {processes: 2, config: gpus.yaml}\n"))
    assert loaded.launch == Launch(processes=2, config=str(tmp_path / "gpus.yaml"))


def test_launch_may_change_between_a_run_and_its_resumption_and_nothing_else_may(
    toy, tmp_path, collapse_here
):
    assert collapse_here("run", toy(), "--run-dir", tmp_path / "run").code == 0
    written = tmp_path / "run" / "recipe.yaml"
    before = written.read_text()
    written.write_text(before + "launch: {processes: 3}\n")
    assert load_stored(tmp_path / "run").iterations == 4
    written.write_text(before.replace("iterations: 4", "iterations: 5"))
    with pytest.raises(CollapseError, match="iterations: differs"):
        load_stored(tmp_path / "run")


def test_a_config_that_shards_says_itself_how_to_launch(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["collapse", "run", "x.yaml"])
    config = tmp_path / "c.yaml"
    for kind, plain in (("FSDP", False), ("MULTI_GPU", False), ("MULTI_CPU", True)):
        config.write_text(f"distributed_type: {kind}\n")
        command = _command(Launch(config=str(config)))
        assert ("--multi_gpu" in command) is plain
        assert command[-4:] == ["-m", "collapse_core.cli", "run", "x.yaml"]


def test_a_config_that_is_none_is_told_in_a_sentence(tmp_path):
    with pytest.raises(CollapseError, match=r"missing\.yaml: cannot be read"):
        _command(Launch(config=str(tmp_path / "missing.yaml")))
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(CollapseError, match="holds no settings for accelerate: it is not a mapping"):
        _command(Launch(config=str(tmp_path / "list.yaml")))


@pytest.mark.parametrize(
    ("codes", "launcher", "verdict"),
    [
        ([], 0, 0),
        ([], 1, 1),
        ([0, 0], 0, 0),
        ([130, 130], 0, 130),
        ([1, 130], 1, 1),
        ([3, 3], 1, 3),
        ([0], 1, 1),
    ],
)
def test_a_run_exits_as_its_processes_do(codes, launcher, verdict, tmp_path):
    for number, code in enumerate(codes):
        (tmp_path / f"{number}.ended").write_text(str(code))
    assert _verdict(launcher, tmp_path) == verdict


def test_the_manifest_says_how_many_processes_there_were(toy, tmp_path, collapse_here):
    assert collapse_here("run", toy(), "--run-dir", tmp_path / "run").code == 0
    assert json.loads((tmp_path / "run" / "environment.json").read_text())["processes"] == 1
