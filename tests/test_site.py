"""The documentation site is whole: its links lead somewhere, and it needs nothing outside itself.

`make docs` builds the site and then runs this. It is no part of `make test`, which needs no site.
"""

import json
import re
from functools import cache
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest
from test_docs import DOCS, ROOT, commands

import collapse_core
import collapse_core.testing
import collapse_core.torch
from collapse_core.cli import main

SITE = ROOT / "site"
PAGES = sorted(SITE.rglob("*.html"))
LOADING = {"script", "link", "img", "iframe", "source", "video", "audio", "embed", "object"}
MODULES = [collapse_core, collapse_core.torch, collapse_core.testing]

pytestmark = pytest.mark.docs


class Read(HTMLParser):
    """What a page links to, what it loads, and the names by which its places are linked to."""

    def __init__(self, text):
        super().__init__()
        self.links, self.loads, self.anchors, self.classes, self.text = [], [], {""}, set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.anchors |= {given[key] for key in ("id", "name") if given.get(key)}
        self.classes |= set((given.get("class") or "").split())
        targets = [given[key] for key in ("href", "src", "data") if given.get(key)]
        (self.loads if tag in LOADING and given.get("rel") != "canonical" else self.links).extend(targets)

    def handle_data(self, data):
        self.text.append(data)


@cache
def read(page):
    return Read(page.read_text())


def name(path):
    return path.relative_to(SITE).as_posix()


def is_inside(link):
    return not urlsplit(link).scheme


def page_of(relative):
    return read(SITE / relative)


def test_every_page_of_the_documentation_is_in_the_site():
    written = {path.relative_to(DOCS).with_suffix(".html") for path in DOCS.rglob("*.md")}
    assert written <= {page.relative_to(SITE) for page in PAGES}
    assert {"index.html", "contributing.html", "changelog.html"} <= {name(page) for page in PAGES}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_and_pictures_lead_somewhere(page):
    for link in filter(is_inside, [*read(page).links, *read(page).loads]):
        target, anchor = urlsplit(link).path, unquote(urlsplit(link).fragment)
        path = (
            SITE / target.lstrip("/") if target.startswith("/") else page.parent / unquote(target)
        ).resolve()
        path = page if not target else path
        assert path.is_file(), f"{link} leads to no file"
        assert path.is_relative_to(SITE), f"{link} leads out of the site"
        assert path.suffix != ".html" or anchor in read(path).anchors, f"{link} leads to no place of its page"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_page_loads_nothing_from_the_network(page):
    assert [link for link in read(page).loads if urlsplit(link).netloc] == []
    assert "mermaid" not in read(page).classes, "the theme would fetch mermaid from a CDN"


def test_style_sheets_load_nothing_from_the_network():
    sheets = list(SITE.rglob("*.css"))
    assert sheets
    for sheet in sheets:
        assert not re.search(r"(url\(|@import)\s*[\"']?(https?:)?//", sheet.read_text()), sheet


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_lists_and_tables_are_not_read_as_prose(page):
    prose = re.sub(r"<pre.*?</pre>", "", page.read_text(), flags=re.S)
    for paragraph in re.findall(r"<p>(.*?)</p>", prose, re.S):
        assert not re.search(r"^\s*(-|1\.) |^\s*\|.*\|", paragraph, re.M), paragraph
        assert "](" not in re.sub(r"<code>.*?</code>", "", paragraph), paragraph


@pytest.mark.parametrize(
    ("module", "public"),
    [(m, key) for m in MODULES for key in m.__all__],
    ids=lambda x: getattr(x, "__name__", x),
)
def test_every_public_name_is_in_the_reference(module, public):
    assert f"{module.__name__}.{public}" in page_of(f"reference/{module.__name__}.html").anchors


@pytest.mark.parametrize("command", list(commands(main)))
def test_every_command_shows_its_help(command):
    text = "".join(page_of("reference/command_line.html").text)
    assert f"$ {command} --help\nUsage: {command}" in text


def test_the_search_finds_every_public_name_and_no_source():
    index = json.loads((SITE / "search" / "search_index.json").read_text())
    places = {entry["location"] for entry in index["docs"]}
    for public in collapse_core.__all__:
        assert f"reference/collapse_core.html#collapse_core.{public}" in places
    assert not [place for place in places if place.startswith("source/")]
