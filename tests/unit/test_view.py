"""The page on which runs are looked at: what it shows, and that nothing can break it."""

import json
import re
import shutil
import time
from pathlib import Path

import pytest
from report_runs import MANIFEST, TOY, Language, language_run, toy_recipe, toy_run
from view_visitor import Visitor, runs_to_view

from collapse_core import Completion, State, create_run
from collapse_core.runtime import files
from collapse_core.scrubbing.scrub import Choice, scrub
from collapse_core.view.completions import Completions, Query

HEARTBEAT = "%Y-%m-%dT%H:%M:%SZ"
NASTY = "</td><script>alert('x')</script>\"><img src=x onerror=alert(1)> \x1b[31m\u202e"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return runs_to_view(tmp_path_factory.mktemp("view") / "runs")


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one iteration, which has no curves to draw yet."""
    return language_run(tmp_path_factory.mktemp("view") / "short", iterations=1, finished=False)


@pytest.fixture(scope="module")
def visitor(runs: Path) -> Visitor:
    return Visitor(runs)


@pytest.fixture(scope="module")
def whole(visitor: Visitor) -> str:
    return visitor.keys()["whole"]


# --- what is shown ---------------------------------------------------------------------------------


def test_the_list_says_of_each_run_how_it_stands(visitor: Visitor, runs: Path) -> None:
    assert list(visitor.keys()) == ["broken", "empty", "killed", "toy", "whole"]
    text = visitor.text("/")
    assert "broken" in text
    assert "there is no resolved.json in it" in text
    assert "silent no sign of life for" in text
    assert f"'collapse resume {runs}/killed' goes on with it" in text
    assert "finished 4 of 4 100 % 88.0 (83.0, 92.0) 91.0 (88.0, 94.0)" in text


def test_a_run_is_followed_while_it_grows(tmp_path: Path) -> None:
    recipe = toy_recipe("iterations=4", "completions_per_prompt=4", "filter={use: best-of-n}")
    run, language = create_run(recipe, TOY.read_text(), MANIFEST, tmp_path / "run"), Language()
    visitor = Visitor(tmp_path)
    address = visitor.keys()["run"]
    versions = [visitor.client.get("/version").text]
    assert "not started" in visitor.text(address)
    assert "Nothing has been sampled yet." in visitor.text(f"{address}/completions")
    language.record(run)
    run.close()
    status = files.read_json(tmp_path / "run" / "status.json")
    beat = time.strftime(HEARTBEAT, time.gmtime())
    within = {"status": "running", "phase": "sample: questions", "done": 3, "total": 9, "iteration": 1}
    files.write_json(tmp_path / "run" / "status.json", status | within | {"heartbeat": beat})
    versions.append(visitor.client.get("/version").text)
    assert "running 1 of 4 25 % sample: questions, 3 of 9" in visitor.text(address)
    assert visitor.page(address).text.count("Unlearning and utility by iteration.") == 1
    (tmp_path / "run" / "completions" / "00003.jsonl").unlink()
    assert "36 completions" in visitor.text(f"{address}/completions", iteration="")
    assert len(set(versions)) == 2


@pytest.mark.parametrize(
    ("asked", "num"),
    [
        ({}, 44),
        ({"iteration": "2"}, 12),
        ({"prompt": "q1"}, 16),
        ({"prompt": "nobody"}, 0),
        ({"kept": "yes"}, 11),
        ({"kept": "no", "prompt": "q0"}, 9),
        ({"low": "0.75"}, 8),
        ({"low": "0.25", "high": "0.4375"}, 12),
        ({"find": "SUDBURY"}, 44),
        ({"find": "1-3 born"}, 3),
        ({"find": '"born in Sudbury in 2."'}, 12),
        ({"find": '"book number 2"'}, 16),
        ({"find": "nowhere"}, 0),
    ],
    ids=str,
)
def test_completions_are_filtered_and_searched(
    asked: dict[str, str], num: int, visitor: Visitor, whole: str
) -> None:
    assert f"{num} completions" in visitor.text(f"{whole}/completions", **asked)


def test_a_number_that_is_none_is_refused_in_a_sentence(visitor: Visitor, whole: str) -> None:
    assert "the reward 'much' is no number" in visitor.text(f"{whole}/completions", 404, low="much")
    assert "the iteration 'nan' is no number" in visitor.text(f"{whole}/completions", 404, iteration="nan")


def test_the_group_of_a_prompt_stands_next_to_all_that_the_models_answered(tmp_path: Path) -> None:
    directory = language_run(tmp_path / "run")
    asked = "Who wrote the book number 1?"
    example = {"split": "forget", "prompt": asked, "answer": "I cannot say.", "kind": "refusal"}
    found = {"model": "retrained", "iteration": None, "evaluator": "responses", "metrics": {}}
    files.append_line(directory / "evaluations.jsonl", found | {"examples": [example]})
    checkpoint = directory / "checkpoints" / "4"
    checkpoint.mkdir()
    state = State(4, {"q1": Completion("The reference itself.")})
    files.write_json(checkpoint / "state.json", state.to_json())
    files.seal(checkpoint)
    visitor = Visitor(tmp_path)
    text = visitor.text(f"{visitor.keys()['run']}/prompt", id="q1")
    answers = text[text.index("What the models answer") : text.index("Its reward")]
    order = [
        "reference answer The reference itself.",
        "before Her name is 0-forget",
        "after Her name is 4-forget",
    ]
    order += ["retrained I cannot say. responses: refusal", "true answer Author number 1"]
    places = [answers.index(part) for part in order]
    assert places == sorted(places)
    assert [f"iteration {n}" in text for n in (1, 2, 3, 4)] == [True] * 4
    assert "Nobody" not in text
    page = visitor.client.get(f"{visitor.keys()['run']}/prompt?id=q1").text
    assert page.count('<tr class="kept">') == 4
    assert "nothing was sampled for this prompt" in visitor.text(
        f"{visitor.keys()['run']}/prompt", 404, id="q9"
    )


def test_answers_are_searched_in_every_split(visitor: Visitor, whole: str) -> None:
    assert "6 prompts" in visitor.text(f"{whole}/answers")
    assert "3 prompts" in visitor.text(f"{whole}/answers", split="retain")
    assert "1 prompt " in visitor.text(f"{whole}/answers", split="retain", find="number 2?")


def test_prompts_are_listed_with_how_their_rewards_went(visitor: Visitor, whole: str) -> None:
    text = visitor.text(f"{whole}/prompts", find="BOOK 2?")
    assert "1 prompt " in text
    assert "q2 16 4 0.0938 → 0.844" in text


def test_the_points_of_a_front_lead_to_their_runs(visitor: Visitor, whole: str) -> None:
    page = visitor.client.get("/compare", params={"run": [whole.rpartition("/")[2]]}).text
    assert f'<a xlink:href="{whole}">' in page
    assert f'<a href="{whole}"><bdi>toy-partial-collapse</bdi></a>' in page
    assert "privacy, higher is better" in page
    text = visitor.text("/compare", run=visitor.keys()["toy"].rpartition("/")[2])
    assert "the metric 'unlearn_quality' was measured in none of these runs; choose another" in text
    every = [key.rpartition("/")[2] for name, key in visitor.keys().items() if name in ("broken", "empty")]
    assert "there is no run that can be read" in visitor.text("/compare", run=every)


def test_what_is_drawn_in_the_report_is_drawn_here(tmp_path: Path) -> None:
    from test_pictures import run_of

    digit = [[level] * 8 for level in range(8)]
    run_of(tmp_path / "digits", digit, use="digits", asked=3)
    run_of(tmp_path / "points", [0.25, 1.0], [0.5, 2.0], use="ring")
    visitor = Visitor(tmp_path)
    for name in ("digits",):
        for page in ("completions", "prompts"):
            assert visitor.client.get(f"{visitor.keys()[name]}/{page}").status_code == 200
        assert 'src="data:image/png;base64,' in visitor.client.get(f"{visitor.keys()[name]}/completions").text


# --- nothing can break it --------------------------------------------------------------------------


def test_what_a_model_wrote_is_text_and_every_character_of_it_is_seen(tmp_path: Path) -> None:
    short = {
        "iterations": 1,
        "finished": False,
    }  # no curves: drawing them takes long, and the report tests it
    language_run(tmp_path / "run", answer=NASTY, asked=NASTY, reward=NASTY, metric=NASTY, **short)
    visitor = Visitor(tmp_path)
    address = visitor.keys()["run"]
    pages = [
        *(
            "",
            "/completions",
            "/completions?find=script",
            "/completions?find=%3Cscript",
            "/prompts",
            "/answers",
        ),
        *("/prompt?id=q1", "/completions?prompt=%3Cscript%3E", "/answers?find=%22%3E%3Cscript%3E"),
    ]
    for place in [*(address + page for page in pages), "/compare", f"/compare?forgetting={NASTY[:40]}", "/"]:
        page = visitor.page(place)
        scripts = [attrs for tag, attrs in page.tags if tag == "script"]
        assert scripts == [{"type": "module", "src": "/static/view.js"}]
        assert "img" not in {tag for tag, _ in page.tags}
        assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)
        assert not re.search("[\x1b\u202e]", "".join(page.seen))
    assert "⟨U+001B⟩[31m⟨U+202E⟩" in visitor.text(f"{address}/completions")


def damaged(run: Path, name: str, content: bytes | None) -> None:
    path = run / name
    if content is not None:
        path.write_bytes(content)
    elif path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


FILES = (
    "resolved.json",
    "status.json",
    "environment.json",
    "journal.jsonl",
    "evaluations.jsonl",
    "timings.jsonl",
)
ROWS = [b"", b"{", b"null\n", b"[1]\n", b'{"model": 3}\n{"x"', b"\xff\xfe\x00\n", b'{"recipe": {"name": {}}}']


QUICK = (None, ROWS[4])
GRID = [
    pytest.param(name, content, marks=() if content in QUICK else pytest.mark.slow)
    for name in (*FILES, "completions/00000.jsonl")
    for content in (None, *ROWS)
]


@pytest.mark.parametrize(("name", "content"), GRID)
def test_a_damaged_run_is_shown_with_a_sentence(
    name: str, content: bytes | None, short: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(short, tmp_path / "run")
    damaged(run, name, content)
    visitor = Visitor(tmp_path)
    address = visitor.keys()["run"]
    for page in ("", "/completions", "/prompts", "/prompt?id=q1", "/answers"):
        answer = visitor.client.get(address + page)
        assert answer.status_code in (200, 404), answer.text
        assert "Traceback" not in answer.text
    assert visitor.client.get("/compare").status_code == 200


def test_what_was_removed_from_a_run_is_said_to_be_gone(short: Path, tmp_path: Path) -> None:
    run = shutil.copytree(short, tmp_path / "run")
    for name in ("completions", "checkpoints"):
        damaged(run, name, None)
    rows = [row | {"examples": []} for row in files.read_lines(run / "evaluations.jsonl")]
    files.write_lines(run / "evaluations.jsonl", rows)
    visitor = Visitor(tmp_path)
    address = visitor.keys()["run"]
    assert "The completions of this run are not there (any more)" in visitor.text(f"{address}/completions")
    assert "No answers are there" in visitor.text(f"{address}/answers")
    assert "unlearn_quality" in visitor.text(address)
    shutil.rmtree(run)
    assert "no such run is there (any more)" in Visitor(tmp_path).text(address, 404)


def test_a_scrubbed_run_is_shown_with_its_numbers_and_without_a_text(runs: Path, tmp_path: Path) -> None:
    run = shutil.copytree(runs / "whole", tmp_path / "run")
    assert "Sudbury" in Visitor(tmp_path).text(f"{Visitor(tmp_path).keys()['run']}/completions")
    scrub(run, Choice())
    visitor = Visitor(tmp_path)
    address = visitor.keys()["run"]
    shown = visitor.text(address)
    assert "This run was scrubbed" in shown
    assert "unlearn_quality" in shown
    assert "The completions of this run are not there (any more)" in visitor.text(f"{address}/completions")
    assert "No answers are there" in visitor.text(f"{address}/answers")
    for page in ("/", address, *(f"{address}/{name}" for name in ("completions", "prompts", "answers"))):
        assert not re.search("Sudbury|book number|Author number", visitor.client.get(page).text), page


def test_lines_that_are_no_completions_are_counted(runs: Path, tmp_path: Path) -> None:
    run = shutil.copytree(runs / "whole", tmp_path / "run")
    with (run / "completions" / "00001.jsonl").open("ab") as file:
        file.write(b'{"prompt": "q1"}\nnonsense\n[]\n{"prompt": "q1", "answer": "torn')
    visitor = Visitor(tmp_path)
    text = visitor.text(f"{visitor.keys()['run']}/completions")
    assert "44 completions" in text
    assert "4 lines of the files of completions are not what a run writes" in text


def test_looking_changes_nothing_in_a_run(short: Path) -> None:
    def seen() -> dict[str, tuple[int, int]]:
        found = ((path, path.stat()) for path in sorted(short.parent.rglob("*")))
        return {str(path): (stat.st_mtime_ns, stat.st_size) for path, stat in found}

    before, visitor = seen(), Visitor(short)
    for address in visitor.keys().values():
        for page in ("", "/completions", "/prompts", "/answers"):
            visitor.client.get(address + page)
    assert seen() == before


def test_completions_that_are_written_anew_are_read_anew(runs: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(runs / "whole" / "completions", tmp_path / "completions")
    found = Completions(folder)
    found.refresh(30)
    assert len(found.select(Query(find="Sudbury"))) == 44
    files.write_lines(
        folder / "00002.jsonl", [{"prompt": "q1", "answer": "Caf\u0065\u0301 STRASSE", "reward": None}]
    )
    line = found.select(Query(iteration=2))[0]
    assert found.row(line) is None or line.prompt == "q1"
    found.refresh(30)
    assert len(found.select(Query(find="sudbury"))) == 32
    assert [len(found.select(Query(find=word))) for word in ("café straße", "CAFÉ", "strass")] == [1, 1, 1]
    assert found.num_bad == found.num_waiting == 0


def test_a_run_that_keeps_no_text_says_so(tmp_path: Path) -> None:
    toy_run(tmp_path / "run", "keep_text=false")
    visitor = Visitor(tmp_path)
    text = visitor.text(f"{visitor.keys()['run']}/completions")
    assert "The recipe says keep_text: false, so no completion was written down." in text
    assert json.loads((tmp_path / "run" / "resolved.json").read_text())["recipe"]["keep_text"] is False
