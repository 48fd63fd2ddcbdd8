"""All methods are given as many settings, chosen by what the validation split says, and measured once."""

import json
from statistics import harmonic_mean

import pytest
from click.testing import CliRunner

from benchmarks.methods import GUIDED, METHODS, ROOT, measured
from benchmarks.methods.__main__ import main
from benchmarks.methods.choosing import chosen, score, tried
from benchmarks.methods.figures import draw_all
from benchmarks.methods.measured import outcomes, read
from benchmarks.methods.running import ALWAYS, carry_all_out, jobs, standard, tuning, watching
from benchmarks.methods.tables import TABLES, at_equal_forgetting, fluency_table, methods_table, put
from collapse_core import load_recipe
from collapse_core.recipe.overrides import split_at_commas
from collapse_core.results.results import Results

pytestmark = pytest.mark.model

TINY = (
    "model={use: causal-lm, path: tiny-llama, compute: float32, teach: {epochs: 1, learning_rate: 5e-3}}",
    "evaluate.baselines={never trained on it: {use: causal-lm, path: tiny-llama, compute: float32}}",
    "sampler.max_new_tokens=4",
    "completions_per_prompt=2",
    "prompts_per_iteration=2",
    "retain_per_iteration=2",
)


def results(tmp_path, **models):
    """A run as it is read back, with these metrics of each model."""
    rows = [
        {
            "model": model,
            "iteration": 1,
            "metrics": {name: {"value": value} for name, value in metrics.items()},
        }
        for model, metrics in models.items()
    ]
    return Results(tmp_path, "run", [], rows, [])


def outcome(rouge, strength, utility):
    return {"rouge_forget": rouge, "extraction_strength_forget": strength, "utility": utility}


@pytest.fixture
def against(tmp_path):
    return results(tmp_path, before=outcome(95, 1.0, 60), retrained=outcome(30, 0.2, 58))


def test_each_method_chooses_among_three_settings_on_the_validation_split(tmp_path):
    for method in (*METHODS, *GUIDED):
        its = tuning([method], tmp_path, "tuning.yaml")
        assert len(its) == (3 if method.choices else 0)
        assert all("data.validation=true" in job.member.overrides for job in its)


def test_variants_and_controls_of_pmc_take_its_learning_rate():
    [pmc, *others] = [m for m in (*METHODS, *GUIDED) if not m.choices or m.stem == "pmc" or m in GUIDED]
    rates = {load_recipe(method.recipe).updater.learning_rate for method in (pmc, *others)}
    assert len(others) == 7
    assert len(rates) == 1


def test_forgetting_more_than_the_retrained_model_earns_nothing(tmp_path, against):
    just_as_much = score(results(tmp_path, after=outcome(30, 0.2, 60)), against)
    much_more = score(results(tmp_path, after=outcome(0, 0.0, 60)), against)
    assert just_as_much == much_more == pytest.approx(1)


def test_the_score_is_the_harmonic_mean_of_three_shares_so_that_a_ruined_model_has_none(tmp_path, against):
    found = score(results(tmp_path, after=outcome(65, 0.6, 30)), against)
    assert found == pytest.approx(harmonic_mean([0.5, 0.5, 0.5]))
    assert score(results(tmp_path, after=outcome(0, 0, 0)), against) == 0


class Finished:
    """A job whose run is there."""

    def __init__(self, setting, run):
        self.member = self
        self.overrides = ("seed=0", setting)
        self.results = lambda: run


def candidates(tmp_path, method, against, *outcomes_):
    key, _, values = method.choices.partition("=")
    made = []
    for value, found in zip(split_at_commas(values), outcomes_, strict=True):
        made.append(Finished(f"{key}={value}", results(tmp_path, after=found)))
    return tried(method, made, against)


def test_the_setting_of_the_best_score_is_taken(tmp_path, against):
    found = candidates(
        tmp_path, METHODS[0], against, outcome(50, 0.5, 60), outcome(40, 0.3, 58), outcome(10, 0.0, 20)
    )
    assert chosen(found).setting == "updater.learning_rate=1e-4"


@pytest.fixture(scope="module")
def carried_out(tmp_path_factory):
    """One method and its standard on a tiny model, run and measured in processes of their own."""
    judge = "{use: causal-lm, path: tiny-llama, compute: float32}"
    tiny_judge = f"evaluate.with=[unlearn-quality, {{use: responses, judge_model: {judge}}}]"
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("methods")
        patch.setenv("XDG_CACHE_HOME", str(home / "cache"))
        npo = next(method for method in METHODS if method.stem == "npo")
        todo = [
            *standard(0, home, "tuning.yaml", *TINY, baselines=True),
            *jobs([npo], home, "tuning.yaml", *ALWAYS, "seed=0", "iterations=1", *TINY),
            *watching([npo], 0, home / "watched", *TINY, tiny_judge, "iterations=2"),
        ]
        said = []
        failed = carry_all_out(todo, 2, said.append)
        yield todo, failed, said


