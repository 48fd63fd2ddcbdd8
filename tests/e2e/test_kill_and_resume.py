"""A run that was killed, however often and whenever, ends as if it had never stopped."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

HERE = Path(__file__).parent
MEMORY = Path("/dev/shm")

SMALL = """\
version: 1
name: small
data: {use: cities, num_draws: 9}
model: {use: categorical}
sampler: {use: categorical-draws}
rewards: [{use: not-among, categories: [Toronto, Montreal]}]
filter: {use: best-of-n}
updater: {use: categorical-mle}
iterations: 4
prompts_per_iteration: 4
completions_per_prompt: 2
evaluate: {every: 2, with: [category-shares], baselines: {clean: {use: categorical}}}
checkpoint: {every: 2, keep: 2}
"""
LONG = (
    SMALL.replace("num_draws: 9", "num_draws: 200")
    .replace("iterations: 4", "iterations: 40")
    .replace("prompts_per_iteration: 4", "prompts_per_iteration: 120")
    .replace("completions_per_prompt: 2", "completions_per_prompt: 5")
    .replace("checkpoint: {every: 2,", "checkpoint: {every: 3,")
)


@pytest.fixture
def home(tmp_path):
    """A place where syncing a file costs nothing, if there is one: it is done ten thousand times here."""
    if not os.access(MEMORY, os.W_OK):
        yield tmp_path / "home"
        return
    subprocess.run(["rm", "-rf", path := MEMORY / f"collapse-test-{os.getpid()}"], check=True)
    yield path
    subprocess.run(["rm", "-rf", path], check=True)


def drive(mode: str, recipe: str, home: Path, tmp_path: Path, *more: object) -> dict:
    (tmp_path / "recipe.yaml").write_text(recipe)
    done = subprocess.run(
        [sys.executable, str(HERE / "crash_driver.py"), mode, str(tmp_path / "recipe.yaml"), str(home)]
        + [str(one) for one in more],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "NO_COLOR": "1"},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("writes", "least", "least_again"),
    [("kinds", 20, 8), pytest.param("every", 81, 41, marks=pytest.mark.slow)],
)
def test_death_before_any_write_at_all_loses_nothing(home, tmp_path, writes, least, least_again):
    """Also when half a line was written, and when the resumed run dies as well."""
    found = drive(writes, SMALL, home, tmp_path)
    assert found["wrong"] == []
    assert found["died"] >= least
    assert found["died_again"] >= least_again


@pytest.mark.slow
def test_kill_9_at_any_time_loses_nothing(home, tmp_path):
    found = drive("random", LONG, home, tmp_path, 40, 548)
    assert (found["failures"], found["left_out"]) == ([], {})
    assert len({lines for lines in found["lines"] if 0 < lines < 40}) >= 5, found["lines"]
    assert found["kills"] - len(found["lines"]) >= 5


COUNTING = """
import os
import time
from collapse_core import Entry, Reward, hookimpl


class Slow(Reward):
    \"\"\"Takes its time with each prompt where the environment says so.\"\"\"

    def score(self, prompt, completions, reference):
        time.sleep(float(os.environ.get("REWARD_SECONDS", 0)))
        return [float(completion.content not in ("Toronto", "Vancouver")) for completion in completions]


@hookimpl
def collapse_components():
    yield Entry("reward", "slow", Slow)
"""


@pytest.fixture
def slow(toy, tmp_path):
    """A recipe whose iterations take a while in the background: 8 prompts at 20 ms each."""
    (tmp_path / "slow.py").write_text(COUNTING)
    path = toy(iterations="iterations: 6", checkpoint="checkpoint: {every: 4}", more="plugins: [slow.py]\n")
    text = path.read_text().replace(
        "{use: not-among, categories: [Toronto, Montreal, Vancouver]}", "{use: slow}"
    )
    path.write_text(text)
    return path


def start(command: str, *arguments: object) -> subprocess.Popen:
    """A run in the background."""
    collapse = str(Path(sys.executable).with_name("collapse"))
    return subprocess.Popen(
        [collapse, command, *map(str, arguments)],
        env=os.environ | {"REWARD_SECONDS": "0.02"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def wait_for(condition, seconds: float = 20) -> None:
    for _ in range(int(seconds / 0.005)):
        if condition():
            return
        time.sleep(0.005)
    raise AssertionError("it did not happen in time")


def status(run: Path) -> dict:
    return json.loads((run / "status.json").read_text())


def same(run: Path, other: Path) -> None:
    for name in ("journal.jsonl", "evaluations.jsonl", "model/probabilities.json"):
        assert (run / name).exists() == (other / name).exists()
        assert not (run / name).exists() or (run / name).read_bytes() == (other / name).read_bytes(), name
    texts = [{p.name: p.read_bytes() for p in (one / "completions").iterdir()} for one in (run, other)]
    assert texts[0] == texts[1]


@pytest.fixture
def whole(slow, tmp_path, collapse):
    """The run that nobody disturbed."""
    done = collapse("run", slow, "--run-dir", tmp_path / "whole")
    assert done.code == 0, done.err
    return tmp_path / "whole"


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_the_first_signal_lets_the_iteration_finish_and_saves(number, slow, whole, tmp_path, collapse):
    run = tmp_path / "run"
    process = start("run", slow, "--run-dir", run)
    wait_for(lambda: lines(run / "journal.jsonl") == 2)
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "stopping after this iteration; once more to stop now" in err
    assert err.strip().endswith(f"collapse resume {run}")
    assert "Traceback" not in err
    assert out == ""
    done = lines(run / "journal.jsonl")
    assert 2 <= done <= 4
    assert (status(run)["status"], status(run)["iteration"]) == ("interrupted", done)
    assert (run / "checkpoints" / str(done) / "COMPLETE").exists()
    resumed = collapse("resume", run)
    assert resumed.code == 0, resumed.err
    assert status(run)["status"] == "finished"
    same(run, whole)


@pytest.mark.slow
def test_the_second_signal_stops_now_and_the_run_goes_on_from_the_checkpoint_before(
    slow, whole, tmp_path, collapse
):
    run = tmp_path / "run"
    process = start("run", slow, "--run-dir", run)
    wait_for(lambda: lines(run / "journal.jsonl") == 1)
    process.send_signal(signal.SIGINT)
    assert any("stopping after this iteration" in line for line in process.stderr)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert status(run)["status"] == "interrupted"
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["0"]
    assert collapse("resume", run).code == 0
    same(run, whole)


@pytest.mark.slow
def test_a_signal_that_comes_when_all_is_done_does_not_undo_it(toy, tmp_path):
    """The final evaluation is being made: the run ends, and is finished."""
    (tmp_path / "late.py").write_text(LATE)
    path = toy(evaluate="evaluate: {with: [late]}", more="plugins: [late.py]\n")
    run = tmp_path / "run"
    process = start("run", path, "--run-dir", run)
    wait_for(lambda: run.joinpath("status.json").exists() and status(run)["iteration"] == 4)
    wait_for(lambda: status(run).get("phase") == "evaluate")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, status(run)["status"]) == (0, "finished"), err
    assert out.endswith(f"collapse report {run}\n")


LATE = """
import time
from collapse_core import Entry, Evaluation, Evaluator, Metric, hookimpl


