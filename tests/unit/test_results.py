"""A run directory, read back."""

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import rich.console

from collapse_core import CollapseError, Metric
from collapse_core.results.formatting import format_cell, format_metric, format_number, plain
from collapse_core.results.results import Results, load_results
from collapse_core.results.table import MetricRow, metric_notes, metric_rows
from collapse_core.session.console import Console
from collapse_core.session.tables import print_metrics


def row(model: str, iteration: int | None, value: float, answer: str = "", **more: Any) -> dict[str, Any]:
    return {
        "model": model,
        "iteration": iteration,
        "evaluator": "quality",
        "metrics": {"quality": {"value": value, "direction": "up", "low": None, "high": None}},
        "examples": [{"split": "forget", "prompt": "Who?", "answer": answer}],
    } | more


def shown(line: MetricRow) -> tuple[str, ...]:
    return tuple(map(format_cell, line.cells))


def results(*evaluations: dict[str, Any]) -> Results:
    return Results(Path("run"), "run", [], evaluations, [])


def test_the_models_of_the_table_are_before_after_and_beside() -> None:
    found = results(row("before", 0, 1), row("during", 5, 2), row("after", 10, 3), row("retrained", None, 4))
    assert found.models() == ["before", "after", "retrained"]
    assert [found.heading(model) for model in found.models()] == ["before", "after", "retrained"]
    assert found.headings() == ["before", "after", "retrained", "distance"]
    assert [shown(line) for line in metric_rows(found)] == [("1", "3", "4", "-1")]


def test_while_a_run_goes_on_its_last_measurement_stands_in_for_the_end() -> None:
    found = results(row("before", 0, 1), row("during", 5, 2), row("during", 10, 3))
    assert found.models() == ["before", "during"]
    assert found.heading("during") == "after 10 iterations"
    assert found.metric("quality", "during") == Metric(3, "up")


def test_a_curve_is_of_the_runs_own_model() -> None:
    found = results(row("before", 0, 1), row("during", 5, 2), row("after", 10, 3), row("retrained", None, 4))
    assert found.curve("quality") == [(0, 1), (5, 2), (10, 3)]
    assert found.curve("missing") == []


def test_answers_are_paired_by_evaluator_and_prompt_not_by_place() -> None:
    other = {"examples": [{"split": "forget", "prompt": "Where?", "answer": "there"}]}
    found = results(
        row("before", 0, 1, "she"),
        row("before", 0, 1, **other),
        row("after", 1, 1, "unknown", evaluator="quality"),
    )
    assert [(one["answer"], two and two["answer"]) for one, two in found.pairs("forget")] == [
        ("she", "unknown"),
        ("there", None),
    ]
    assert found.splits() == ["forget"]
    assert [example["answer"] for example in found.examples("before", "forget")] == ["she", "there"]


def test_examples_are_those_of_the_last_measurement() -> None:
    found = results(
        row("during", 5, 1, "early"), row("during", 10, 1, "late"), row("retrained", None, 1, "other")
    )
    assert [example["answer"] for example in found.examples("during", "forget")] == ["late"]
    assert [example["answer"] for example in found.examples("retrained", "forget")] == ["other"]
    assert found.examples("after", "forget") == []


def test_tables_of_several_runs_have_the_metrics_of_all() -> None:
    other = row("after", 1, 5, metrics={"loss": {"value": 5, "direction": "down"}})
    rows = metric_rows(results(row("before", 0, 1)), results(other))
    assert [(line.name, line.better, shown(line)) for line in rows] == [
        ("quality", "higher is better", ("1", "-")),
        ("loss", "lower is better", ("-", "5")),
    ]


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        (None, "-"),
        (Metric(0.123456), "0.1235"),
        (Metric(93.14, "up", 90.22, 95.38), "93.1 (90.2, 95.4)"),
        (Metric(0.4123, "up", 0.3801, 0.4402), "0.412 (0.380, 0.440)"),
        (Metric(45.2, "up", 38.9, 51.1), "45.2 (38.9, 51.1)"),
        (Metric(7, "up", 7, 7), "7"),
        (Metric(float("nan"), "up", float("nan"), float("nan")), "nan"),
        (Metric(1, "up", 0, float("inf")), "1"),
    ],
)
def test_an_interval_is_told_to_two_digits_of_its_width_and_one_decimal_at_least(
    metric: Metric | None, said: str
) -> None:
    assert format_metric(metric) == said


def test_numbers_are_short_and_other_things_are_text() -> None:
    assert [format_number(value) for value in (None, 3, 0.123456, "a", [1, 2])] == [
        "-",
        "3",
        "0.1235",
        "a",
        "[1,2]",
    ]


def test_model_output_is_made_fit_to_print() -> None:
    assert plain("line\r\nnext\x1b[31m\ud800") == "line\nnext\ufffd[31m\ufffd"
    assert plain({"a": [1, 2.5, None], "é": "x"}) == '{"a":[1,2.5,null],"é":"x"}'
    assert plain("abcdef", 4) == "abc…"
    assert plain("abcd", 4) == "abcd"


def test_a_directory_that_holds_no_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CollapseError, match="holds no run"):
        load_results(tmp_path)


def test_lines_are_read_whatever_a_model_wrote_into_them(tmp_path: Path) -> None:
    (tmp_path / "resolved.json").write_text(json.dumps({"recipe": {"name": "x"}}))
    line = json.dumps(row("after", 1, 1, "one\u2028two\x85three"), ensure_ascii=False)
    (tmp_path / "evaluations.jsonl").write_text(f"{line}\n{line}\n[]\n{line[:9]}", encoding="utf-8")
    found = load_results(tmp_path)
    assert [e["answer"] for e in found.examples("after", "forget")] == ["one\u2028two\x85three"] * 2
    assert (found.journal, found.status, found.environment, found.sampled()) == ([], {}, {}, [])


