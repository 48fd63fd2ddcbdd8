"""What a report says to a reader who was not there: whether it worked, what metrics mean, what remains."""

import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
from report_runs import language_run, report, toy_run

from collapse_core import Metric
from collapse_core.plugins.registry import Registry
from collapse_core.report.legend import legend, meaning_of
from collapse_core.report.report import write_report
from collapse_core.report.verdict import verdict
from collapse_core.results.results import Results

METRICS = Path(__file__).parents[2] / "docs" / "metrics.md"


def measured(**metrics: tuple[Metric, ...]) -> Results:
    """A run whose metrics were measured before, after, and of a baseline, as far as they are given."""
    rows = [
        {
            "model": model,
            "iteration": number,
            "evaluator": "unlearn-quality",
            "metrics": {
                name: asdict(found[number]) for name, found in metrics.items() if number < len(found)
            },
        }
        for number, model in enumerate(("before", "after", "untaught"))
    ]
    return Results(Path("run"), "a run", [], [row for row in rows if row["metrics"]], [])


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (
            Metric(92, "down", 88, 95),
            Metric(14, "down", 9, 19),
            "It forgot, by this measure: rouge_forget went",
        ),
        (
            Metric(92, "down", 88, 95),
            Metric(71, "down", 64, 78),
            "By this measure it did not forget: rouge_forget went from 92.0",
        ),
        (
            Metric(12, "down", 8, 16),
            Metric(9, "down", 5, 13),
            "There was little to forget: rouge_forget was 12.0",
        ),
        (Metric(55, "down", 40, 70), Metric(45, "down", 30, 60), "It cannot be told whether it forgot"),
    ],
    ids=["forgot", "did not", "never knew", "cannot be told"],
)
def test_the_verdict_follows_from_the_metric_that_shows_knowledge(before, after, said):
    first = verdict(measured(rouge_forget=(before, after)))[0]
    assert first.startswith(said)
    assert "a model that knows it reaches 50 or more" in first or "intervals overlap" in first


def test_the_verdict_says_what_was_lost_and_how_near_the_baseline_is():
    said = verdict(
        measured(
            rouge_forget=(Metric(92, "down", 88, 95), Metric(14, "down", 9, 19), Metric(20)),
            utility=(Metric(90, "up", 88, 92), Metric(60, "up", 55, 65), Metric(91)),
            rouge_retain=(Metric(90, "up", 85, 95), Metric(88, "up", 83, 93)),
            retain_nll=(Metric(0.2, "down"), Metric(0.5, "down")),
        )
    )
    assert "Better than before: rouge_forget 92.0 (88.0, 95.0) → 14.0 (9.0, 19.0)." in said
    assert "Worse than before: utility 90.0 (88.0, 92.0) → 60.0 (55.0, 65.0); retain_nll 0.2 → 0.5." in said
    assert "No change shown: rouge_retain 90.0 (85.0, 95.0) → 88.0 (83.0, 93.0)." in said
    assert "Of 2 metrics, 1 ended nearer to the baseline 'untaught' than they began." in said
    assert verdict(Results(Path("run"), "a run", [], [], [])) == [
        "Whether it worked cannot be said: nothing was measured."
    ]


def test_what_metrics_mean_is_said_once_for_those_that_mean_the_same():
    run = measured(rouge_forget=(Metric(1),), unlearn_quality=(Metric(1),))
    words, quality = legend(["rouge_forget", "unlearn_quality"], run)
    assert words["meaning"].startswith("share of the words of the true answers")
    assert quality["names"] == ["unlearn_quality"]
    assert meaning_of({"leak_at_*": "a", "leak_*": "b"}, "leak_bound_prefill") == "b"


def documented() -> Iterator[tuple[str, str]]:
    """Yield each metric of each table of docs/metrics.md, with its evaluator."""
    evaluators = set(Registry().names("evaluator"))
    for section in METRICS.read_text().split("\n## ")[1:]:
        use = section.partition("\n")[0].strip("`")
        rows = re.findall(r"^\| (`[^|]+) \|", section, re.M) if use in evaluators else []
        yield from ((use, name) for row in rows for name in re.findall(r"`(\w*\.*\w+(?:\.\.\.)?)`", row))


def test_every_documented_metric_has_a_meaning_in_reports():
    registry = Registry()
    pairs = list(documented())
    assert len(pairs) > 100
    without = [
        (use, name)
        for use, name in pairs
        if not name.startswith("...")
        and not meaning_of(registry.find("evaluator", use).meanings, name.replace("...", "x"))
    ]
    assert without == []


def test_a_reader_finds_more_answers_and_what_remains(tmp_path):
    page = report(language_run(tmp_path / "run", prompts=20))
    assert "15 more" in page.text
    assert "Author number 17" in page.text
    for left in ("completions answers that were sampled", "evaluations.jsonl examples of answers"):
        assert left in page.text.partition("What remains")[2]


def test_where_no_evaluator_noted_answers_a_reader_sees_what_was_learned(tmp_path):
    page = report(
        toy_run(
            tmp_path / "run", "filter={use: best-of-n}", "rewards=[{use: not-among, categories: [Toronto]}]"
        )
    )
    learned = page.text.partition("What it learned to say")[2].partition("What was sampled")[0]
    assert learned.count("kept last") == 5
    assert learned.count("before") >= 5


def test_a_redacted_report_has_the_numbers_and_no_text(tmp_path):
    run = language_run(tmp_path / "run", iterations=2)
    write_report([run], tmp_path / "out.html", texts=False)
    page = (tmp_path / "out.html").read_text()
    assert "Whether it worked." in page
    assert "What remains" in page
    assert "unlearn_quality" in page
    whole = report(run).text
    for secret in ("Sudbury", "Who wrote", "Author number", "a recipe.yaml", "recipe as written"):
        assert secret not in page
        assert secret in whole