class Late(Evaluator):
    \"\"\"Takes half a second.\"\"\"

    def evaluate(self, model, data, seed):
        time.sleep(0.5)
        return Evaluation({"nothing": Metric(0.0)})


@hookimpl
def collapse_components():
    yield Entry("evaluator", "late", Late)
"""


def test_a_real_process_that_is_killed_can_be_resumed_while_another_may_not_touch_it(
    slow, whole, tmp_path, collapse
):
    run = tmp_path / "run"
    process = start("run", slow, "--run-dir", run)
    wait_for(lambda: lines(run / "journal.jsonl") == 3)
    process.send_signal(signal.SIGSTOP)  # or a slow machine would let it finish meanwhile
    meanwhile = collapse("resume", run)
    assert meanwhile.code == 1
    assert (
        meanwhile.err
        == f"collapse: {run} is being worked on by another process; wait for it or stop it first\n"
    )
    process.kill()
    process.communicate(timeout=20)
    assert status(run)["status"] == "running"
    done = collapse("resume", run)
    assert done.code == 0, done.err
    same(run, whole)
    again = collapse("resume", run)
    assert (again.code, again.err) == (
        1,
        f"collapse: {run} is finished; read its report with 'collapse report {run}'\n",
    )


def test_a_full_disk_is_told_in_a_sentence_and_the_run_goes_on_when_there_is_room(toy, tmp_path, collapse):
    """No file may grow beyond a few kilobytes, so that the journal is cut short within a line."""
    path, run = toy(iterations="iterations: 45", evaluate="evaluate: {}"), tmp_path / "run"
    limited = f"ulimit -f 8; exec {Path(sys.executable).with_name('collapse')} run {path} --run-dir {run}"
    done = subprocess.run(["bash", "-c", limited], capture_output=True, text=True)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1] == (
        f"collapse: {run / 'journal.jsonl'}: file too large; fix that, then go on with "
        f"'collapse resume {run}'"
    )
    torn = (run / "journal.jsonl").read_bytes()
    assert torn
    assert not torn.endswith(b"\n")
    assert status(run)["status"] == "failed"
    assert list(run.glob(".*draft")) == []
    assert collapse("resume", run).code == 0
    assert collapse("run", path, "--run-dir", tmp_path / "whole").code == 0
    same(run, tmp_path / "whole")


def test_a_run_is_finished_even_if_there_is_no_room_for_its_report(toy, tmp_path, collapse):
    run = tmp_path / "run"
    limited = f"ulimit -f 8; exec {Path(sys.executable).with_name('collapse')} run {toy()} --run-dir {run}"
    done = subprocess.run(["bash", "-c", limited], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"collapse: {run} is finished, but not its report: {run / 'report.html'}: file too large; "
        f"then 'collapse report {run}'"
    )
    assert status(run)["status"] == "finished"
    assert collapse("report", run).code == 0


def test_a_part_that_raises_is_told_without_a_traceback_and_with_its_place(toy, tmp_path, collapse):
    (tmp_path / "late.py").write_text(LATE.replace("time.sleep(0.5)", "raise KeyError('oh')"))
    path = toy(evaluate="evaluate: {with: [late]}", more="plugins: [late.py]\n")
    done = collapse("run", path, "--run-dir", tmp_path / "run")
    assert done.code == 1
    assert "Traceback" not in done.err
    assert done.err.splitlines()[-1] == (
        f"collapse: the evaluator 'late' failed: KeyError: 'oh' ({tmp_path / 'late.py'}, line 10); "
        "'collapse --debug ...' shows the traceback"
    )
    assert f"collapse resume {tmp_path / 'run'}" in done.err
    assert status(tmp_path / "run")["status"] == "failed"
    debugged = collapse("--debug", "run", path, "--run-dir", tmp_path / "other")
    assert (debugged.code, "Traceback" in debugged.err) == (1, True)
