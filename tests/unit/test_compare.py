"""Runs side by side: rows, intervals, the front, and what to know before one believes it."""

import json
import re
import shutil
from statistics import fmean

import pytest
from measured_toys import measured_recipe
from report_runs import Page
from scipy import stats

SEEDS = (0, 1, 2)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two methods: three seeds of one, one of another; made once, never changed."""
    from collapse_core import collapse, create_run, load_recipe

    home = tmp_path_factory.mktemp("runs")
    recipe = measured_recipe(home)

    def make(name, *overrides):
        loaded = load_recipe(recipe, overrides)
        run = create_run(loaded, recipe.read_text(), {"data": "cities"}, home / "runs" / name)
        collapse(loaded, run)
        run.close()

    for seed in SEEDS:
        make(f"partial-{seed}", f"seed={seed}", "retain_per_iteration=matched")
    make("total", "retain_per_iteration=0")
    return home / "runs"


@pytest.fixture
def compared(collapse_here):
    def compare(*arguments):
        done = collapse_here("compare", *arguments, "--json")
        assert done.code == 0, done.err
        return json.loads(done.out)

    return compare


def recorded(run, metric, model="after"):
    rows = [json.loads(line) for line in (run / "evaluations.jsonl").read_text().splitlines()]
    return next(row["metrics"][metric] for row in rows if row["model"] == model)


def test_runs_that_differ_in_their_seed_alone_are_one_row(compared, runs):
    rows = compared(*sorted(runs.iterdir()))["rows"]
    assert [(row["seeds"], len(row["runs"])) for row in rows] == [([0, 1, 2], 3), ([0], 1)]
    assert [row["label"] for row in rows] == [
        "measured retain_per_iteration=matched",
        "measured retain_per_iteration=0",
    ]


def test_a_row_has_the_mean_and_an_interval_over_questions_and_one_over_seeds(compared, runs):
    found = compared(runs)["rows"][0]["metrics"]["utility"]
    metrics = [recorded(runs / f"partial-{seed}", "utility") for seed in SEEDS]
    values = [metric["value"] for metric in metrics]
    assert found["value"] == pytest.approx(fmean(values))
    assert found["questions"] == pytest.approx([fmean(m[end] for m in metrics) for end in ("low", "high")])
    assert found["seeds"] == pytest.approx(
        stats.t.interval(0.95, 2, loc=fmean(values), scale=stats.sem(values))
    )


def test_a_single_run_has_no_interval_over_seeds(compared, runs):
    found = compared(runs / "total")["rows"][0]["metrics"]["unlearn_quality"]
    assert found["seeds"] is None
    assert found["questions"] == pytest.approx([found["value"] - 2, found["value"] + 2])


def test_a_directory_of_runs_is_all_its_runs_and_none_counts_twice(compared, runs):
    assert compared(runs) == compared(runs, runs / "total")


def test_every_metric_has_its_distance_to_the_never_taught_model(compared, runs):
    found = compared(runs / "total")["rows"][0]["metrics"]["unlearn_quality"]
    never = recorded(runs / "total", "unlearn_quality", "never trained on it")
    assert found["distance"] == pytest.approx(found["value"] - never["value"])


def test_the_front_is_marked_and_what_lies_beyond_never_taught_is_no_better(compared, runs):
    """Here the baseline is the one before, so nobody can be better at forgetting."""
    rows = compared(runs)["rows"]
    goal = recorded(runs / "total", "unlearn_quality", "never trained on it")["value"]
    utilities = [row["metrics"]["utility"]["value"] for row in rows]
    reached = [min(row["metrics"]["unlearn_quality"]["value"], goal) for row in rows]
    assert max(row["metrics"]["unlearn_quality"]["value"] for row in rows) > goal
    for i, row in enumerate(rows):
        beaten = any(
            (reached[j], utilities[j]) != (reached[i], utilities[i])
            and reached[j] >= reached[i]
            and utilities[j] >= utilities[i]
            for j in range(len(rows))
        )
        assert row["on_front"] is not beaten


def test_time_is_that_of_unlearning(compared, runs):
    found = compared(runs / "total")["rows"][0]["seconds"]["value"]
    rows = [json.loads(line) for line in (runs / "total" / "timings.jsonl").read_text().splitlines()]
    counted = [row["seconds"] for row in rows if row["phase"] not in ("load", "evaluate", "done")]
    assert found == pytest.approx(sum(counted))


def test_tokens_are_counted_where_the_journal_has_them(compared, runs, tmp_path):
    assert compared(runs / "total")["rows"][0]["tokens"] == {}
    copy = shutil.copytree(runs / "total", tmp_path / "counted")
    lines = [json.loads(line) for line in (copy / "journal.jsonl").read_text().splitlines()]
    lines = [line | {"num_tokens": 10, "update": {"num_tokens": 7}} for line in lines]
    (copy / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = compared(copy)["rows"][0]["tokens"]
    assert (found["sampled"]["value"], found["trained"]["value"]) == (10 * len(lines), 7 * len(lines))


# --- what is chosen --------------------------------------------------------------------------------


def test_a_metric_that_nobody_measured_is_told_with_those_there_are(collapse_here, runs):
    done = collapse_here("compare", runs, "--forgetting", "privacy")
    assert done.code == 1
    assert "'privacy' was measured in none of these runs; choose another with --forgetting" in done.err
    assert "unlearn_quality, utility" in done.err


def test_a_metric_without_a_direction_must_be_given_one(collapse_here, compared, toy, tmp_path):
    assert collapse_here("run", toy(), "--run-dir", tmp_path / "run").code == 0
    asked = ["--forgetting", "Toronto", "--utility", "Ottawa:up"]
    done = collapse_here("compare", tmp_path / "run", *asked)
    assert done.code == 1
    assert "write --forgetting Toronto:up or --forgetting Toronto:down" in done.err
    asked[1] += ":down"
    assert compared(tmp_path / "run", *asked)["forgetting"] == {"metric": "Toronto", "direction": "down"}


# --- what to know ----------------------------------------------------------------------------------


def changed(runs, tmp_path, name, change):
    copy = shutil.copytree(runs / "total", tmp_path / "changed")
    value = json.loads((copy / name).read_text())
    change(value)
    (copy / name).write_text(json.dumps(value))
    return copy


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("environment.json", lambda e: e.update(data="others"), "were not made on the same data"),
        ("resolved.json", lambda r: r["recipe"]["data"].update(num_draws=7), "not made on the same data"),
        ("resolved.json", lambda r: r["recipe"].update(model={"use": "x"}), "not begin with the same model"),
        (
            "resolved.json",
            lambda r: r["recipe"]["evaluate"]["with"][0].update(half=3),
            "not measured with the same evaluators",
        ),
        ("environment.json", lambda e: e.update(hardware={"cores": 99}), "made on different machines"),
        ("status.json", lambda s: s.update(status="failed"), "left out: failed after 12 of 12 iterations"),
    ],
)
def test_what_makes_a_comparison_doubtful_is_said(collapse_here, runs, tmp_path, name, change, said):
    done = collapse_here("compare", runs, changed(runs, tmp_path, name, change))
    assert done.code == 0
    assert said in done.err


def test_two_runs_of_one_seed_make_no_interval_to_believe(collapse_here, runs, tmp_path):
    copy = shutil.copytree(runs / "total", tmp_path / "again")
    assert "have the same seed" in collapse_here("compare", runs / "total", copy).err


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("status.json", '{"status": "running", "iteration": 3}', "there is no finished run to compare"),
        ("status.json", "{torn", "status.json is broken: it is no JSON"),
        ("resolved.json", "[]", "resolved.json is broken: it names no recipe"),
        ("resolved.json", None, "holds no run"),
    ],
)
def test_a_broken_run_is_one_clear_sentence(collapse_here, runs, tmp_path, name, content, said):
    copy = shutil.copytree(runs / "total", tmp_path / "copy")
    (copy / name).unlink() if content is None else (copy / name).write_text(content)
    done = collapse_here("compare", copy)
    assert (done.code, done.out, len(done.err.splitlines())) == (1, "", 1)
    assert said in done.err


# --- what is shown ---------------------------------------------------------------------------------


def test_the_table_fits_a_terminal_of_80_columns(runs, capsys):
    from rich.console import Console

    from collapse_core.results.comparison import compare
    from collapse_core.session.tables import print_comparison

    print_comparison(Console(width=80, highlight=False), compare([runs], None, None))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    for said in ("unlearn_quality", "never trained on it", "before", "front", "runs"):
        assert said in text
    assert re.search(r"q \(\S+, \S+\)", text), "intervals are not torn"
    assert re.search(r"s \(\S+, \S+\)", text)


def test_stdout_is_data_and_stderr_is_talk(collapse_here, runs, tmp_path):
    page = tmp_path / "new" / "page.html"
    done = collapse_here("compare", runs, "--output", page, "--json")
    assert json.loads(done.out)["rows"]
    assert str(page) in done.err


def test_the_page_shows_the_front_every_metric_and_the_runs(collapse_here, runs, tmp_path):
    collapse_here("compare", runs, "--output", tmp_path / "page.html")
    html = (tmp_path / "page.html").read_text()
    page = Page(html)
    assert page.open == []
    for said in (
        "2 methods side by side",
        "measured retain_per_iteration=matched",
        "never trained on it",
        "before",
        "on the front",
        "Every metric",
        "partial-2 (seed 2)",
    ):
        assert said in page.text
    assert sum(tag == "figure" for tag, _ in page.tags) == 1
    assert "http" not in re.sub(r"http-equiv", "", html), "it asks for nothing from elsewhere"
    assert "<script" not in html
    assert "prefers-color-scheme: dark" in html


def test_a_hostile_name_is_only_text(runs, tmp_path):
    from collapse_core.report.comparison_page import write_comparison
    from collapse_core.results.comparison import compare

    name = "<script>alert(1)</script>"
    changed(runs, tmp_path, "resolved.json", lambda r: r["recipe"].update(name=name))
    write_comparison(compare([tmp_path / "changed"], None, None), tmp_path / "page.html")
    html = (tmp_path / "page.html").read_text()
    assert "<script" not in html
    assert "&lt;script&gt;" in html
