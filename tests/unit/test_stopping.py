"""A run that stops when one of its numbers has reached a value."""

import json

import pytest

from collapse_core import CollapseError, RecipeError, collapse, create_run, load_recipe, open_run
from collapse_core.contracts.callbacks import Callback
from collapse_core.contracts.state import StopCheck
from collapse_core.recipe.stopping import StopWhen
from collapse_core.recipe.stored import check_sources, load_stored
from collapse_core.report.report import write_report
from collapse_core.results.results import load_results

DRIFT = """\
version: 1
name: drift
data: {use: numbers, num_draws: 10}
model: {use: gaussian}
sampler: {use: gaussian-draws}
filter: {use: above, threshold: 0}
updater: {use: gaussian-fit}
iterations: 12
completions_per_prompt: 1
retain_per_iteration: 0
evaluate: {every: 1, with: [gaussian-shape]}
checkpoint: {every: 2, keep: 2}
"""
NARROW = "{evaluator: gaussian-shape, metric: sd, at_most: 0.7, every: 2, patience: 2}"


@pytest.fixture
def run(tmp_path):
    """Runs the drifting Gaussian, with what stops it and with further callbacks."""

    def run(stop=NARROW, name="run", callbacks=(), **lines):
        path = tmp_path / f"{name}.yaml"
        text = DRIFT.replace("iterations: 12", f"iterations: {lines.get('iterations', 12)}")
        path.write_text(text + (f"stop_when: {stop}\n" if stop else ""))
        begun = create_run(load_recipe(path), path.read_text(), directory=tmp_path / name)
        try:
            collapse(begun.recipe, begun, callbacks)
        finally:
            begun.close()
        return begun.directory

    return run


def looks(directory):
    return [line["stop_when"] for line in load_results(directory).journal if "stop_when" in line]


def test_a_run_stops_when_the_metric_has_held_as_often_as_it_has_patience(run):
    whole, stopped = load_results(run(stop=None, name="whole")), load_results(run())
    by_iteration = dict(whole.curve("sd"))
    low = [i for i in range(2, 12, 2) if by_iteration[i] <= 0.7]
    [last, *_] = [i for i in low if i - 2 in low]
    assert len(stopped.journal) == last < 12
    assert [look["value"] for look in looks(stopped.directory)] == [
        by_iteration[i] for i in range(2, last + 1, 2)
    ]
    assert stopped.metric("sd", "after").value == by_iteration[last]
    without = [{k: v for k, v in line.items() if k != "stop_when"} for line in stopped.journal]
    assert without == list(whole.journal[:last])


def test_a_stopped_run_is_finished_and_says_why_in_one_sentence(run, tmp_path):
    directory = run()
    why = load_results(directory).stopped_by()
    assert why.startswith("stopped after iteration ")
    assert why.endswith(", which is at most 0.7, 2 times in a row")
    assert json.loads((directory / "status.json").read_text())["status"] == "finished"
    assert (directory / "model").is_dir()
    write_report([directory], tmp_path / "report.html")
    assert why in (tmp_path / "report.html").read_text()
    with pytest.raises(CollapseError, match="is finished"):
        open_run(directory, load_stored(directory))


def test_the_console_prints_the_number_and_the_sentence(collapse_here, tmp_path):
    (tmp_path / "drift.yaml").write_text(DRIFT + f"stop_when: {NARROW}\n")
    done = collapse_here("run", tmp_path / "drift.yaml", "--run-dir", tmp_path / "run")
    assert done.code == 0
    said = " ".join(done.err.split())
    assert "iterate at most 12 times" in said
    assert load_results(tmp_path / "run").stopped_by() in said
    assert f"sd {looks(tmp_path / 'run')[0]['value']:.3g}" in said


class Dies(Callback):
    """Dies when so many phases have begun."""

    def __init__(self, after):
        self.left = after

    def on_phase(self, name):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def kept(directory):
    """What must be the same however often the run was killed."""
    names = ("journal.jsonl", "evaluations.jsonl")
    exported = sorted((directory / "model").iterdir())
    return [(directory / name).read_bytes() for name in names] + [path.read_bytes() for path in exported]


@pytest.mark.parametrize(
    ("step", "least"), [(19, 2), pytest.param(1, 40, marks=pytest.mark.slow)], ids=("some", "every")
)
def test_a_run_that_is_killed_in_any_phase_stops_where_it_would_have(step, least, run, tmp_path):
    wanted, died = kept(run()), 0
    for after in range(3, 100, step):
        name = f"killed{after}"
        try:
            run(NARROW, name, [Dies(after)])
        except KeyboardInterrupt:
            died += 1
            resumed = open_run(tmp_path / name, load_stored(tmp_path / name))
            collapse(resumed.recipe, resumed)
            resumed.close()
            assert kept(tmp_path / name) == wanted
        else:
            break
    assert died >= least


