"""A sweep: resumable, one failing member or a kill aside, here and handed over. Its members are processes."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from _thread import interrupt_main
from importlib.util import find_spec
from pathlib import Path

import pytest
from measured_toys import measured_recipe

from collapse_core.sweep.local import Stop, carry_out
from collapse_core.sweep.members import members
from collapse_core.sweep.ray import _lacking, carry_out_there
from collapse_core.sweep.slurm import Job, _submit
from collapse_core.sweep.submitted import wait_for_all

COLLAPSE = str(Path(sys.executable).with_name("collapse"))
SUBMITIT = ["--launcher", "submitit", "--launcher-set", "cluster=local"]
RAY = ["--launcher", "ray", "--launcher-set", "address=local"]
needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed")
ON_RAY = pytest.param(RAY, marks=[pytest.mark.slow, needs_ray])


@pytest.fixture
def recipe(tmp_path):
    return measured_recipe(tmp_path)


@pytest.fixture
def reference(collapse_here, recipe, tmp_path):
    """The journal of a plain run with a seed."""

    def journal(seed, *overrides):
        home = tmp_path / f"reference-{seed}"
        sets = [word for override in overrides for word in ("--set", override)]
        assert collapse_here("run", recipe, "--set", f"seed={seed}", *sets, "--run-dir", home).code == 0
        return (home / "journal.jsonl").read_text()

    return journal


@pytest.fixture
def started(recipe, tmp_path):
    """Starts a sweep in a process of its own, with slow members."""
    processes = []

    def start(*arguments, seconds="0.1"):
        command = [COLLAPSE, "sweep", str(recipe), *arguments, "--dir", str(tmp_path / "sweep")]
        environment = os.environ | {"MOOD_SECONDS": seconds, "NO_COLOR": "1"}
        processes.append(
            subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
        )
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def until(happens, seconds=60.0):
    began = time.monotonic()
    while not happens():
        assert time.monotonic() - began < seconds
        time.sleep(0.02)


def lines(run):
    journal = run / "journal.jsonl"
    return journal.read_text().count("\n") if journal.exists() else 0


def status(run):
    return json.loads((run / "status.json").read_text())


def journal_of(sweep, seed):
    return (sweep / f"measured-seed={seed}" / "journal.jsonl").read_text()


def test_every_combination_is_run_once_and_then_skipped(collapse_here, recipe, reference, tmp_path):
    sweep = tmp_path / "sweep"
    arguments = ["sweep", recipe, "--set", "seed=0,1", "--set", "iterations=3", "--dir", sweep]
    done = collapse_here(*arguments)
    assert done.code == 0, done.err
    assert [line.split() for line in done.out.splitlines()] == [
        ["run", "state"],
        ["measured-seed=0", "done"],
        ["measured-seed=1", "done"],
    ]
    assert f"collapse compare {sweep}" in done.err
    for seed in (0, 1):
        assert journal_of(sweep, seed) == reference(seed, "iterations=3")
    stamps = {path: path.stat().st_mtime_ns for path in sweep.rglob("*") if path.is_file()}
    again = collapse_here(*arguments)
    assert (again.code, again.out) == (0, done.out)
    assert "2 runs, 0 to do" in again.err
    assert stamps == {path: path.stat().st_mtime_ns for path in sweep.rglob("*") if path.is_file()}
    assert len(json.loads(collapse_here("compare", sweep, "--json").out)["rows"][0]["runs"]) == 2


def test_a_member_that_fails_keeps_none_from_running(collapse_here, recipe, tmp_path):
    sweep = tmp_path / "sweep"
    grid = ["--set", "rewards.0.fails=true,false", "--set", "iterations=2", "--dir", sweep]
    done = collapse_here("sweep", recipe, *grid)
    assert done.code == 1
    assert "measured-fails=true   failed  the mood is bad; set rewards.0.fails=false" in done.out
    assert "measured-fails=false  done" in done.out
    assert "1 of 2 members failed; see " in done.err
    assert "the mood is bad" in (sweep / "logs" / "measured-fails=true.log").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("orphan", [True, False], ids=["its member goes on", "its member is killed too"])
def test_a_sweep_that_is_killed_goes_on_where_it_was(started, reference, tmp_path, orphan):
    sweep, grid = tmp_path / "sweep", ["--set", "seed=0,1", "--set", "iterations=4"]
    first, second = sweep / "measured-seed=0", sweep / "measured-seed=1"
    killed = started(*grid)
    until(lambda: lines(second) >= 2)
    member = status(second)["pid"]
    killed.kill()
    killed.wait()
    if not orphan:
        os.kill(member, signal.SIGKILL)
    assert status(first)["status"] == "finished"
    stamp = (first / "status.json").stat().st_mtime_ns
    again = started(*grid, seconds="0")
    out, err = again.communicate(timeout=100)
    assert again.returncode == 0, err
    assert out.count(" done") == 2
    assert (first / "status.json").stat().st_mtime_ns == stamp, "what was done is not done again"
    for seed in range(2):
        assert journal_of(sweep, seed) == reference(seed, "iterations=4")


@pytest.mark.parametrize(
    "launcher",
    [[], pytest.param(SUBMITIT, marks=pytest.mark.slow), ON_RAY],
)
def test_an_interrupt_stops_after_the_iteration_and_the_same_command_goes_on(
    started, reference, tmp_path, launcher
):
    run = tmp_path / "sweep" / "measured-seed=0"
    grid = ["--set", "seed=0,1", "--set", "iterations=8"]
    stopped = started(*grid, *launcher)
    until(lambda: lines(run) >= 2)
    stopped.send_signal(signal.SIGINT)
    _, err = stopped.communicate(timeout=60)
    assert stopped.returncode == 130, err
    assert status(run)["status"] == "interrupted"
    done = lines(run)
    assert done < 8
    assert (run / "checkpoints" / str(done) / "COMPLETE").exists()
    assert "go on with the same command" in err
    again = started(*grid, *launcher, seconds="0")
    assert again.communicate(timeout=200)[1] is not None
    assert again.returncode == 0
    assert (run / "journal.jsonl").read_text() == reference(0, "iterations=8")


@pytest.mark.slow
def test_two_at_a_time_share_the_cores(started, tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    runs = [tmp_path / "sweep" / f"measured-seed={seed}" for seed in (0, 1)]
    both = started("--set", "seed=0,1", "--set", "iterations=6", "--jobs", "2", seconds="0.3")
    until(lambda: all(lines(run) >= 1 for run in runs))
    assert all(status(run)["status"] == "running" for run in runs)
    both.communicate(timeout=60)
    assert both.returncode == 0
    threads = max(1, (os.cpu_count() or 1) // 2)
    assert f"threads {threads}\n" in (tmp_path / "sweep" / "logs" / "measured-seed=1.log").read_text()


# --- handed over -----------------------------------------------------------------------------------


@pytest.mark.parametrize("launcher", [SUBMITIT, ON_RAY])
def test_members_can_be_handed_to_a_launcher(collapse_here, recipe, reference, tmp_path, launcher):
    sweep = tmp_path / "sweep"
    grid = ["--set", "rewards.0.fails=false,true", "--set", "iterations=2", "--dir", sweep]
    done = collapse_here("sweep", recipe, *grid, *launcher, "--json")
    assert done.code == 1
    states = {row["name"]: (row["state"], row["why"]) for row in json.loads(done.out)}
    assert states["measured-fails=false"] == ("done", None)
    assert states["measured-fails=true"] == ("failed", "the mood is bad; set rewards.0.fails=false")
    assert (sweep / "measured-fails=false" / "journal.jsonl").read_text() == reference(0, "iterations=2")
    if launcher is SUBMITIT:
        assert len(list((sweep / "submitit").glob("*_result.pkl"))) == 2, "both jobs came to their end"


@pytest.mark.slow
def test_a_job_whose_time_is_up_makes_a_checkpoint_and_is_queued_again(
    recipe, reference, tmp_path, monkeypatch
):
    """Half a minute before the time is up, where nobody says otherwise: after six seconds here."""
    monkeypatch.setenv("MOOD_SECONDS", "0.7")
    [member] = members([recipe], ["seed=0"], tmp_path / "sweep")
    [job] = _submit([member], tmp_path / "submitit", {"cluster": "local", "local_timeout_min": 0.6}).values()
    assert job.result() == "done"
    log = member.log.read_text()
    assert "Stopped; continue with" in log, "the first attempt was stopped after an iteration"
    assert (member.directory / "journal.jsonl").read_text() == reference(0)


def test_a_job_that_is_terminated_stops_after_its_iteration(recipe, tmp_path, monkeypatch):
    """Twice, as it is where a launcher and the terminal both pass it on."""
    monkeypatch.setenv("MOOD_SECONDS", "0.2")
    [member] = members([recipe], ["seed=0"], tmp_path / "sweep")
    [job] = _submit([member], tmp_path / "submitit", {"cluster": "local", "timeout_min": 5}).values()
    until(lambda: lines(member.directory) >= 2)
    for _ in range(2):
        job._process.send_signal(signal.SIGTERM)
    assert job.result() == "interrupted"
    assert (member.directory / "checkpoints" / str(lines(member.directory)) / "COMPLETE").exists()


def test_a_ray_task_that_is_cancelled_stops_after_its_iteration(recipe, tmp_path, monkeypatch):
    """As in a Ray worker: SIGINT is blocked there, and its handler is called when a task is cancelled."""
    monkeypatch.setenv("MOOD_SECONDS", "0.1")
    [member] = members([recipe], ["iterations=40"], tmp_path / "sweep")

    def cancel():
        until(lambda: lines(member.directory) >= 2)
        interrupt_main()

    canceller = threading.Thread(target=cancel)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        canceller.start()
        assert carry_out_there(member) == "interrupted"
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        canceller.join()
    done = lines(member.directory)
    assert done < 40
    assert (member.directory / "checkpoints" / str(done) / "COMPLETE").exists()


def test_a_job_that_is_lost_before_its_run_has_ended_is_a_failure_with_a_reason(recipe, tmp_path):
    class Lost:
        def done(self):
            return True

        def described(self):
            return "task 17"

        def failure(self):
            return "the node has died"

    [member] = members([recipe], [], tmp_path / "sweep")
    ended = []
    wait_for_all({member: Lost()}, Stop(), lambda *outcome: ended.append(outcome))
    assert ended == [(member, "failed")]
    assert member.why() == "its task 17 ended before its run: the node has died"


def test_what_a_ray_cluster_lacks_is_named():
    assert _lacking({"num_gpus": 2, "num_cpus": 1}, {"CPU": 8.0}) == ["2 GPU"]
    assert _lacking({"resources": {"tpu": 1}}, {"CPU": 8.0}) == ["1 tpu"]
    assert _lacking({}, {"CPU": 8.0}) == []


def test_without_ray_the_sentence_names_the_extra(collapse_here, recipe, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    done = collapse_here("sweep", recipe, "--dir", tmp_path / "sweep", "--launcher", "ray")
    assert done.code == 1
    assert "needs the package 'ray'; install it with pip install 'collapse-unlearning[ray]'" in done.err


@needs_ray
@pytest.mark.slow
@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ("tiemout=3", "Invalid option keyword tiemout"),
        ("num_cpus=many", "The type of keyword 'num_cpus'"),
        ("address=auto", "Could not find any running Ray instance"),
    ],
)
def test_what_ray_refuses_is_one_sentence(collapse_here, recipe, tmp_path, setting, why):
    words = ["--launcher", "ray", "--launcher-set", setting]
    done = collapse_here("sweep", recipe, "--dir", tmp_path / "sweep", *words)
    assert done.code == 1
    assert f"ray refuses: {why}" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    "setting",
    [
        "cluster=nowhere",
        "cluster=local --launcher-set tiemout=3",
        "cluster=local --launcher-set timeout_min=long",
    ],
)
def test_a_setting_that_the_launcher_does_not_know_is_one_sentence(collapse_here, recipe, tmp_path, setting):
    words = ["--launcher", "submitit", "--launcher-set", *setting.split()]
    done = collapse_here("sweep", recipe, "--dir", tmp_path / "sweep", *words)
    assert (done.code, len(done.err.splitlines())) == (1, 2)
    assert "submitit refuses: " in done.err
    assert "Traceback" not in done.err


# --- the grid --------------------------------------------------------------------------------------


def test_a_dry_run_says_what_would_be_done_and_does_nothing(collapse_here, recipe, tmp_path):
    sweep = tmp_path / "sweep"
    done = collapse_here("sweep", recipe, "--set", "seed=0,1", "--dir", sweep, "--dry-run", "--json")
    assert done.code == 0
    assert [(row["name"], row["state"]) for row in json.loads(done.out)] == [
        ("measured-seed=0", "new"),
        ("measured-seed=1", "new"),
    ]
    assert not sweep.exists()


def test_what_is_wrong_with_any_member_is_told_before_any_runs(collapse_here, recipe, tmp_path):
    grid = ["--set", "seed=0,-1,x", "--set", "iterations=1,2", "--dir", tmp_path / "sweep"]
    done = collapse_here("sweep", recipe, *grid)
    assert done.code == 2
    assert len(done.err.splitlines()) == 2, "a problem is told once, however many members have it"
    assert "--set seed=-1" in done.err
    assert "--set seed=x" in done.err
    assert not (tmp_path / "sweep").exists()


def test_the_run_of_another_recipe_is_left_alone(collapse_here, recipe, tmp_path):
    run = tmp_path / "sweep" / "measured"
    grid = ["--set", "iterations=1", "--dir", tmp_path / "sweep"]
    assert collapse_here("run", recipe, "--set", "iterations=2", "--run-dir", run).code == 0
    before = (run / "journal.jsonl").read_text()
    done = collapse_here("sweep", recipe, *grid)
    assert done.code == 1
    assert "holds a run of another recipe" in " ".join(done.out.split())
    assert (run / "journal.jsonl").read_text() == before


def test_values_are_parted_at_commas_but_not_within_brackets_or_quotes(recipe, tmp_path):
    grid = ["data.forget=[Toronto, Ottawa],[Calgary]", "filter={use: best-of-n, memory: true},best-of-n"]
    found = members([recipe], grid, tmp_path)
    assert [member.overrides for member in found] == [
        (f"data.forget={cities}", f"filter={filter_}")
        for cities in ("[Toronto, Ottawa]", "[Calgary]")
        for filter_ in ("{use: best-of-n, memory: true}", "best-of-n")
    ]
    assert len({member.name for member in found}) == 4
    assert all(set("[]{}:, ").isdisjoint(member.name) for member in found)


def test_recipes_of_one_name_have_directories_of_their_own(recipe, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    other = measured_recipe(tmp_path / "elsewhere")
    assert len({member.directory for member in members([recipe, other], ["seed=1"], tmp_path)}) == 2


@pytest.mark.slow
def test_a_directory_that_a_killed_run_has_only_begun_to_lay_out_is_begun_anew(recipe, tmp_path):
    [member] = members([recipe], ["iterations=1"], tmp_path / "sweep")
    (member.directory / "checkpoints").mkdir(parents=True)
    (member.directory / ".environment.json.77.draft").write_text("{")
    assert carry_out(member, Stop()) == "done"


def test_a_directory_that_holds_something_else_is_not_cleared(recipe, tmp_path):
    [member] = members([recipe], ["iterations=1"], tmp_path / "sweep")
    member.directory.mkdir(parents=True)
    (member.directory / "thesis.txt").write_text("years of work")
    assert carry_out(member, Stop()) == "failed"
    assert "is not empty, and holds no run" in member.why()
    assert (member.directory / "thesis.txt").read_text() == "years of work"


def test_a_job_finds_its_files_from_any_directory(recipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    [member] = members([Path("measured.yaml")], [], Path("sweep"))
    job = Job(member)
    assert job.member.recipe == recipe
    assert job.member.directory == tmp_path / "sweep" / "measured"
