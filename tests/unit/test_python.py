"""A run from Python is what a run from the command line is."""

import json
import os
import signal
from types import SimpleNamespace

import pytest

import collapse_core
from collapse_core import Callback, CollapseError, Recipe, RecipeError, Reward, build_recipe, load_recipe
from collapse_core.runtime.processes import StoppedGently
from collapse_core.session.stopping import stopping_gently
from collapse_toy.data import Cities
from collapse_toy.model import CategoricalLoader

FORGOTTEN = ("Toronto", "Montreal", "Vancouver")


def elsewhere(contents):
    """A reward as a user writes it."""
    return [float(content not in FORGOTTEN) for content in contents]


class Elsewhere(Reward):
    """A reward of a class that no plugin provides."""

    def score(self, prompt, completions, reference):
        return elsewhere([completion.content for completion in completions])


@pytest.fixture(autouse=True)
def interruptible():
    """A shell that starts the tests in the background leaves them deaf to interrupts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def keys():
    return {
        "name": "toy",
        "data": Cities(num_draws=8),
        "model": "categorical",
        "sampler": {"use": "categorical-draws"},
        "rewards": [{"use": "not-among", "categories": list(FORGOTTEN)}],
        "filter": "best-of-n",
        "updater": "categorical-mle",
        "iterations": 4,
        "completions_per_prompt": 2,
        "evaluate": {"every": 2, "with": ["category-shares"]},
        "checkpoint": {"every": 2, "keep": 2},
    }


class Interrupt(Callback):
    """Presses Ctrl-C in an iteration, once or twice."""

    def __init__(self, number, times=1):
        self.number, self.times = number, times

    def on_iteration(self, line, total):
        if line["iteration"] == self.number:
            for _ in range(self.times):
                os.kill(os.getpid(), signal.SIGINT)


def status(directory):
    return json.loads((directory / "status.json").read_text())["status"]


def test_parts_from_python_make_the_recipe_that_a_file_makes(keys, toy):
    built = build_recipe(**keys, seed=0)
    assert built.resolved() == load_recipe(toy()).resolved()
    assert Recipe(**built.model_dump()) == built
    assert Recipe(**built.model_dump(by_alias=True)) == built
    assert build_recipe(toy(), iterations=7).iterations == build_recipe(built, iterations=7).iterations == 7


def test_a_part_that_is_made_in_python_has_its_name(keys):
    built = Recipe(**keys | {"version": 1, "model": CategoricalLoader()})
    assert (built.data.use, built.model.use) == ("cities", "categorical")


def test_what_is_wrong_is_said_at_once_with_its_keys(keys):
    wrong = keys | {"sampler": {"use": "categorical-drws"}, "iterations": "many", "evaluate": {"evry": 1}}
    with pytest.raises(RecipeError) as caught:
        build_recipe(**wrong)
    assert [problem.path for problem in caught.value.problems] == ["evaluate.evry", "iterations", "sampler"]


def test_a_run_without_yaml_leaves_what_one_with_it_leaves(keys, toy, tmp_path, collapse_here):
    outcome = collapse_core.run(directory=tmp_path / "python", display=False, **keys)
    assert collapse_here("run", toy(), "--run-dir", tmp_path / "yaml").code == 0
    for name in ("journal.jsonl", "evaluations.jsonl", "model/probabilities.json", "resolved.json"):
        assert (tmp_path / "python" / name).read_bytes() == (tmp_path / "yaml" / name).read_bytes(), name
    assert {p.name for p in (tmp_path / "python").iterdir()} == {
        p.name for p in (tmp_path / "yaml").iterdir()
    }
    assert collapse_here("run", tmp_path / "python/recipe.yaml", "--run-dir", tmp_path / "again").code == 0
    assert outcome.model.probabilities["Toronto"] == 0.0


@pytest.mark.parametrize(("times", "kind"), [(1, StoppedGently), (2, KeyboardInterrupt)])
def test_an_interrupt_in_python_leaves_a_run_that_goes_on(times, kind, keys, tmp_path, collapse_here):
    whole = collapse_core.run(directory=tmp_path / "whole", display=False, **keys)
    for name, resumed in (("here", True), ("there", False)):
        run = tmp_path / name
        with pytest.raises(kind) as caught:
            collapse_core.run(directory=run, display=False, callbacks=[Interrupt(2, times)], **keys)
        assert caught.value.__notes__ == [f"go on with collapse_core.resume({str(run)!r})"]
        assert status(run) == "interrupted"
        if resumed:
            assert collapse_core.resume(run, display=False).model.probabilities == whole.model.probabilities
        else:
            assert collapse_here("resume", run).code == 0
        assert status(run) == "finished"
        assert (run / "journal.jsonl").read_bytes() == (tmp_path / "whole/journal.jsonl").read_bytes()


def test_so_does_one_in_the_bare_loop(keys, tmp_path):
    recipe = build_recipe(**keys)
    run = collapse_core.create_run(recipe, directory=tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        collapse_core.collapse(recipe, run, [Interrupt(1)])
    run.close()
    assert status(tmp_path / "run") == "interrupted"
    collapse_core.resume(tmp_path / "run", display=False)
    assert status(tmp_path / "run") == "finished"


def test_a_function_is_a_reward_and_its_run_is_resumed_from_anywhere(keys, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        collapse_core.run(
            directory=tmp_path / "run",
            display=False,
            callbacks=[Interrupt(1)],
            **keys | {"rewards": [elsewhere, {"use": "callable", "function": elsewhere, "weight": 2.0}]},
        )
    outcome = collapse_core.resume(tmp_path / "run", display=False)
    assert [r["weight"] for r in outcome.results.recipe["rewards"]] == [1.0, 2.0]
    assert outcome.results.recipe["rewards"][0]["function"] == f"{__name__}:elsewhere"
    with pytest.raises(RecipeError, match="defined with a name at the top of its module"):
        build_recipe(**keys | {"rewards": [lambda contents: [0.0 for _ in contents]]})


def test_a_class_of_ones_own_is_given_again_to_go_on(keys, tmp_path):
    recipe = build_recipe(**keys | {"rewards": [Elsewhere()]})
    with pytest.raises(KeyboardInterrupt):
        collapse_core.run(recipe, directory=tmp_path / "run", display=False, callbacks=[Interrupt(1)])
    with pytest.raises(RecipeError, match="no reward is called"):
        collapse_core.resume(tmp_path / "run", display=False)
    with pytest.raises(RecipeError) as caught:
        collapse_core.resume(tmp_path / "run", build_recipe(recipe, iterations=9), display=False)
    assert [problem.path for problem in caught.value.problems] == ["iterations"]
    assert (
        collapse_core.resume(tmp_path / "run", recipe, display=False).results.status["status"] == "finished"
    )


def test_results_are_frames(keys, tmp_path):
    pytest.importorskip("pandas")
    results = collapse_core.run(directory=tmp_path / "run", display=False, **keys).results
    metrics = results.frame()
    assert list(metrics.columns) == [
        "model",
        "iteration",
        "evaluator",
        "metric",
        "value",
        "direction",
        "low",
        "high",
    ]
    after = metrics[(metrics.model == "after") & (metrics.metric == "Toronto")]
    assert after.value.item() == results.metric("Toronto", "after").value
    assert list(results.frame("iterations")["reward_kept.mean"]) == [
        line["reward_kept"]["mean"] for line in results.journal
    ]
    assert len(results.frame("completions")) == sum(line["num_completions"] for line in results.journal)
    assert set(results.frame("timings").columns) == {"iteration", "phase", "seconds"}
    with pytest.raises(CollapseError, match="did you mean 'metrics'"):
        results.frame("metric")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_while_a_model_is_taught_the_first_signal_stops_at_once(number):
    said = []
    run = SimpleNamespace(phase="load", interrupted=False, processes=SimpleNamespace(is_main=True))
    with pytest.raises(KeyboardInterrupt), stopping_gently(run, said.append):
        signal.raise_signal(number)
    run.phase = "sample"
    with stopping_gently(run, said.append):
        signal.raise_signal(number)
    assert run.interrupted
    assert said == ["stopping after this iteration; once more to stop now"]