def test_a_reward_stops_a_run_by_its_mean_over_the_completions_drawn(toy, tmp_path):
    path = toy(iterations="iterations: 9", more="stop_when: {reward: not-among, at_least: 0.9}\n")
    begun = create_run(load_recipe(path), directory=tmp_path / "run")
    collapse(begun.recipe, begun)
    begun.close()
    found = load_results(begun.directory)
    means = [line["rewards_sampled"]["not-among"] for line in found.journal]
    drawn = [mean["mean"] for mean in means if mean]
    assert [look["value"] for look in looks(begun.directory)][: len(drawn)] == drawn
    assert len(found.journal) < 9
    assert drawn[-1] >= 0.9 > max(drawn[:-1], default=0.0)


def test_a_metric_of_other_data_stops_a_run_and_the_manifest_names_it(run):
    far = "{use: numbers, mean: 5.0, num_draws: 3}"
    directory = run(
        f"{{evaluator: gaussian-shape, metric: distance_to_real, at_least: 20, data: {far}}}", iterations=3
    )
    assert len(load_results(directory).journal) == 1
    assert 20 <= looks(directory)[0]["value"] <= 40
    manifest = load_results(directory).environment
    assert manifest["stop_when"]["splits"] == ["full"]
    assert manifest["true_answers"]["loop"] == "read to stop the run, not to train"
    check_sources(directory, load_stored(directory))


def test_a_metric_that_cannot_be_measured_ends_the_run_before_anything_is_trained(toy, tmp_path):
    path = toy(more="stop_when: {evaluator: category-shares, metric: Atlantis, at_most: 0}\n")
    begun = create_run(load_recipe(path), directory=tmp_path / "run")
    with pytest.raises(
        CollapseError, match=r"to stop by 'Atlantis', .* it gives Toronto, .*change stop_when"
    ):
        collapse(begun.recipe, begun)
    begun.close()
    assert not load_results(begun.directory).journal


def test_what_could_not_be_measured_once_has_not_been_reached():
    stop = StopWhen(reward="total", at_least=1.0, patience=2)
    before = StopCheck(3, 1.5, 1, False)
    assert stop.next(before, 4, None) == StopCheck(4, None, 0, False)
    assert stop.next(before, 4, 1.0) == StopCheck(4, 1.0, 2, True)
    assert stop.next(before, 4, 0.9) == StopCheck(4, 0.9, 0, False)


@pytest.mark.parametrize(
    ("stop", "said"),
    [
        ("{evaluator: gaussian-shap, metric: sd, at_most: 1}", "did you mean 'gaussian-shape'?"),
        (
            "{evaluator: gaussian-shape, metric: sdd, at_most: 1}",
            "the evaluator 'gaussian-shape' does not measure 'sdd'; did you mean 'sd'?",
        ),
        ("{evaluator: category-shares, metric: Ottawa, at_most: 1}", "works on categorical, but the model"),
        ("{reward: not-amongst, at_least: 1}", "the recipe has no reward 'not-amongst'; known: total"),
        ("{reward: total, at_least: 1, at_most: 2}", "expected one of at_least and at_most"),
        ("{reward: total}", "expected one of at_least and at_most"),
        ("{at_least: 1}", "expected a 'reward', or an 'evaluator' with its 'metric'"),
        ("{evaluator: gaussian-shape, at_least: 1}", "'evaluator' and 'metric' go together"),
        ("{reward: total, at_least: 1, data: numbers}", "'data' is what an evaluator measures on"),
        ("{reward: total, at_least: 1, patiense: 2}", "unknown key 'patiense'; did you mean 'patience'?"),
        (
            "{evaluator: gaussian-shape, metric: sd, at_most: 1, data: cities}",
            "the model 'gaussian' works on numbers, but the data set 'cities' is categories",
        ),
    ],
)
def test_a_wrong_stop_condition_is_refused_with_one_sentence_and_its_place(stop, said, tmp_path):
    path = tmp_path / "drift.yaml"
    path.write_text(DRIFT + f"stop_when: {stop}\n")
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert said in str(caught.value)
    assert f"{path}:13:" in str(caught.value)
    assert str(caught.value).count("\n") == 0


def test_a_recipe_that_does_not_stop_resolves_as_before_there_was_stopping(toy):
    assert "stop_when" not in load_recipe(toy()).resolved()
    stopping = load_recipe(toy(more="stop_when: {reward: not-among, at_least: 1}\n"))
    assert stopping.resolved()["stop_when"]["patience"] == 1
