"""The report: that nothing in it can do harm, whatever a model says."""

import json
import re
from pathlib import Path

from report_runs import language_run, report, toy_recipe

from collapse_core import Completion, Group, Iteration, Prompt, State, create_run
from collapse_core.report.report import write_report

NASTY = "</td><script>alert('x')</script>\"><img src=x onerror=alert(1)>"


def test_a_model_cannot_inject_html(tmp_path: Path) -> None:
    run = language_run(tmp_path / "run", answer=NASTY, asked=NASTY, reward=NASTY, metric=NASTY)
    stored = json.loads((run / "resolved.json").read_text())
    stored["recipe"]["name"] = NASTY
    stored["recipe"]["model"]["use"] = NASTY
    (run / "resolved.json").write_text(json.dumps(stored))
    (run / "recipe.yaml").write_text(NASTY)
    (run / "environment.json").write_text(json.dumps({NASTY: NASTY, "plugins": [{"name": NASTY}]}))
    status = json.loads((run / "status.json").read_text())
    (run / "status.json").write_text(json.dumps(status | {"status": NASTY, "error": NASTY, "phase": NASTY}))
    for page in (report(run), report(run, run)):
        assert NASTY in page.text
        assert not {"script", "img"} & {tag for tag, _ in page.tags}
        assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)


def test_the_file_asks_for_nothing_from_anywhere(tmp_path: Path) -> None:
    page = report(language_run(tmp_path / "run", answer="see https://example.org/x.png"))
    assert not {"script", "img", "link", "iframe", "base", "a", "form"} & {tag for tag, _ in page.tags}
    for _, attrs in page.tags:
        assert (attrs.get("xlink:href") or attrs.get("href") or "#").startswith("#")
        assert "src" not in attrs
    style = (tmp_path / "out.html").read_text()
    assert "@import" not in style
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", style))
    assert (
        "meta",
        {
            "http-equiv": "Content-Security-Policy",
            "content": "default-src 'none'; style-src 'unsafe-inline'; img-src data:",
        },
    ) in page.tags


def test_control_characters_and_broken_text_do_not_get_through(tmp_path: Path) -> None:
    answer = "a\x1b[31mb\x00c \u2028 d\x85"
    run = language_run(tmp_path / "run", answer=answer)
    with (run / "evaluations.jsonl").open("ab") as file:
        row = {
            "model": "after",
            "iteration": 4,
            "evaluator": "\ud800",
            "metrics": {"\ud801": {"value": 1}},
            "examples": [],
        }
        file.write(json.dumps(row).encode() + b"\n")
    page = report(run)
    assert "a\ufffd[31mb\ufffdc" in page.text
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x85]", "".join(page.seen))


def test_names_that_look_like_formulas_are_only_names(tmp_path: Path) -> None:
    assert "$\\frac{$" in report(language_run(tmp_path / "run", metric="$\\frac{$", reward="_$^")).text


def test_what_is_not_text_is_shown_as_compact_json_and_cut(tmp_path: Path) -> None:
    run = create_run(toy_recipe("iterations=1"), "", {}, tmp_path / "run")
    prompt = Prompt("p", {"label": 3})
    group = Group(prompt, (Completion([[0.5, 1], [2, 3]]), Completion("x" * 5000, 1)), (1.0, 0.0))
    run.record(Iteration(0, 1, 0), [group], [group.keep(0)], {}, State())
    page = report(tmp_path / "run")
    assert '{"label":3}' in page.text
    assert "[[0.5,1],[2,3]]" in page.text
    assert "x" * 399 + "…" in page.text
    assert "x" * 400 not in page.text


def test_the_same_run_gives_the_same_report(tmp_path: Path) -> None:
    run = language_run(tmp_path / "run")
    write_report([run], tmp_path / "a.html")
    write_report([run], tmp_path / "b.html")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_a_long_run_gives_a_file_that_can_be_mailed(tmp_path: Path) -> None:
    run = language_run(
        tmp_path / "run", iterations=40, prompts=20, completions=8, answer="word {i} {n} " * 80
    )
    report(run)
    assert (tmp_path / "out.html").stat().st_size < 500_000