@pytest.mark.slow
def test_runs_are_measured_and_their_weights_thrown_away(carried_out):
    todo, failed, said = carried_out
    assert failed == 0
    assert len(said) == 3
    assert all(job.is_done for job in todo)
    for job in todo:
        assert not (job.member.directory / "model").exists()
        assert not (job.member.directory / "checkpoints").exists()


@pytest.mark.slow
def test_what_is_measured_is_not_run_again(carried_out):
    todo, _, _ = carried_out
    said = []
    assert carry_all_out(todo, 1, said.append) == 0
    assert said == []


@pytest.mark.slow
def test_a_run_of_no_iterations_is_the_model_before_with_those_that_stand_beside(carried_out):
    found = outcomes(carried_out[0])
    assert set(found["standards"]) == {"before/0", "never trained on it/0"}
    assert set(found["runs"]) == {"npo/0"}
    quality, low, high = found["runs"]["npo/0"]["unlearn_quality"]
    assert low <= quality <= high
    assert found["runs"]["npo/0"]["seconds"][0] > 0


@pytest.mark.slow
def test_of_a_watched_run_each_iteration_is_kept(carried_out):
    [curves] = outcomes(carried_out[0])["paths"].values()
    assert set(curves) == {"rouge_forget", "answers_gibberish"}
    for points in curves.values():
        assert [number for number, _ in points] == [0, 1, 2]
        assert all(0 <= share <= 100 for _, share in points)


def test_measurements_of_an_earlier_definition_are_gathered_under_their_own_names(tmp_path):
    [job] = jobs([METHODS[0]], tmp_path, "tuning.yaml")
    directory = job.member.directory
    directory.mkdir(parents=True)
    (directory / "resolved.json").write_text(
        json.dumps({"recipe": {"name": "pmc", "data": {"use": "authors"}}})
    )
    row = {"evaluator": "unlearn-quality", "model": "after", "metrics": {"unlearn_quality": {"value": 90.0}}}
    job.rows.write_text(f"{json.dumps(row)}\n")
    assert job.results().metric("unlearn_quality", "after") is None
    job.rows.write_text(f"{json.dumps(row | {'definition': 2})}\n")
    assert job.results().metric("unlearn_quality", "after").value == 90.0


@pytest.mark.slow
def test_what_was_kept_of_a_run_is_known_until_its_recipe_changes(carried_out, tmp_path, monkeypatch):
    todo, _, _ = carried_out
    monkeypatch.setattr(measured, "FILE", tmp_path / "measured.json")
    assert not any(map(measured.is_known, todo))
    measured.write(outcomes(todo))
    assert all(map(measured.is_known, todo))
    npo = next(method for method in METHODS if method.stem == "npo")
    [changed] = jobs([npo], tmp_path, "tuning.yaml", *ALWAYS, "seed=0", "iterations=2", *TINY)
    assert not measured.is_known(changed)


@pytest.mark.slow
def test_gathering_where_nothing_was_run_keeps_what_is_there(tmp_path, monkeypatch):
    kept = measured.read()
    monkeypatch.setattr(measured, "FILE", tmp_path / "measured.json")
    measured.write(kept)
    done = CliRunner().invoke(main, ["--runs", str(tmp_path / "none"), "gather"])
    assert done.exit_code == 0, done.output
    assert measured.read() == kept


def test_what_a_run_cannot_do_is_said_and_counted(tmp_path):
    lost = jobs([METHODS[0]], tmp_path, "tuning.yaml", "model={use: causal-lm, path: ./nowhere}")
    said = []
    assert carry_all_out(lost, 1, said.append) == 1
    assert "FAILED" in said[0]


# --- what was measured -----------------------------------------------------------------------------


def test_recipes_have_the_settings_that_were_taken():
    settings = read()["settings"]
    assert set(settings) >= {method.stem for method in METHODS if method.choices}
    for stem, tries in settings.items():
        recipe = ROOT / "recipes" / "compare" / f"{stem}.yaml"
        [taken] = [one["setting"] for one in tries if one["taken"]]
        assert load_recipe(recipe, [taken]).resolved() == load_recipe(recipe).resolved()


QUALITY, STRENGTH, UTILITY = 70.93, 0.1272, 59.91
"""The retrained model's unlearn quality as it was then and ES, and the reference model's utility, on the
validation split: found from the 27 scores."""


def shares(metrics, forgotten):
    """The score of a setting on the validation split, given its share of the retrained model's forgetting."""
    kept = (1 - metrics["extraction_strength_forget"]) / (1 - STRENGTH), metrics["utility"] / UTILITY
    return harmonic_mean([min(1.0, share) for share in (forgotten, *kept)])


def test_settings_were_taken_by_another_unlearn_quality_and_rouge_forget_takes_the_same():
    for tries in read()["settings"].values():
        if "unlearn_quality_taught_answer" not in tries[0]["metrics"]:
            continue
        for one in tries:
            then = one["metrics"]["unlearn_quality_taught_answer"] / QUALITY
            assert shares(one["metrics"], then) == pytest.approx(one["score"], abs=2e-4)
        for retrained in range(61):
            best = max(
                tries,
                key=lambda one: shares(
                    one["metrics"], (100 - one["metrics"]["rouge_forget"]) / (100 - retrained)
                ),
            )
            assert best["taken"]