@pytest.mark.parametrize(
    ("use", "definition", "called"),
    [
        ("tofu", {}, "unlearn_quality_taught_answer"),
        ("tofu", {"definition": 2}, "unlearn_quality"),
        ("questions", {}, "unlearn_quality"),
    ],
)
def test_unlearn_quality_of_the_earlier_definition_is_read_under_a_name_of_its_own(
    tmp_path: Path, use: str, definition: dict[str, int], called: str
) -> None:
    (tmp_path / "resolved.json").write_text(json.dumps({"recipe": {"name": "x", "data": {"use": use}}}))
    measured = {name: {"value": 40.0} for name in ("unlearn_quality", "rouge_forget")}
    line = row("after", 1, 0, evaluator="unlearn-quality", metrics=measured) | definition
    (tmp_path / "evaluations.jsonl").write_text(json.dumps(line) + "\n")
    assert load_results(tmp_path).metrics() == [called, "rouge_forget"]


@pytest.mark.parametrize("width", [60, 80, 110])
def test_a_table_of_metrics_fits_the_terminal_with_no_number_torn(
    width: int, capsys: pytest.CaptureFixture[str]
) -> None:
    quality = {"value": 32.64, "direction": "up", "low": 25.81, "high": 38.42}
    names = ("unlearn_quality", "rouge_forget_paraphrased", "utility")
    models = ("before", "after", "never trained on it", "of another seed")
    rows = [row(model, 0, 1, metrics=dict.fromkeys(names, quality)) for model in models]
    print_metrics(rich.console.Console(width=width, highlight=False), results(*rows))
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= width
    assert printed.count("32.6") == printed.count("(25.8, 38.4)") == len(names) * len(models)
    assert "distance" in printed


def test_the_distance_to_the_first_model_beside_is_told_and_what_went_beyond_it_is_marked() -> None:
    found = results(
        row("before", 0, 30), row("after", 9, 80), row("taught less", None, 60), row("x", None, 1)
    )
    assert found.headings() == ["before", "after", "taught less", "x", "distance"]
    assert shown(metric_rows(found)[0]) == ("30", "80", "60", "1", "* +20")
    assert metric_notes(found) == ["* beyond the baseline 'taught less': over-forgetting, not better"]
    assert metric_notes(results(row("before", 0, 30), row("after", 9, 80))) == []


def test_what_is_not_measured_is_said_with_the_reason_once() -> None:
    why = {"utility": "the data set has no split 'world_facts'", "rouge_[b]": "the data set has no split 'x'"}
    found = results(row("before", 0, 1, missing=why), row("after", 9, 2, missing=why))
    assert found.missing() == {reason: [name] for name, reason in why.items()}
    notes = [
        "utility: not measured, the data set has no split 'world_facts'",
        "rouge_[b]: not measured, the data set has no split 'x'",
    ]
    assert metric_notes(found) == notes
    out = rich.console.Console(width=100, record=True, file=io.StringIO())
    print_metrics(out, found)
    assert out.export_text().splitlines()[-2:] == notes


def test_a_recipe_chooses_the_metrics_of_the_table_and_the_report_has_all() -> None:
    metrics = {name: {"value": 1.0} for name in ("a", "b", "c")}
    missing = {"d": "no split", "e": "no split"}
    found = replace(
        results(row("before", 0, 1, metrics=metrics, missing=missing)),
        recipe={"evaluate": {"headline": ["c", "a", "d", "f"]}},
    )
    assert [line.name for line in metric_rows(found)] == ["c", "a", "b"]
    assert metric_notes(found) == ["d, e: not measured, no split"]
    out = rich.console.Console(width=100, record=True, file=io.StringIO())
    print_metrics(out, found)
    assert [line.split() for line in out.export_text().splitlines()[:3]] == [
        ["metric", "before"], ["c", "1"], ["a", "1"]
    ]  # fmt: skip
    print_metrics(out, found)
    assert out.export_text().splitlines()[3:] == [
        "d: not measured, no split",
        "f: not measured, no evaluator here gives it",
        "further metrics are in the report: b",
    ]
    out.export_text()
    print_metrics(out, replace(found, recipe={"evaluate": {"headline": ["f"]}}))
    assert len(out.export_text().splitlines()) == 1 + len(metrics) + 1, "of none that was measured, all"


def test_metrics_that_are_missing_for_one_reason_share_a_note() -> None:
    found = results(row("before", 0, 1, missing={"a": "no split", "b": "no split"}))
    assert metric_notes(found) == ["a, b: not measured, no split"]


def test_time_is_added_up_by_phase() -> None:
    timings = [{"phase": p, "seconds": s} for p, s in (("sample", 1.0), ("update", 2.0), ("sample", 3.0))]
    assert Results(Path("run"), "run", [], [], timings).seconds() == {"sample": 4.0, "update": 2.0}


def test_brackets_and_escape_codes_are_no_commands_to_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = row("after", 1, 1, metrics={"[/x]": {"value": 0.5}}, examples=[])
    said = [row(model, 0, 1, "\x1b]0;owned\x07[bold]") for model in ("before", "after")]
    (tmp_path / "resolved.json").write_text(json.dumps({"recipe": {"name": "x"}}))
    (tmp_path / "evaluations.jsonl").write_text("".join(json.dumps(one) + "\n" for one in (*said, hostile)))
    console = Console(tmp_path)
    console.on_evaluation(hostile)
    console.summary()
    printed = "".join(capsys.readouterr())
    assert "[/x] 0.5" in printed
    assert "after: \ufffd]0;owned\ufffd[bold]" in printed
    assert "\x1b]0" not in printed
