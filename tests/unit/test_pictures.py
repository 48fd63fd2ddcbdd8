"""Contents that are not text: drawn where they can be, told as text where not, and never trusted."""

import base64
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from markupsafe import Markup
from report_runs import Page, language_run, report, toy_recipe

from collapse_core import (
    Cells,
    Completion,
    Content,
    Group,
    Iteration,
    Picture,
    Pixels,
    Place,
    Prompt,
    Sketch,
    State,
    create_run,
)
from collapse_core.report.gallery import Item, exhibit, look_of, spread_out
from collapse_core.report.marginals import marginals
from collapse_core.report.tiles import Image, Strokes, tile
from collapse_toy.data import Cities

NASTY = "</td><script>alert('x')</script>\"><img src=x onerror=alert(1)>"
DIGITS = {"use": "digits"}
ROW = {"age": 41, "town": "North"}


def drawn(monkeypatch: pytest.MonkeyPatch, picture: Any) -> None:
    """Makes the cities look like something: a plugin may return whatever it likes."""
    monkeypatch.setattr(Cities, "picture", lambda self, content: picture(content))


def run_of(directory: Path, *answers: Content, use: str = "cities", asked: Content = "city") -> Path:
    """A run of two iterations in which two prompts that ask the same are answered, the last answer kept."""
    run = create_run(toy_recipe("iterations=2"), "", {}, directory)
    for iteration in Iteration.remaining(0, 2, 0):
        completions = tuple(Completion(answer, n, iteration.number) for n, answer in enumerate(answers))
        rewards = tuple(n / 10 for n in range(len(answers)))
        groups = [Group(Prompt(f"p{i}", asked), completions, rewards, {"far": rewards}) for i in range(2)]
        run.record(iteration, groups, [g.keep(len(answers) - 1) for g in groups], {}, State())
    run.close()
    stored = json.loads((directory / "resolved.json").read_text())
    if use != "cities":
        stored["recipe"]["data"] = {"use": use}
    (directory / "resolved.json").write_text(json.dumps(stored))
    return directory


def elements(page: Page, tag: str) -> list[dict[str, str | None]]:
    return [attrs for name, attrs in page.tags if name == tag]


# --- what is drawn -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("rows", "mode"), [([[0, 128], [255, 7], [1, 2]], "L"), ([[(1, 2, 3)] * 4], "RGB")])
def test_an_image_becomes_a_png_of_the_same_pixels(rows: Any, mode: str) -> None:
    from PIL import Image as Opened

    image = tile(Pixels(rows))
    assert isinstance(image, Image)
    opened = Opened.open(io.BytesIO(base64.b64decode(image.png)))
    assert (opened.mode, opened.size) == (mode, (len(rows[0]), len(rows)))
    every = [opened.getpixel((x, y)) for y in range(len(rows)) for x in range(len(rows[0]))]
    assert every == [pixel for row in rows for pixel in row]


