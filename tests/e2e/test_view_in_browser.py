"""The page on which runs are looked at, in a real browser; skipped where there is no Chromium."""

import re
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1] / "unit"))

from report_runs import MANIFEST, TOY, Language, language_run, toy_recipe
from test_pictures import run_of

from collapse_core import Iteration, State, create_run
from collapse_core.view.serving import prepare
from collapse_core.view.shelf import Shelf

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
NASTY = "<script>alert(1)</script><img src=x onerror=alert(2)> {i}-{n} Sudbury"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("browser") / "runs"
    language_run(folder / "whole", iterations=2, prompts=16, answer=NASTY)
    return folder


@pytest.fixture(scope="module")
def address(runs: Path) -> Iterator[str]:
    said: list[str] = []
    server, listening = prepare(Shelf([runs]), "127.0.0.1", 0, said.append)
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    yield said[0]
    server.should_exit = True
    thread.join()
    listening.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One Chromium for all tests."""
    with playwright.sync_playwright() as started:
        yield started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


@pytest.fixture
def tab(browser: Any, address: str) -> Iterator[Any]:
    """A tab that has opened the list of runs; what a page complains of fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    tab, complaints = context.new_page(), []
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("dialog", lambda dialog: complaints.append(f"a script ran: {dialog.message}"))
    tab.goto(address)
    yield tab
    context.close()
    assert complaints == []


def test_a_reader_pages_through_completions_and_searches_while_typing(tab: Any, runs: Path) -> None:
    assert "token" not in tab.url
    tab.click("text=runs/whole")
    assert tab.locator("svg.chart").count() == 6
    tab.click("nav >> text=Completions")
    tab.locator(".pager a", has_text="Next").first.click()
    tab.wait_for_url(re.compile("page=2"))
    tab.fill("[name=find]", "1-3 sudbury")
    playwright.expect(tab.locator(".count")).to_have_text("16 completions")
    assert tab.locator("mark").first.inner_text() == "1-3"
    tab.select_option("[name=kept]", "no")
    playwright.expect(tab.locator(".count")).to_have_text("0 completions")


def test_the_browsers_back_returns_to_the_page_before(tab: Any) -> None:
    tab.click("text=runs/whole")
    tab.click("nav >> text=Completions")
    pager = tab.locator(".pager").first
    playwright.expect(pager).to_contain_text("page 1 of")
    pager.locator("a", has_text="Next").click()
    playwright.expect(pager).to_contain_text("page 2 of")
    tab.go_back()
    playwright.expect(pager).to_contain_text("page 1 of")
    tab.go_forward()
    playwright.expect(pager).to_contain_text("page 2 of")


@pytest.fixture
def molecules(runs: Path) -> Iterator[None]:
    """A run whose completions are graphs."""
    ethanol = {"nodes": ["C", "C", "O"], "edges": [[1, 0, "-"], [2, 1, "-"]]}
    acetone = {"nodes": ["C", "C", "O", "C"], "edges": [[1, 0, "-"], [2, 1, "="], [3, 1, "-"]]}
    run_of(runs / "molecules", ethanol, acetone, use="molecules", asked="draw a molecule")
    yield
    shutil.rmtree(runs / "molecules")


@pytest.mark.slow
@pytest.mark.usefixtures("molecules")
def test_graphs_are_drawn_where_their_completions_stand(tab: Any) -> None:
    tab.goto(tab.url)
    tab.click("text=runs/molecules")
    tab.click("nav >> text=Completions")
    drawings = tab.locator("main svg:has(path)")
    assert drawings.count() == 2 * 2 * 2, "two iterations, prompts and molecules"
    for number in range(drawings.count()):
        one = drawings.nth(number)
        assert min(one.bounding_box()[side] for side in ("width", "height")) > 16
        assert one.locator("path").first.evaluate("path => path.getTotalLength()") > 1
        assert one.locator("text").all_text_contents() == ["O"]


@pytest.mark.slow
def test_a_point_of_the_front_is_clicked(tab: Any) -> None:
    tab.check("input[name=run]")
    tab.click("text=Show the chosen runs side by side")
    tab.locator("svg.chart a use").first.click()
    tab.wait_for_url(re.compile("/run/"))


def test_a_growing_run_is_renewed_without_loading_the_page_anew(tab: Any, runs: Path) -> None:
    recipe = toy_recipe("iterations=3", "completions_per_prompt=4", "filter={use: best-of-n}")
    run, language = create_run(recipe, TOY.read_text(), MANIFEST, runs / "growing"), Language(iterations=3)
    language.measure(run, "before", 0)
    tab.clock.install()
    tab.goto(tab.url)
    tab.evaluate("window.same = true")
    for iteration in Iteration.remaining(0, 2, 0):
        run.enter("sample")
        groups = [language.group(question, iteration.number) for question in language.questions]
        run.record(iteration, groups, [group.keep(3) for group in groups], {"loss": 1.0}, State())
        run.enter("update")
        tab.clock.fast_forward(2100)
        playwright.expect(tab.locator("#runs")).to_contain_text(f"{iteration.finished} of 3")
    run.close()
    assert tab.evaluate("window.same"), "the page was loaded anew"
    shutil.rmtree(runs / "growing")


@pytest.mark.slow
def test_pages_fit_wide_and_narrow_in_light_and_dark(tab: Any) -> None:
    run, base = tab.get_attribute("table.runs a", "href"), tab.url.rstrip("/")
    for width, scheme, dark in ((390, "dark", True), (1280, "light", False)):
        tab.set_viewport_size({"width": width, "height": 800})
        tab.emulate_media(color_scheme=scheme)
        for page in (
            "/",
            run,
            f"{run}/completions",
            f"{run}/prompts",
            f"{run}/prompt?id=q1",
            f"{run}/answers",
        ):
            tab.goto(base + page)
            assert tab.evaluate("document.documentElement.scrollWidth") <= width, page
            shade = tab.evaluate("getComputedStyle(document.body).backgroundColor")
            assert (sum(map(int, re.findall(r"\d+", shade))) < 200) is dark
