"""The report: what it says, and that little is enough to write one."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from report_runs import MANIFEST, language_run, report, toy_recipe, toy_run

from collapse_core import create_run
from collapse_core.results.formatting import format_seconds

# --- what it says ----------------------------------------------------------------------------------


def test_a_finished_toy_is_told_in_full(tmp_path: Path) -> None:
    page = report(toy_run(tmp_path / "run"))
    for said in (
        "toy-partial-collapse",
        "Finished 6 of 6 iterations",
        "answered every forget prompt of cities once",
        "metric before after",
        "Vancouver 0.2",
        "category-shares",
        "never loaded",
        "torch 2.9.0",
        "odd 1, broken: ImportError: gone",
        "collapse run 'a recipe.yaml'",
        "go to zero.",
        "left-pad 1.0",
    ):
        assert said in page.text


def test_the_ten_shares_of_the_toy_are_ten_lines_of_one_chart(tmp_path: Path) -> None:
    tags = report(toy_run(tmp_path / "run")).tags
    assert sum(tag == "figure" for tag, _ in tags) == 1
    assert sum(attrs.get("aria-hidden") == "true" for _, attrs in tags) == 10


def test_a_language_run_shows_intervals_curves_answers_and_samples(tmp_path: Path) -> None:
    page = report(language_run(tmp_path / "run"))
    for said in (
        "unlearn_quality higher is better 8.0 (3.0, 12.0) 88.0 (83.0, 92.0)",
        "retain_nll lower is better 0.25 0.25",
        "Unlearning and utility higher is better",
        "Negative log-likelihood of the answers",
        "forget_nll 0.2 → 3.2",
        "loss_retain 0.3 → 0.3",
        "kept 0.188 → 0.958",
        "settled 0 → 1",
        "before , score 0",
        "Her name is 0-forget",
        "after , score 1",
        "Her name is 4-forget",
        "true answer Author number 0",
        "The retain split, 3 of 3",
        "iteration 1",
        "kept 0.1875 Her name is 0-3 and she was born in Sudbury in 0. 0.1875 -",
        "iteration 4 nothing sampled: settled, or not in this batch",
    ):
        assert said.replace(" ,", ",") in page.text.replace(" ,", ",")
    assert "steps" not in page.text, "only losses are drawn"


def test_every_chart_says_in_words_what_it_shows(tmp_path: Path) -> None:
    page = report(language_run(tmp_path / "run"))
    titles = {attrs["id"] for tag, attrs in page.tags if tag == "title" and attrs}
    drawn = [
        attrs["aria-labelledby"] for tag, attrs in page.tags if tag == "svg" and attrs.get("role") == "img"
    ]
    assert drawn
    assert set(drawn) == titles
    assert "Reward by iteration. kept 0.188 → 0.958; sampled" in page.text


def test_models_that_stand_beside_have_their_own_column(tmp_path: Path) -> None:
    page = report(toy_run(tmp_path / "run", "evaluate.baselines={retrained: {use: categorical}}"))
    assert "metric before after retrained" in page.text
    assert re.search(r"Vancouver 0\.2 \S+ 0\.2 ", page.text)


def test_rewards_show_which_answers_were_kept(tmp_path: Path) -> None:
    reward = "rewards=[{use: not-among, weight: 0.5, categories: [Toronto]}]"
    page = report(toy_run(tmp_path / "run", reward, "filter={use: best-of-n}"))
    assert "best-of-n chose what to keep by the reward not-among \u00d7 0.5" in page.text
    assert "Reward mean and standard deviation" in page.text
    assert ("tr", {"class": "kept"}) in page.tags


def test_where_prompts_take_turns_the_samples_follow_those_met_most_often(tmp_path: Path) -> None:
    page = report(toy_run(tmp_path / "run", "prompts_per_iteration=2"))
    assert "answered 2 forget prompts of cities" in page.text
    assert "nothing sampled: settled, or not in this batch" in page.text


def test_a_run_that_goes_on_shows_how_far_it_is(tmp_path: Path) -> None:
    page = report(language_run(tmp_path / "run", finished=False))
    assert "Running 4 of 4 iterations, last sign of life 2" in page.text
    assert "metric before after 2 iterations" in page.text
    assert "Her name is 2-forget" in page.text


def test_runs_stand_side_by_side_on_the_same_axes(tmp_path: Path) -> None:
    one, other = toy_run(tmp_path / "one"), toy_run(tmp_path / "other", "seed=1")
    page = report(one, other)
    assert "2 runs side by side" in page.text
    assert (
        "toy-partial-collapse / one toy-partial-collapse / other metric before after before after"
        in page.text
    )
    ticks = re.findall(r"<text[^>]*>([^<]*)</text>", (tmp_path / "out.html").read_text())
    assert ticks[: len(ticks) // 2] == ticks[len(ticks) // 2 :]
    assert sum(tag == "article" for tag, _ in page.tags) == 2


def test_runs_that_measured_different_things_stand_side_by_side_too(tmp_path: Path) -> None:
    page = report(toy_run(tmp_path / "one"), language_run(tmp_path / "other"))
    assert "Not recorded." in page.text


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.01, "under 0.1 s"), (3.14, "3.1 s"), (59.99, "1 min 0 s"), (61, "1 min 1 s"), (7300, "2 h 1 min")],
)
def test_durations_are_told_in_their_two_largest_units(seconds: float, said: str) -> None:
    assert format_seconds(seconds) == said


# --- that little is enough -------------------------------------------------------------------------


def test_a_run_that_has_only_begun_has_a_report(tmp_path: Path) -> None:
    create_run(toy_recipe(), "", {}, tmp_path / "run").close()
    page = report(tmp_path / "run")
    for said in ("Not started 0 of 6 iterations", "Nothing has been measured yet.", "No curves"):
        assert said in page.text


def test_a_run_without_any_text_says_why(tmp_path: Path) -> None:
    page = report(toy_run(tmp_path / "run", "keep_text=false"))
    assert "keep_text: false" in page.text
    assert "What was sampled" not in page.text


def test_a_failed_run_says_what_went_wrong(tmp_path: Path) -> None:
    run = create_run(toy_recipe(), "", MANIFEST, tmp_path / "run")
    run.enter("load")
    run.status("failed", error="the loss became nan in iteration 3")
    page = report(tmp_path / "run")
    assert "Failed 0 of 6 iterations" in page.text
    assert "the loss became nan in iteration 3" in page.text


def test_torn_and_damaged_lines_are_left_out(tmp_path: Path) -> None:
    run = language_run(tmp_path / "run")
    for name in ("journal", "evaluations", "timings", "completions/00003"):
        path = run / f"{name}.jsonl"
        path.write_bytes(path.read_bytes() + b'not json\n{"iteration": 9, "answer": "\xc3')
    assert "88.0 (83.0, 92.0)" in report(run).text


def test_a_value_that_is_not_finite_is_told_but_not_drawn(tmp_path: Path) -> None:
    run = language_run(tmp_path / "run", finished=False)
    with (run / "evaluations.jsonl").open("a") as file:
        for iteration in (3, 4):
            row = {"model": "after", "iteration": iteration, "evaluator": "e", "examples": []}
            metrics = {
                "perplexity": {"value": float("inf")},
                "ratio": {"value": float("nan"), "low": 0, "high": 1},
            }
            file.write(json.dumps(row | {"metrics": metrics}) + "\n")
    page = report(run)
    assert "perplexity - inf" in page.text
    assert "perplexity by iteration" not in page.text


# --- the command -----------------------------------------------------------------------------------


def test_the_command_prints_the_path_that_it_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, collapse_here: Callable[..., Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    run = create_run(toy_recipe(), "", {}, Path("run"))
    run.close()
    for arguments, path in (
        (["run"], "run/report.html"),
        (["run", "run"], "report.html"),
        (["run", "--output", "new/place.html"], "new/place.html"),
    ):
        assert collapse_here("report", *arguments).out == f"{path}\n"
        assert "<!doctype html>" in Path(path).read_text()


def test_a_directory_without_a_run_is_named(tmp_path: Path, collapse_here: Callable[..., Any]) -> None:
    assert "holds no run" in collapse_here("report", tmp_path).err


def test_help_waits_for_no_charts() -> None:
    loads = "import sys, collapse_core.cli.report, collapse_core.cli.session"
    code = f"{loads}; sys.exit(any(heavy in sys.modules for heavy in ('matplotlib', 'jinja2')))"
    subprocess.run([sys.executable, "-c", code], check=True)
