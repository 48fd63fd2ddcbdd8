"""The pages as a static folder that can be published; it says what it contains."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from markupsafe import escape

from collapse_core.errors import CollapseError, counted
from collapse_core.runtime import files
from collapse_core.view.completions import Query
from collapse_core.view.links import Links
from collapse_core.view.rendering import render, style
from collapse_core.view.shelf import Entry, Shelf
from collapse_core.view.texts import TextPages

CONTENTS = "contents.json"
"""What a bundle contains, and by which a later bundle knows that it may replace the folder."""
WITHOUT = (
    "It contains metrics, curves, times and versions. It does not contain what was sampled or answered, the "
    "recipes, the command lines, or where on a machine anything lies. Runs, parts and metrics have the names "
    "that their authors gave them."
)
WITH = (
    "It contains metrics, curves, times, recipes, command lines and paths, every completion, and what "
    "evaluators noted down: prompts, answers and true answers. What was to be forgotten can be read in it."
)
ALL = 10**9


class FolderLinks(Links):
    """The files of a folder, by relative links; a page that is not written has no link."""

    style = "view.css"
    script = ""

    def __init__(self, names: Mapping[str, str], texts: bool) -> None:
        """Take what each run is called in names of files, and whether texts are written."""
        self.names = names
        self.texts = texts
        self.prompt_names: dict[tuple[str, str], str] = {}
        """By run and prompt, the file of a prompt's page."""

    def runs(self) -> str:
        """The list of runs."""
        return "index.html"

    def run(self, key: str) -> str:
        """What a run measured, and how it went."""
        return f"{self.names[key]}.html"

    def completions(self, key: str, asked: Mapping[str, object] | None = None) -> str:
        """The completions of an iteration; without one, there is no page."""
        iteration = (asked or {}).get("iteration")
        return f"{self.names[key]}-iteration-{iteration}.html" if self.texts and iteration else ""

    def prompts(self, key: str) -> str:
        """The prompts of a run."""
        return f"{self.names[key]}-prompts.html" if self.texts else ""

    def prompt(self, key: str, prompt: str) -> str:
        """What was sampled for a prompt in all iterations."""
        return self.prompt_names.get((key, prompt), "")

    def answers(self, key: str, asked: Mapping[str, object] | None = None) -> str:
        """What the models answered when they were measured."""
        return f"{self.names[key]}-answers.html" if self.texts else ""

    def compare(self, keys: Sequence[str] = ()) -> str:
        """All runs side by side."""
        return "side-by-side.html"

    def version(self, keys: Sequence[str]) -> str:
        """Nothing: a folder does not change."""
        return ""


def write_bundle(shelf: Shelf, to: Path, *, with_completions: bool) -> list[str]:
    """Write the folder, and say what it contains, a line each.

    Args:
        shelf: The runs.
        to: The folder; an earlier bundle there is replaced.
        with_completions: Whether texts, recipes and paths are written as well.

    Raises:
        CollapseError: There is something else in the folder, or there is no run.
    """
    entries = shelf.entries()
    _make_room(to)
    links = FolderLinks({e.key: f"run-{n}" for n, e in enumerate(entries, start=1)}, with_completions)
    written = dict(_pages(TextPages(shelf, links, texts=with_completions), entries, links))
    for name, page in written.items():
        shown = page if with_completions else _without_paths(page, shelf, entries)
        files.write_text(to / name, shown.encode(errors="replace").decode())
    files.write_text(to / "view.css", style())
    said = WITH if with_completions else WITHOUT
    contents = {"bundle": 1, "contains": said, "runs": [e.label for e in entries], "files": list(written)}
    files.write_json(to / CONTENTS, contents)
    return [f"{to / 'index.html'}: {counted(len(entries), 'run')}, {counted(len(written), 'page')}", said]


def _make_room(to: Path) -> None:
    """An empty folder, where there is nothing, or an earlier bundle.

    Raises:
        CollapseError: There is something else.
    """
    there = {path.name for path in to.iterdir() if not path.name.startswith(".")} if to.is_dir() else set()
    try:
        earlier = files.read_json(to / CONTENTS) if there else {"files": []}
        mine = {*map(str, earlier["files"]), "view.css", CONTENTS}
    except (OSError, ValueError, LookupError, TypeError):
        mine = set()
    if not there <= mine:
        raise CollapseError(f"{to} holds other things than a bundle; give another folder")
    for name in there:
        (to / name).unlink()
    to.mkdir(parents=True, exist_ok=True)


def _pages(pages: TextPages, entries: Sequence[Entry], links: FolderLinks) -> Iterator[tuple[str, str]]:
    """The name of each file and its page."""
    intro = render("intro.html", contains=WITH if pages.texts else WITHOUT)
    yield links.runs(), pages.runs(intro)
    yield links.compare(), pages.compare(())
    for entry in entries:
        yield links.run(entry.key), pages.run(entry.key)
        if pages.texts:
            yield from _texts(pages, entry, links)


def _texts(pages: TextPages, entry: Entry, links: FolderLinks) -> Iterator[tuple[str, str]]:
    found = pages.shelf.completions(entry)
    found.refresh(wait=ALL)
    prompts, iterations = found.prompts(), found.iterations()
    name = links.names[entry.key]
    links.prompt_names |= {
        (entry.key, one.id): f"{name}-prompt-{number}.html" for number, one in enumerate(prompts, start=1)
    }
    yield links.answers(entry.key), pages.answers(entry.key, "", "", 1, ALL)
    yield links.prompts(entry.key), pages.prompts(entry.key, "", 1, ALL, ALL)
    for one in prompts:
        yield links.prompt(entry.key, one.id), pages.prompt(entry.key, one.id, ALL, chart=False)
    for number in iterations:
        asked = {"iteration": str(number + 1)}
        page = pages.completions(entry.key, Query(iteration=number), asked, 1, ALL, ALL)
        yield links.completions(entry.key, asked), page


def _without_paths(page: str, shelf: Shelf, entries: Sequence[Entry]) -> str:
    """A page in which runs are called by their labels, also in sentences that name their directories."""
    paths = {e.directory: e.label for e in entries} | {path: path.name for path in shelf.paths}
    named = {str(form): label for path, label in paths.items() for form in (path, path.resolve())}
    for path in sorted(named, key=len, reverse=True):
        if path not in ("", "."):
            page = page.replace(escape(path), escape(named[path]))
    return page