@pytest.mark.parametrize(
    "picture",
    [
        Pixels([]),
        Pixels([[]]),
        Pixels([[1, 2], [3]]),
        Pixels([[0, 256]]),
        Pixels([[-1]]),
        Pixels([[(1, 2)]]),
        Pixels([[0.5]]),
        Pixels([10**9]),  # type: ignore[list-item]
        Pixels([[10**9]]),
        Pixels([NASTY]),
        Pixels([[0] * 513]),
        Sketch([]),
        Sketch([(0, float("nan"), "")]),
        Sketch([(0, 10**400, "")]),
        Sketch([("0", 0, "")]),  # type: ignore[list-item]
        Sketch([(0, 0, "")], [(0, 1, 1)]),
        Sketch([(0, 0, "")], [(0, 0, NASTY)]),  # type: ignore[list-item]
        Sketch([(0, 0, "")] * 301),
        Place(float("inf"), 0),
        Place(NASTY, 0),  # type: ignore[arg-type]
        Cells([NASTY]),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_picture_is_not_drawn(picture: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn(monkeypatch, lambda content: picture)
    assert look_of({"data": {"use": "cities"}})("x") is None


def test_a_sketch_keeps_its_angles_and_fills_a_square() -> None:
    found = tile(Sketch([(0, 0, "N"), (3, 0, ""), (0, 4, "")], [(0, 1, 1), (0, 2, 2)]))
    assert isinstance(found, Strokes)
    (left, top, width, height), [(corner, right), *double] = found.box, found.strokes
    assert width == height == 100
    assert right[0] > corner[0]
    assert right[1] == corner[1]
    assert all(end[1] < start[1] for start, end in double), "upwards"
    assert len(double) == 2
    assert [name for _, name in found.names] == ["N"]
    assert not found.dots, "what has no name among named points is a mere joint"
    every = [spot for stroke in found.strokes for spot in stroke]
    assert all(left <= x <= left + width and top <= y <= top + height for x, y in every)


def test_columns_are_told_by_quantiles_or_by_shares() -> None:
    before = [{"age": n, "town": "North" if n < 30 else "<South>"} for n in range(101)]
    after = [{"age": 200, "town": "East"}] * 3
    age, town, none = marginals(["age", "town", "none"], {"before": before, "after": after, "empty": []})
    assert age["ends"] == (5, 200)
    assert age["strips"]["before"]["median"] == 50
    assert age["strips"]["after"]["at"] == pytest.approx([100] * 5)
    assert [(part["text"], round(part["share"])) for part in town["bars"]["before"]] == [
        ("<South>", 70),
        ("North", 30),
        ("East", 0),
    ]
    assert list(town["bars"]) == ["before", "after"]
    assert none["strips"] == {}


def test_the_first_and_the_last_are_always_shown() -> None:
    assert spread_out(range(100), 4) == [0, 33, 66, 99]
    assert spread_out(range(3), 4) == [0, 1, 2]


def test_points_of_all_groups_share_their_axes() -> None:
    groups = {"one": [Item((0, 0), ""), Item((4, 2), "", kept=True)], "two": [Item((2, 1), "")]}
    shown = exhibit(groups, lambda content: Place(*content), spread_out, 5)
    assert shown == {
        "kind": "planes",
        "groups": {"one": [(9, 91, False), (91, 50, True)], "two": [(50, 70.5, False)]},
    }


def test_a_photograph_is_made_small_and_one_that_would_fill_the_memory_is_not_opened() -> None:
    from PIL import Image as Opened

    look, found = look_of({"data": {"use": "captions", "path": ".", "forget": ["a church"]}}), {}
    for size in ((200, 100), (5000, 5000)):
        file = io.BytesIO()
        Opened.new("RGB", size, (200, 30, 10)).save(file, "PNG")
        found[size] = look("data:image/png;base64," + base64.b64encode(file.getvalue()).decode())
    small = found[200, 100]
    assert isinstance(small, Image)
    opened = Opened.open(io.BytesIO(base64.b64decode(small.png)))
    assert opened.size == (64, 32)
    assert opened.getpixel((9, 9)) == (200, 30, 10)
    assert found[5000, 5000] is None


def test_a_molecule_has_its_hetero_atoms_named_and_a_graph_that_is_none_is_drawn_too() -> None:
    look = look_of({"data": {"use": "molecules"}})
    zwitterion = {"nodes": ["N+", "C", "C", "O", "O-"], "edges": [[1, 0, "-"], [2, 1, "-"], [3, 2, "="]]}
    bonded = look(zwitterion | {"edges": [*zwitterion["edges"], [4, 2, "-"]]})
    assert isinstance(bonded, Strokes)
    assert [name for _, name in bonded.names] == ["N\N{SUPERSCRIPT PLUS SIGN}", "O", "O\N{SUPERSCRIPT MINUS}"]
    assert len(bonded.strokes) == 5, "the double bond is two strokes"
    in_pieces = look(zwitterion)
    assert isinstance(in_pieces, Strokes)
    assert len(in_pieces.strokes) == 4


# --- in a report -------------------------------------------------------------------------------------


def test_answers_to_one_question_are_one_grid_an_iteration_with_what_was_kept_in_a_frame(
    tmp_path: Path,
) -> None:
    page = report(run_of(tmp_path / "run", [[0, 255]], [[255, 0]], use="digits", asked=8))
    tiles = [attrs for attrs in elements(page, "li") if "title" in attrs]
    assert len(elements(page, "img")) == len(tiles) == 2 * 2 * 2
    assert [tile.get("class") for tile in tiles] == [None, "kept"] * 4
    assert tiles[1]["title"] == "kept, 0.1, p0, number 1, far 0.1"
    assert "iteration 1" in page.text
    assert "iteration 2" in page.text


def test_what_cannot_be_drawn_stands_as_text_among_what_can(tmp_path: Path) -> None:
    page = report(run_of(tmp_path / "run", [[0]], "smudge", use="digits"))
    assert len(elements(page, "img")) == 4
    assert page.text.count("smudge") == 4


def test_rows_of_a_table_have_their_columns_and_marginals(tmp_path: Path) -> None:
    page = report(run_of(tmp_path / "run", ROW, ROW | {"age": 43.25}, use="wine"))
    assert "age town iteration 1 0 41 North kept 0.1 43.25 North" in page.text
    assert "age 41 to 43.25 iteration 1 43.25 iteration 2 43.25" in page.text.replace("  ", " ")
    assert any("North 100 %" in str(attrs.get("aria-label")) for attrs in elements(page, "svg"))


def test_points_are_drawn_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn(monkeypatch, lambda content: Place(*content))
    page = report(run_of(tmp_path / "run", [0, 0], [1, 2]))
    assert len(elements(page, "circle")) == 8
    assert "iteration 2 4 points" in page.text


def test_models_are_compared_with_each_other_and_with_what_is_real(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn(monkeypatch, lambda content: Sketch([(0, 0, content[:1])]) if content else None)
    page = report(language_run(tmp_path / "run"))
    said = page.text.partition("What was sampled")[0].partition("What it draws")[2]
    assert re.search(r"The forget split before H .* after H .* real A .* The retain split before", said)


def test_without_its_plugin_a_run_is_told_as_text(tmp_path: Path) -> None:
    page = report(run_of(tmp_path / "run", [[0, 255]], use="not-installed"))
    assert "[[0,255]]" in page.text
    assert not elements(page, "img")


def test_a_plugin_that_fails_is_told_as_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn(monkeypatch, lambda content: 1 / 0)
    assert "[[0,255]]" in report(run_of(tmp_path / "run", [[0, 255]])).text


def test_a_file_that_a_run_names_as_its_plugin_is_not_run(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", "text")
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'was here')!r}, 'w')")
    stored = json.loads((run / "resolved.json").read_text())
    stored["recipe"] |= {"plugins": [str(tmp_path / "evil.py")]}
    (run / "resolved.json").write_text(json.dumps(stored))
    report(run)
    assert not (tmp_path / "was here").exists()


# --- that it does no harm ----------------------------------------------------------------------------

HTML = "data:image/png;base64," + base64.b64encode(f"<svg onload={NASTY}>".encode()).decode()
HOSTILE: list[Content] = [
    NASTY,
    HTML,
    f'data:image/png;base64,"{NASTY}',
    [[NASTY]],
    [10**10],
    {"nodes": [NASTY, "C"], "edges": [[1, 0, NASTY]]},
    {"nodes": ["C"] * 10**5, "edges": []},
    {"nodes": [f"\N{NULL}{NASTY}", "C"], "edges": [[7, 0, "-"]]},
    {NASTY: NASTY, "a": {"b": NASTY}, "c": 10**400, "d": True, "e": None},
    {"x": [NASTY] * 10},
]


def is_harmless(page: Page) -> None:
    allowed = re.compile(r"data:image/png;base64,[A-Za-z0-9+/]+=*")
    assert not {"script", "iframe", "object", "embed", "foreignobject", "image"} & {t for t, _ in page.tags}
    for tag, attrs in page.tags:
        assert not any(name.startswith("on") for name in attrs), (tag, attrs)
        assert tag == "img" or "src" not in attrs, (tag, attrs)
        assert tag != "img" or allowed.fullmatch(str(attrs["src"]))
        assert str(attrs.get("href") or attrs.get("xlink:href") or "#").startswith("#")
        assert not re.search('alert|[<>"]', str(attrs.get("style")))


SOUND: dict[str, Content] = {
    "digits": [[0, 255]],
    "graph-atlas": {"nodes": ["*", "*"], "edges": [[1, 0, "-"]]},
    "molecules": {"nodes": ["C", "O"], "edges": [[1, 0, "-"]]},
    "wine": ROW,
}


@pytest.mark.model
@pytest.mark.parametrize("use", SOUND)
def test_hostile_answers_do_no_harm_whatever_the_domain(use: str, tmp_path: Path) -> None:
    page = report(run_of(tmp_path / "run", SOUND[use], *HOSTILE, use=use))
    is_harmless(page)
    assert page.text.count("<script>alert('x')") > 2, "it is told as text"
    assert elements(page, "img" if use == "digits" else "td" if use == "wine" else "svg")
    assert (tmp_path / "out.html").stat().st_size < 200_000


PICTURES: list[Picture] = [
    Sketch([(0, 0, Markup("<b>")), (1, 1, NASTY)], [(0, 1, 1)]),
    Cells({Markup(NASTY): Markup(NASTY), NASTY: NASTY}),
]


@pytest.mark.parametrize("picture", PICTURES, ids=["sketch", "cells"])
def test_a_plugin_cannot_declare_a_text_safe(
    picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn(monkeypatch, lambda content: picture)
    page = report(run_of(tmp_path / "run", "a", "b"))
    is_harmless(page)
    assert not {"b", "img"} & {tag for tag, _ in page.tags}