def test_settings_of_the_methods_added_since_were_taken_by_rouge_forget(tmp_path):
    models = {
        key.partition("/")[0]: {name: ends[0] for name, ends in metrics.items()}
        for key, metrics in read()["validation"].items()
    }
    standards = results(tmp_path, **models)
    later = [
        tries
        for tries in read()["settings"].values()
        if "unlearn_quality_taught_answer" not in tries[0]["metrics"]
    ]
    assert len(later) == 8
    for tries in later:
        for one in tries:
            assert score(results(tmp_path, after=one["metrics"]), standards) == pytest.approx(
                one["score"], abs=2e-4
            )
        [taken] = [one for one in tries if one["taken"]]
        assert taken["score"] == max(one["score"] for one in tries)


@pytest.mark.parametrize("place", TABLES)
def test_the_documentation_has_the_tables_of_what_was_measured(place, tmp_path):
    page, name = place
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    assert f"<!-- table: {name} -->\n\n" in text
    (tmp_path / page).write_text(text)
    put(tmp_path / page, name, list(TABLES[place](read())))
    assert (tmp_path / page).read_text(encoding="utf-8") == text


def test_a_table_takes_the_place_of_the_one_before(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("One.\n\n<!-- table: methods -->\n\n| old |\n| rows |\n\nTwo.\n")
    put(page, "methods", ["| new |"])
    assert page.read_text() == "One.\n\n<!-- table: methods -->\n\n| new |\n\nTwo.\n"


def test_the_figures_show_every_measured_method(tmp_path):
    draw_all(read(), tmp_path)
    drawn = {path.stem: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    assert set(drawn) == {f"methods_{name}" for name in ("front", "leakage", "shift", "dynamics")}
    measured_stems = {key.partition("/")[0] for key in read()["runs"]}
    for method in METHODS:
        assert (method.name in drawn["methods_leakage"]) == (method.stem in measured_stems)
        assert (method.name in drawn["methods_shift"]) == (method.stem in measured_stems)


def test_a_table_shows_the_mean_over_seeds_and_their_deviation():
    runs = {f"pmc/{seed}": {"rouge_forget": [value, 0, 100]} for seed, value in enumerate((90, 92, 94))}
    [line] = [row for row in methods_table({"standards": {}, "runs": runs}) if row.startswith("| PMC |")]
    assert line.startswith("| PMC | 3 | 92.0 ± 2.0 |")


def test_plain_pmc_is_looked_at_where_it_has_forgotten_as_much():
    path = [[1, 50.0, 0.0], [2, 17.0, 40.0], [3, 14.5, 60.0], [4, 7.0, 90.0]]
    assert at_equal_forgetting(path, 16.0) == path[1:3]
    assert at_equal_forgetting(path, 11.0) == [path[2]]
    run = {"rouge_forget": [16.0, 12, 20], "answers_gibberish": [20.0, 10, 30]}
    curves = {
        "rouge_forget": [[i, rouge] for i, rouge, _ in path],
        "answers_gibberish": [[i, garbled] for i, _, garbled in path],
    }
    *_, first, mean = fluency_table({"runs": {"guided_fluency/0": run}, "paths": {"pmc/0": curves}})
    assert first == "| 0 | 16.0 | 20 | 2, 3 | 15.8 | 50 |"
    assert mean == "| mean | 16.0 | 20 |  | 15.8 | 50 |"


def test_a_path_without_rouge_forget_gives_no_table(tmp_path):
    earlier = {"unlearn_quality_taught_answer": [[0, 30.0]], "answers_gibberish": [[0, 0.0]]}
    assert list(fluency_table({"runs": {}, "paths": {"pmc/0": earlier}})) == []
    page = tmp_path / "page.md"
    page.write_text("One.\n\n<!-- table: fluency -->\n\n| old |\n\nTwo.\n")
    for _ in range(2):
        put(page, "fluency", [])
        assert page.read_text() == "One.\n\n<!-- table: fluency -->\n\nTwo.\n"


def test_of_one_seed_a_table_shows_the_interval_over_questions():
    runs = {"pmc/0": {"rouge_forget": [90, 85.25, 96], "seconds": [100]}}
    [line] = [row for row in methods_table({"standards": {}, "runs": runs}) if row.startswith("| PMC |")]
    assert line.startswith("| PMC | 1 | 90.0 (85.2, 96.0) |")


def test_the_seconds_of_a_method_are_those_of_the_run_that_was_disturbed_least():
    runs = {f"pmc/{seed}": {"seconds": [value]} for seed, value in enumerate((301, 120, 240))}
    title, _, *rows = methods_table({"standards": {}, "runs": runs})
    [line] = [row for row in rows if row.startswith("| PMC |")]
    assert line.split("|")[title.split("|").index(" seconds ")] == " 120 "
