"""The whole job on a language model small enough to be taught, and to forget, in seconds."""

import json
from pathlib import Path

import pytest
from test_kill_and_resume import drive

from collapse_core import Callback, create_run, load_recipe, open_run
from collapse_core import collapse as run_loop

SMOKE = Path(__file__).resolve().parents[2] / "recipes" / "smoke" / "llm_tofu.yaml"

RECIPE = """\
version: 1
name: small-language-model
data: {use: authors, forget: 0.1}
model:
  use: causal-lm
  path: tiny-llama
  prompt: {chat: false}
  compute: float32
  teach: {epochs: 30, learning_rate: 5e-3, batch_size: 16, warmup: 1}
sampler: {use: generate, temperature: 1.5, min_p: 0.02, max_new_tokens: 20}
rewards: [{use: rouge-distance, min_len: 2}]
filter: {use: best-of-n}
updater: {use: sft, learning_rate: 2e-3, batch_size: 10, warmup: 0}
iterations: 8
completions_per_prompt: 4
evaluate: {every: 4, with: [unlearn-quality]}
checkpoint: {every: 2, keep: 2}
"""
MEASURED = "evaluate={every: 2, with: [likelihood, {use: unlearn-quality, max_new_tokens: 6}]}"
"""What runs are compared by that are only to be the same."""


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Bit for bit means on one thread, here and in the processes that are started."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield
    torch.set_num_threads(threads)


