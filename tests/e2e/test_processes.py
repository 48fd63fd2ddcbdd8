"""One run on several processes: the same choices as on one, whoever starts, stops or kills them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("processes")  # one worker makes the runs that the tests compare

HERE = Path(__file__).parent
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
ENVIRONMENT |= {"HF_HUB_OFFLINE": "1", "ACCELERATE_USE_CPU": "true"}
SHARDED = {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}

LANGUAGE = """\
version: 1
name: small-language-model
data: {use: authors, forget: 0.1}
model:
  use: causal-lm
  path: tiny-llama
  compute: float32
  teach: {epochs: 1, learning_rate: 5e-3, batch_size: 16, warmup: 1}
sampler: {use: generate, temperature: 1.5, min_p: 0.02, max_new_tokens: 10}
rewards: [{use: rouge-distance, min_len: 2}]
filter: {use: best-of-n, memory: false}
updater: {use: sft, learning_rate: 1e-3, batch_size: 19, micro_batch_size: 5, warmup: 0}
iterations: 3
retain_per_iteration: 3
completions_per_prompt: 3
evaluate: {every: 0, with: [{use: likelihood, num_retain: 20}]}
checkpoint: {every: 1, keep: 9}
"""

TOY = """\
version: 1
name: toy
plugins: [./slow.py]
data: {use: cities, num_draws: 9}
model: {use: categorical}
sampler: {use: categorical-draws}
rewards: [{use: slow, seconds: 0}]
filter: {use: best-of-n}
updater: {use: categorical-mle}
iterations: 6
completions_per_prompt: 3
evaluate: {every: 2, with: [category-shares]}
checkpoint: {every: 2, keep: 9}
"""

SLOW = '''
import time
from collapse_core import Entry, Reward, hookimpl


class Slow(Reward):
    """Prefers long names, in its own time, and may stumble over one prompt."""

    seconds: float
    """How long a prompt takes."""
    stumbles: str = ""
    """The prompt."""

    def score(self, prompt, completions, reference):
        """Count letters."""
        time.sleep(self.seconds)
        if prompt.id == self.stumbles and completions:
            raise KeyError("no such city")
        return [float(len(completion.content)) for completion in completions]


@hookimpl
def collapse_components():
    """One part."""
    yield Entry("reward", "slow", Slow)
'''


@pytest.fixture(scope="module")
def drive() -> Iterator[Callable[..., list[dict]]]:
    """Has jobs done in a directory by forks of one process, which imports torch once for all tests."""
    program = [sys.executable, str(HERE / "many_processes.py")]
    with subprocess.Popen(
        program, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as driver:

        def do(directory: Path, *jobs: dict) -> list[dict]:
            driver.stdin.write(json.dumps([str(directory), jobs]) + "\n")
            driver.stdin.flush()
            return json.loads(driver.stdout.readline())

        yield do
        driver.communicate()


def job(num: int, *argv: str, **more) -> dict:
    return {"processes": num, "argv": list(argv), **more}


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def status(run: Path) -> dict:
    return json.loads((run / "status.json").read_text())


def chosen(run: Path) -> list[list[tuple]]:
    """What was sampled, rewarded and kept."""
    return [
        [(row["prompt"], row["number"], row["answer"], row["reward"], row["kept"]) for row in rows(path)]
        for path in sorted((run / "completions").iterdir())
    ]


def same_up_to_rounding(run: Path, other: Path) -> None:
    """Before the first update all is the same. After it sums round differently, and a draw may flip.

    A draw flips where its random number falls between two probabilities that differ by rounding; which of
    the 180 draws does so, if any, depends on the processor.
    """
    from safetensors.torch import load_file

    assert status(run)["status"] == status(other)["status"] == "finished"
    mine, its = chosen(run), chosen(other)
    assert mine[0] == its[0]
    pairs = [pair for some, others in zip(mine, its, strict=True) for pair in zip(some, others, strict=True)]
    flipped = [pair for pair in pairs if pair[0] != pair[1]]
    assert len(flipped) <= len(pairs) / 100, flipped
    for mine, its in zip(rows(run / "journal.jsonl"), rows(other / "journal.jsonl"), strict=True):
        assert mine.pop("update") == pytest.approx(its.pop("update"), rel=1e-2 if flipped else 1e-4)
        if not flipped:
            assert mine == its
    for name in ("checkpoints/3/weights.safetensors", "checkpoints/3/moments.safetensors"):
        mine, its = load_file(run / name), load_file(other / name)
        assert mine.keys() == its.keys()
        for key in mine:
            assert mine[key].shape == its[key].shape
            assert (mine[key] - its[key]).abs().max() < (2e-3 if flipped else 2e-4), (name, key)


# --- a language model ------------------------------------------------------------------------------

RUN, AFTER_TWO = ("run", "small.yaml", "--run-dir"), "completions/00001.jsonl"


@pytest.fixture(scope="module")
def language(tmp_path_factory, drive) -> Path:
    """The same run, by processes in every number and order."""
    home = tmp_path_factory.mktemp("language")
    (home / "small.yaml").write_text(LANGUAGE)
    found = drive(
        home,
        job(2, *RUN, "two"),
        job(1, *RUN, "one"),
        job(2, *RUN, "parts", environment=SHARDED),
        job(2, *RUN, "two-one", kill=1, when=f"two-one/{AFTER_TWO}"),
        job(1, "resume", "two-one"),
    )
    codes = [one["codes"] for one in found]
    assert codes == [[0, 0], [0], [0, 0], [130, 130], [0]], found
    return home


def test_two_processes_choose_what_one_chooses_and_take_its_steps(language):
    same_up_to_rounding(language / "two", language / "one")


def test_so_do_two_that_hold_but_parts_of_the_weights(language):
    same_up_to_rounding(language / "parts", language / "one")


def test_a_run_goes_on_with_another_number_of_processes(language):
    same_up_to_rounding(language / "two-one", language / "one")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "first", "then"), [("one-parts", (1, {}), (2, SHARDED)), ("parts-two", (2, SHARDED), (2, {}))]
)
def test_a_run_goes_on_with_parts_of_the_weights_and_without(language, drive, name, first, then):
    stopped, resumed = drive(
        language,
        job(first[0], *RUN, name, kill=0, when=f"{name}/{AFTER_TWO}", environment=first[1]),
        job(then[0], "resume", name, environment=then[1]),
    )
    assert (set(stopped["codes"]), set(resumed["codes"])) == ({130}, {0})
    same_up_to_rounding(language / name, language / "one")


def test_only_the_main_process_writes_and_speaks(language):
    assert len(rows(language / "two" / "journal.jsonl")) == 3
    logs = [(language / f"job-0-{index}.log").read_text() for index in (0, 1)]
    assert "iteration 3/3" in logs[0]
    assert logs[1] == ""


def test_of_two_processes_one_teaches_and_both_learn_from_it(language):
    taught = list((language / "cache" / "collapse" / "taught").iterdir())
    assert len(taught) == 1


def test_what_is_measured_does_not_depend_on_the_number_of_processes(language):
    for mine, its in zip(
        rows(language / "parts" / "evaluations.jsonl"),
        rows(language / "one" / "evaluations.jsonl"),
        strict=True,
    ):
        for name, metric in mine["metrics"].items():
            assert metric["value"] == pytest.approx(its["metrics"][name]["value"], rel=1e-3, abs=1e-3)


def test_the_final_model_is_whole_though_its_parts_were_trained_apart(language):
    from safetensors.torch import load_file

    mine, its = (load_file(language / name / "model" / "model.safetensors") for name in ("parts", "one"))
    assert {key: value.shape for key, value in mine.items()} == {
        key: value.shape for key, value in its.items()
    }
    assert all((mine[key] - its[key]).abs().max() < 2e-4 for key in mine)


# --- a toy, which knows no torch -------------------------------------------------------------------


@pytest.fixture(scope="module")
def toys(tmp_path_factory, drive) -> tuple[Path, list[dict]]:
    home = tmp_path_factory.mktemp("toys")
    (home / "toy.yaml").write_text(TOY)
    (home / "slow.py").write_text(SLOW)
    run = ("run", "toy.yaml", "--set", "rewards.0.seconds=0.02", "--run-dir")
    stumbling = ("run", "toy.yaml", "--set", "rewards.0.stumbles=draw-4", "--run-dir", "stumbled")
    return home, drive(
        home,
        job(1, "run", "toy.yaml", "--run-dir", "one"),
        job(3, "run", "toy.yaml", "--run-dir", "three"),
        job(3, *stumbling),
        job(2, *run, "killed", kill=1, when="killed/completions/00002.jsonl", signal="SIGKILL"),
        job(2, "run", "toy.yaml", "--run-dir", "one"),
        job(2, "resume", "killed"),
    )


def left_by(run: Path) -> dict[str, bytes]:
    names = ("journal.jsonl", "evaluations.jsonl", "model/probabilities.json", "checkpoints/6/state.json")
    return {name: (run / name).read_bytes() for name in names}


def test_three_processes_leave_what_one_leaves_byte_for_byte(toys):
    home, found = toys
    assert (found[0]["codes"], found[1]["codes"]) == ([0], [0, 0, 0])
    assert left_by(home / "three") == left_by(home / "one")
    assert chosen(home / "three") == chosen(home / "one")


def test_what_fails_on_one_process_fails_the_run_with_that_ones_sentence(toys):
    """The fifth draw falls to the second of three processes; it speaks, and the first writes it down."""
    home, found = toys
    assert found[2]["codes"] == [1, 1, 1]
    main, second, third = found[2]["said"]
    assert second.startswith(
        "collapse: the reward 'slow' failed at prompt 'draw-4': KeyError: 'no such city' ("
    )
    assert "slow.py, line " in second
    assert "Traceback" not in main + second + third
    assert "collapse resume stumbled" in main
    assert third == ""
    assert status(home / "stumbled")["status"] == "failed"
    assert "KeyError: 'no such city'" in status(home / "stumbled")["error"]


def test_a_process_that_is_killed_ends_the_run_which_can_be_resumed(toys):
    home, found = toys
    assert found[3]["codes"] == [1, -signal.SIGKILL]
    assert "another process of this run failed or was killed" in found[3]["said"][0]
    assert found[5]["codes"] == [0, 0]
    recipes = [
        json.loads((home / name / "journal.jsonl").read_text().splitlines()[-1]) for name in ("one", "killed")
    ]
    assert recipes[0] == recipes[1]


def test_a_directory_that_is_in_use_is_refused_once(toys):
    _, found = toys
    assert found[4]["codes"] == [1, 1]
    assert "already holds a run" in found[4]["said"][0]
    assert found[4]["said"][1] == ""


# --- the launcher ----------------------------------------------------------------------------------


def start(directory: Path, *arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=directory,
        env=ENVIRONMENT | {"XDG_CACHE_HOME": str(directory / "cache")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(path: Path, seconds: float = 60) -> None:
    for _ in range(int(seconds / 0.01)):
        if path.exists():
            return
        time.sleep(0.01)
    raise AssertionError(f"{path} did not come to be in time")


@pytest.mark.slow
def test_the_recipe_says_how_many_processes_and_an_interrupt_reaches_them_all(toys, collapse):
    home, _ = toys
    launched = (home / "toy.yaml").read_text() + "launch: {processes: 2}\n"
    (home / "launched.yaml").write_text(launched)
    run = start(
        home, "-m", "collapse_core.cli", "run", "launched.yaml", "--run-dir", "key",
        "--set", "rewards.0.seconds=0.05",
    )  # fmt: skip
    wait_for(home / "key" / "completions" / "00001.jsonl")
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=60)
    assert run.returncode == 130, err
    assert "stopping after this iteration" in err
    assert err.strip().endswith("collapse resume key")
    assert "Traceback" not in err
    assert out == ""
    assert json.loads((home / "key" / "environment.json").read_text())["processes"] == 2
    assert status(home / "key")["status"] == "interrupted"
    resumed = collapse("resume", "key", "--processes", "1", cwd=home)
    assert resumed.code == 0, resumed.err
    assert chosen(home / "key") == chosen(home / "one")


CONFIG = """\
compute_environment: LOCAL_MACHINE
distributed_type: FSDP
fsdp_config: {fsdp_version: 2}
mixed_precision: 'no'
num_machines: 1
num_processes: 2
machine_rank: 0
main_process_port: 0
"""


@pytest.mark.slow
def test_accelerates_own_config_says_how_the_weights_are_shared_out(language):
    (language / "fsdp.yaml").write_text(CONFIG)
    (language / "launched.yaml").write_text("extends: small.yaml\nlaunch: {config: fsdp.yaml}\n")
    run = start(language, "-m", "collapse_core.cli", "run", "launched.yaml", "--run-dir", "config")
    _, err = run.communicate(timeout=120)
    assert run.returncode == 0, err
    same_up_to_rounding(language / "config", language / "one")


@pytest.mark.slow
def test_accelerate_launch_by_hand_does_the_same(toys):
    home, _ = toys
    options = ("--multi_gpu", "--num_processes", "2", "--main_process_port", "0")
    program = ("-m", "collapse_core.cli", "run", "toy.yaml", "--run-dir", "by-hand")
    run = start(home, "-m", "accelerate.commands.launch", *options, *program)
    _, err = run.communicate(timeout=60)
    assert run.returncode == 0, err
    assert left_by(home / "by-hand") == left_by(home / "one")


@pytest.mark.parametrize(
    ("settings", "refused"),
    [
        ({"ACCELERATE_USE_DEEPSPEED": "true"}, "DeepSpeed"),
        ({"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "1"}, "FSDP version 1"),
        (SHARDED | {"FSDP_OFFLOAD_PARAMS": "true"}, "FSDP's offloading of parameters"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_sentence(settings, refused, monkeypatch):
    from collapse_core import CollapseError
    from collapse_core.torch import processes as torch_processes

    for key, value in settings.items():
        monkeypatch.setenv(key, value)
    with pytest.raises(CollapseError, match=f"{refused} is not supported"):
        torch_processes.join()
