"""Whoever waits is told how far it is, how fast it goes, and how long the rest takes."""

import io
from types import SimpleNamespace

import pytest
from rich.console import Console as Terminal

from collapse_core import load_recipe
from collapse_core.session import pace as pace_module
from collapse_core.session.console import Console
from collapse_core.session.pace import Pace, Remaining, clock, plan


@pytest.fixture
def now(monkeypatch):
    """A clock that the test sets."""
    clock = SimpleNamespace(time=0.0)
    monkeypatch.setattr(pace_module, "time", SimpleNamespace(monotonic=lambda: clock.time))
    return clock


@pytest.fixture
def pace(now):
    return Pace()


def test_the_second_step_says_how_long_the_rest_takes(pace, now):
    pace.note("teach", 0, 40)
    assert (pace.left, pace.describe()) == (None, "teach 0/40")
    now.time = 7.0
    pace.note("teach", 1, 40)
    assert (pace.left, pace.describe()) == (None, "teach 1/40"), "a first step takes longer than the others"
    now.time = 9.0
    pace.note("teach", 2, 40)
    assert pace.left == 76.0
    assert pace.describe() == "teach 2/40, 2.0 s each, 1:16 left"
    now.time = 16.0
    pace.note("teach", 16, 40)
    assert pace.describe() == "teach 16/40, 2.0 per second, 0:12 left"


def test_the_rate_is_that_of_late(pace, now):
    """Answers that are decoded together end late: what the first took says little about the last."""
    pace.note("answers", 0, 200)
    for now.time, done in ((6.0, 1), (7.0, 4), (8.0, 20), (9.0, 60)):
        pace.note("answers", done, 200)
    assert pace.describe() == "answers 60/200, 40.0 per second, 0:04 left"


def test_a_long_piece_of_work_is_told_of_at_its_first_steps_and_at_each_tenth(pace, now):
    passed = []
    for done in range(101):
        now.time = float(done)
        if pace.note("teach", done, 100):
            passed.append(done)
    assert passed == [1, 2, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100]


def test_no_two_lines_come_within_a_second(pace, now):
    said = []
    for done in range(101):
        now.time = 20.0 + done / 40 if done else 0.0
        if pace.note("answers", done, 100):
            said.append(done)
    assert said == [1, 50, 90]


def test_what_takes_less_than_ten_seconds_is_not_worth_a_line(pace, now):
    for done in range(11):
        now.time = done / 2
        assert not pace.note("update", done, 10)


def test_work_that_begins_again_is_timed_anew(pace, now):
    pace.note("answers", 0, 10)
    now.time = 100.0
    pace.note("answers", 10, 10)
    pace.note("answers", 0, 10)
    for done in (1, 2):
        now.time += 1.0
        pace.note("answers", done, 10)
    assert pace.left == 8.0


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.4, "0:00"), (59.6, "1:00"), (185, "3:05"), (3700, "61:40")]
)
def test_time_is_shown_in_minutes_and_seconds(seconds, shown):
    assert clock(seconds) == shown


@pytest.fixture
def long_recipe(toy):
    evaluate = "evaluate: {every: 4, with: [category-shares], baselines: {other: {use: categorical}}}"
    return load_recipe(toy(iterations="iterations: 12", evaluate=evaluate))


def go(remaining, now, phases):
    for name, seconds in phases:
        remaining.on_phase(name)
        now.time += seconds


@pytest.mark.parametrize(
    ("finished", "left", "said"),
    [
        (1, 3, "about 5:10 left: 11 iterations of 20.0 s, 4 measurements of 22.5 s"),
        (4, 8, "about 4:10 left: 8 iterations of 20.0 s, 4 measurements of 22.5 s"),
        (5, 7, "about 3:28 left: 7 iterations of 20.0 s, 3 measurements of 22.5 s"),
        (12, 0, "about 0:45 left: 2 measurements of 22.5 s"),
    ],
)
def test_after_an_iteration_the_rest_of_the_run_is_known(now, long_recipe, finished, left, said):
    remaining = Remaining(long_recipe)
    go(remaining, now, [("load", 9), ("references", 3), ("evaluate", 22.5), ("save", 1)])
    go(remaining, now, [("sample", 12), ("update", 8)])
    assert remaining.on_iteration(finished) == said
    assert remaining.on_iteration(finished + 1) is None, "said once"


def test_a_short_run_is_not_talked_about(now, long_recipe):
    remaining = Remaining(long_recipe)
    go(remaining, now, [("sample", 0.1), ("update", 0.1)])
    assert remaining.on_iteration(1) is None


def test_a_run_says_what_it_is_about_to_do(long_recipe):
    assert plan(long_recipe) == (
        "toy: load categorical; iterate 12 times (2 completions for each of all prompts, then "
        "categorical-mle); measure category-shares"
    )


@pytest.mark.parametrize("terminal", [False, True])
def test_without_a_terminal_a_line_stays_for_the_first_steps_and_each_tenth(now, tmp_path, terminal):
    console = Console(tmp_path)
    console.messages = Terminal(file=io.StringIO(), force_terminal=terminal, width=100)
    console.pace = Pace()
    for done in range(41):
        now.time = float(done)
        console.progress("teach", done, 40)
    console.close()
    printed = console.messages.file.getvalue()
    lines = [line for line in printed.splitlines() if "teach" in line]
    if terminal:
        assert "teach 40/40" in printed
        assert "left" in printed
    else:
        assert len(lines) == 12
        assert lines[0].endswith("teach 1/40")
        assert lines[1].endswith("teach 2/40, 1.0 per second, 0:38 left")
        assert lines[2].endswith("teach 4/40, 1.0 per second, 0:36 left")