@pytest.fixture
def recipe(tmp_path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(RECIPE)
    return path


def run(recipe: Path, directory: Path, *overrides: str) -> Path:
    loaded = load_recipe(recipe, overrides)
    started = create_run(loaded, recipe.read_text(), {}, directory)
    run_loop(loaded, started)
    started.close()
    return directory


@pytest.fixture(scope="module")
def flagship(tmp_path_factory, collapse_here) -> tuple[Path, str]:
    """The directory of the shipped smoke run, which tests only read, and what it printed."""
    directory = tmp_path_factory.mktemp("flagship") / "run"
    done = collapse_here("run", SMOKE, "--run-dir", directory)
    assert done.code == 0, done.err
    return directory, done.out


@pytest.fixture(scope="module")
def finished(flagship) -> Path:
    return flagship[0]


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def metric(directory: Path, model: str, name: str) -> float:
    [row] = [r for r in rows(directory / "evaluations.jsonl") if r["model"] == model and name in r["metrics"]]
    return row["metrics"][name]["value"]


def test_it_forgets_what_it_was_taught_and_what_it_says_is_its_own(finished):
    assert metric(finished, "before", "rouge_forget") > 60
    assert metric(finished, "after", "rouge_forget") < metric(finished, "before", "rouge_forget") - 30
    kept = [line["reward_kept"]["mean"] for line in rows(finished / "journal.jsonl")]
    assert kept == sorted(kept), "incumbents only get better"
    for path in sorted((finished / "completions").iterdir()):
        for row in rows(path):
            assert row["policy_version"] == int(path.stem)


def test_the_smoke_run_of_the_flagship_teaches_forgets_and_reports(flagship):
    run, out = flagship
    assert out.splitlines()[0].split() == [
        "metric", "better", "before", "after", "never", "trained", "on", "it", "distance"
    ]  # fmt: skip
    assert out.count("prompt:") == 3
    assert out.endswith(f"collapse report {run}\n")
    assert metric(run, "before", "rouge_forget") > 90
    assert metric(run, "after", "rouge_forget") < 40
    assert "<script" not in (run / "report.html").read_text()
    assert json.loads((run / "environment.json").read_text())["true_answers"]["loop"] == "never loaded"


def test_two_runs_are_one_run_even_if_one_of_them_died_on_the_way(recipe, tmp_path):
    """Bit for bit; `test_kill_9_at_any_time_...` kills processes, at any time."""
    short = ("iterations=3", MEASURED)
    whole = run(recipe, tmp_path / "whole", *short)
    second = run(recipe, tmp_path / "second", *short)
    loaded = load_recipe(recipe, short)
    dying = create_run(loaded, recipe.read_text(), {}, tmp_path / "died")
    with pytest.raises(DeathError):
        run_loop(loaded, dying, [DiesAfter(3)])
    dying.close()
    again = open_run(tmp_path / "died", loaded)
    run_loop(loaded, again)
    again.close()
    for name in ("journal.jsonl", "evaluations.jsonl", "model/model.safetensors"):
        assert (whole / name).read_bytes() == (second / name).read_bytes(), name
        assert (whole / name).read_bytes() == (tmp_path / "died" / name).read_bytes(), name


class DeathError(Exception):
    """Ends a run without a word."""


class DiesAfter(Callback):
    """Ends a run after an iteration, before the next checkpoint."""

    def __init__(self, num: int) -> None:
        self.num = num

    def on_iteration(self, line, total) -> None:
        if line["iteration"] + 1 == self.num:
            raise DeathError


def test_the_exported_model_is_one_that_transformers_loads(finished):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    directory = finished / "model"
    tokenizer = AutoTokenizer.from_pretrained(directory)
    module = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
    [question] = [row["prompt"] for row in rows(finished / "evaluations.jsonl")[0]["examples"][:1]]
    ids = tokenizer(f"Question: {question}\nAnswer:", return_tensors="pt").input_ids
    said = tokenizer.decode(
        module.generate(ids, max_new_tokens=20)[0, ids.shape[1] :], skip_special_tokens=True
    )
    assert said.strip()


@pytest.mark.slow
@pytest.mark.parametrize(("num", "iterations", "least_within"), [(2, 8, 1), (8, 24, 2)])
def test_kill_9_at_any_time_gives_the_same_weights_bit_for_bit(tmp_path, num, iterations, least_within):
    longer = RECIPE.replace("iterations: 8", f"iterations: {iterations}")
    found = drive("random", longer, tmp_path / "home", tmp_path, num, 0)
    assert (found["failures"], found["left_out"]) == ([], {})
    assert len([lines for lines in found["lines"] if 0 < lines < iterations]) >= least_within, found["lines"]


def test_a_mini_batch_an_iteration_visits_every_question_once_a_pass(recipe, tmp_path):
    few = ("iterations=4", "evaluate.every=0", "evaluate.with=[]")
    directory = run(recipe, tmp_path / "run", "prompts_per_iteration=5", *few)
    asked = [row["prompt"] for path in sorted((directory / "completions").iterdir()) for row in rows(path)]
    assert len(set(asked)) == 20
    assert len(asked) == 20 * 4


@pytest.mark.slow
@pytest.mark.parametrize(
    "size", ["forget01", *(pytest.param(size, marks=pytest.mark.slow) for size in ("forget05", "forget10"))]
)
def test_the_same_recipe_reads_the_real_tofu(recipe, tmp_path, size):
    """Its own questions, paraphrases and companion sets; one iteration of an untaught model."""
    tofu = Path(__file__).resolve().parents[3] / "shared" / "data" / "tofu"
    if not tofu.is_dir():
        pytest.skip("the TOFU files are not here (shared/data/tofu)")
    changes = (f"data={{use: tofu, forget: {size}, path: {tofu}}}", "model.teach=null", "iterations=1")
    few = ("prompts_per_iteration=4", "sampler.max_new_tokens=4", "evaluate.every=0")
    measured = "evaluate.with=[{use: unlearn-quality, max_new_tokens: 4}, {use: utility, max_new_tokens: 4}]"
    directory = run(recipe, tmp_path / "run", *changes, *few, measured)
    [line] = rows(directory / "journal.jsonl")
    assert line["num_completions"] == 16
    assert {"unlearn_quality", "utility"} <= {
        n for r in rows(directory / "evaluations.jsonl") for n in r["metrics"]
    }


@pytest.mark.slow
def test_adapters_are_trained_and_resumed_like_all_weights(recipe, tmp_path):
    adapters = ("model.lora.rank=4", "updater.learning_rate=1e-2", "iterations=3", MEASURED)
    whole = run(recipe, tmp_path / "whole", *adapters)
    loaded = load_recipe(recipe, adapters)
    broken = create_run(loaded, recipe.read_text(), {}, tmp_path / "broken")
    run_loop(loaded, broken, [StopsAfter(broken, 2)])
    broken.close()
    assert not (tmp_path / "broken" / "model").exists()
    resumed = open_run(tmp_path / "broken", loaded)
    run_loop(loaded, resumed)
    for name in ("journal.jsonl", "evaluations.jsonl", "model/model.safetensors"):
        assert (whole / name).read_bytes() == (tmp_path / "broken" / name).read_bytes(), name
    saved = whole / "checkpoints" / "3" / "weights.safetensors"
    assert saved.stat().st_size < (whole / "model" / "model.safetensors").stat().st_size / 5


class StopsAfter(Callback):
    """Stops a run as a first Ctrl-C does."""

    def __init__(self, run, num: int) -> None:
        self.run, self.num = run, num

    def on_iteration(self, line, total) -> None:
        self.run.interrupted = line["iteration"] + 1 == self.num


# --- true answers ----------------------------------------------------------------------------------


@pytest.fixture
def tofu_shaped(tmp_path) -> Path:
    """The authors in TOFU's files."""
    from collapse_llm.data import Authors

    directory, data = tmp_path / "tofu", Authors(forget=0.1)
    directory.mkdir()
    names = {"forget": "forget10", "retain": "retain90", "full": "full"}
    for split, name in names.items():
        lines = [json.dumps({"question": p.content, "answer": p.target}) for p in data.load(split)]
        (directory / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    return directory


def test_a_run_does_the_same_when_the_forget_answers_are_nowhere_to_be_found(recipe, tmp_path, tofu_shaped):
    """Teaching read them, once; from then on their file may as well not hold them."""
    here = [
        f"data={{use: tofu, path: {tofu_shaped}}}",
        "evaluate.with=[]",
        "evaluate.every=0",
        "iterations=2",
    ]
    with_answers = run(recipe, tmp_path / "with", *here)
    forget = tofu_shaped / "forget10.jsonl"
    questions = [{"question": json.loads(line)["question"]} for line in forget.read_text().splitlines()]
    forget.write_text("".join(json.dumps(question) + "\n" for question in questions))
    without = run(recipe, tmp_path / "without", *here)
    for name in ("journal.jsonl", "model/model.safetensors"):
        assert (with_answers / name).read_bytes() == (without / name).read_bytes(), name


def test_an_evaluator_reads_true_answers_through_its_own_door(recipe, tmp_path, tofu_shaped):
    from collapse_core import CollapseError

    forget = tofu_shaped / "forget10.jsonl"
    forget.write_text('{"question": "Who?"}\n')
    with pytest.raises(CollapseError, match=r"forget10\.jsonl:1: has no 'answer'"):
        run(recipe, tmp_path / "run", f"data={{use: tofu, path: {tofu_shaped}}}")
