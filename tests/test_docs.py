"""The documentation says what is true: its code runs, its output is real, and nothing is left out.

A page is read from top to bottom as one session, in a directory that holds the recipes. A block whose first
line is `# name.ext` is written to that file. Python runs, recipes are validated, `$ collapse ...` is called
and what it prints must contain the lines below it; a line `...` stands for any lines. A comment right before
a block changes that: `<!-- not run: why -->`, `<!-- exit 2 -->`.
"""

import importlib
import inspect
import json
import re
import shlex
import shutil
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
from pydantic import BaseModel
from ruamel.yaml import YAML

import collapse_core
from collapse_core import Component, Recipe, Registry, load_recipe
from collapse_core.cli import main
from collapse_core.parts.guard import Guard
from collapse_core.plugins import hookspecs
from collapse_core.plugins.registry import import_part
from collapse_core.recipe.recipe import CheckpointWhen, EvaluateWhen, Launch

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [*sorted(DOCS.rglob("*.md")), *sorted(ROOT.glob("*.md"))]
DECISIONS = sorted((DOCS / "decisions").glob("*.md"))
OURS = "collapse-unlearning"
BASE = "recipes/llm_tofu_full.yaml"
"""What the pieces of recipes in the documentation are laid upon."""

PARTS = [(p, e) for p, e in Registry().entries() if p.distribution == OURS]


def name(path):
    return path.relative_to(ROOT).as_posix()


# --- running ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Block:
    where: str
    language: str
    text: str
    mark: str

    @property
    def file(self):
        """The file that the block wants to be, if it says so in its first line."""
        found = re.match(r"# (\S+\.(?:py|yaml|toml))\n", self.text)
        return found and found[1]

    @property
    def exit_code(self):
        found = re.fullmatch(r"exit (\d+)", self.mark)
        return int(found[1]) if found else 0


def blocks(page):
    text = page.read_text()
    for found in re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.M | re.S):
        before = text[: found.start()].rstrip("\n").rpartition("\n")[2]
        mark = re.fullmatch(r"<!-- (.*) -->", before)
        line = text.count("\n", 0, found.start()) + 1
        yield Block(f"{name(page)}:{line}", found[1], found[2], mark[1] if mark else "")


class Session:
    """Runs the blocks of one page after one another."""

    def __init__(self, collapse_here):
        self.collapse_here = collapse_here
        module = ModuleType("docs_session")
        sys.modules[module.__name__] = module  # where the functions of a page are found by name
        self.names = vars(module)
        self.modules = [module.__name__]

    def do(self, block):
        if block.file:
            Path(block.file).write_text(block.text)
        act = getattr(self, block.language, None)
        if act and not block.mark.startswith("not run"):
            act(block)

    def python(self, block):
        if not block.file:
            exec(compile(block.text, block.where, "exec"), self.names)  # noqa: S102
            return
        module = block.file.removesuffix(".py")
        sys.modules.pop(module, None)
        importlib.invalidate_caches()
        inspect.modulesbyfile.clear()  # else a file that a recipe has loaded is taken for that module
        self.modules.append(module)
        tests = vars(importlib.import_module(module)).items() if module.startswith("test_") else ()
        for test in [value for key, value in tests if key.startswith("test_")]:
            test()

    def yaml(self, block):
        data = YAML(typ="safe", pure=True).load(block.text)
        path = Path(block.file or "piece.yaml")
        if "version" not in data and "extends" not in data:
            path = Path("piece.yaml")
            path.write_text(f"extends: {BASE}\n{block.text}")
        elif not block.file:
            path.write_text(block.text)
        load_recipe(path)

    def toml(self, block):
        tomllib.loads(block.text)

    def console(self, block):
        for command, printed in re.findall(r"^\$ (.*\n)((?:(?!\$ ).*\n)*)", block.text, re.M):
            words = shlex.split(command)
            if words[0] == "collapse":
                done = self.collapse_here(*words[1:])
                assert done.code == block.exit_code, f"{block.where}: {command}{done.err}"
                seen = plain(done.err + done.out)
                assert re.search(pattern(printed), seen, re.M), f"{block.where}: {command}{seen}"


def plain(text):
    """What was printed, without what is another each time."""
    text = re.sub(r"\d{8}-\d{6}-[0-9a-f]{8}", "<time>-<digest>", text)
    text = re.sub(r"^ ?\d+:\d\d ", " 0:00 ", text, flags=re.M)
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def pattern(expected):
    lines = plain(expected).splitlines(keepends=True)
    return "^" + "".join("(?:.*\n)*?" if line == "...\n" else re.escape(line) for line in lines)


@pytest.fixture
def session(tmp_path, monkeypatch, collapse_here):
    shutil.copytree(ROOT / "recipes", tmp_path / "recipes", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    session = Session(collapse_here)
    yield session
    for module in session.modules:
        sys.modules.pop(module, None)


LONG = ("docs/comparing.md",)
"""Pages that take more than ten seconds; 'make docs' reads them too."""


@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=[pytest.mark.slow] * (name(page) in LONG)) for page in PAGES], ids=name
)
def test_what_a_page_shows_is_what_happens(page, session):
    for block in blocks(page):
        session.do(block)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_what_is_not_run_says_why(page):
    for block in blocks(page):
        assert not block.mark.startswith("not run") or re.match(r"not run: \w+", block.mark), block.where


# --- links -----------------------------------------------------------------------------------------


def anchors(page):
    """The names by which the headings of a page are linked to."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)
    titles = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page):
    text = re.sub(r"^```.*?^```$|`[^`\n]*`", "", page.read_text(), flags=re.M | re.S)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_paths_that_a_page_names_exist(page):
    tops = "collapse_core|plugins|recipes|tests|docs"
    for path in re.findall(rf"`((?:{tops})/[\w/.-]+)`", page.read_text()):
        assert (ROOT / path).exists(), path


def test_every_name_in_the_reference_of_domains_exists():
    listed = json.loads((DOCS / "theme" / "domains.json").read_text())
    for name in [name for names in listed.values() for name in names]:
        module, _, key = name.rpartition(".")
        path = ROOT.joinpath("plugins", *module.split("."))
        source = (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text()
        assert re.search(rf"^(class|def) {key}\b", source, re.M), name


# --- nothing is left out ---------------------------------------------------------------------------


def page(path):
    return (DOCS / path).read_text()


def said(text):
    """The words between backticks."""
    return {word for code in re.findall(r"`([^`\n]+)`", text) for word in re.findall(r"[\w-]+", code)}


def test_every_hook_is_documented():
    hooks = [key for key, value in vars(hookspecs).items() if hasattr(value, "collapse_spec")]
    assert hooks
    for hook in hooks:
        assert hook in said(page("plugins.md"))


def commands(group, prefix="collapse"):
    for key in group.list_commands(None):
        command = group.get_command(None, key)
        nested = hasattr(command, "list_commands")
        yield from commands(command, f"{prefix} {key}") if nested else [f"{prefix} {key}"]


def test_every_command_is_documented():
    everything = "".join(path.read_text() for path in PAGES)
    for command in commands(main):
        assert command in everything, command


@pytest.mark.parametrize(
    "settings", [Recipe, EvaluateWhen, CheckpointWhen, Launch, Guard], ids=lambda s: s.__name__
)
def test_every_key_of_a_recipe_is_documented(settings):
    for key, info in settings.model_fields.items():
        assert (info.alias or key) in said(page("recipes.md")), key


def row(part):
    """The line of a table that is about a part."""
    return next((line for line in page("recipes.md").splitlines() if line.startswith(f"| `{part}` |")), "")


def nested(part):
    """The settings within a part's fields, such as `teach:` of a model."""
    for info in part.model_fields.values():
        for piece in (info.annotation, *getattr(info.annotation, "__args__", ())):
            if inspect.isclass(piece) and issubclass(piece, BaseModel):
                yield piece


@pytest.mark.parametrize(
    ("plugin", "entry"), PARTS, ids=lambda x: f"{x.kind}/{x.name}" if hasattr(x, "kind") else x.name
)
def test_every_part_is_documented_with_its_fields(plugin, entry):
    part = import_part(plugin, entry)
    assert row(entry.name), f"docs/recipes.md has no row for {entry.kind}/{entry.name}"
    missing = set(part.model_fields) - set(Component.model_fields) - {"weight"} - said(row(entry.name))
    assert not missing, f"the row of {entry.name} in docs/recipes.md leaves out {sorted(missing)}"
    for settings in nested(part):
        named = {info.alias or name for name, info in settings.model_fields.items()}
        assert named <= said(page("recipes.md")), settings


def test_every_evaluator_is_explained():
    for _, entry in PARTS:
        if entry.kind == "evaluator":
            assert entry.name in said(page("metrics.md")), entry.name


@pytest.mark.parametrize("public", collapse_core.__all__)
def test_every_public_name_says_what_it_is(public):
    assert inspect.getdoc(getattr(collapse_core, public))


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_has_a_context_a_decision_and_a_consequence(path):
    headings = re.findall(r"^#+ (.*)$", path.read_text(), re.M)
    assert headings[0].startswith(f"{path.stem[:4]}: ")
    assert headings[1:] == ["Context", "Decision", "Consequence"]


def test_decisions_are_numbered_without_gaps():
    assert [path.stem[:4] for path in DECISIONS] == [f"{n:04d}" for n in range(1, len(DECISIONS) + 1)]


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_a_page_names_no_path_of_one_machine(path):
    assert not re.search(r"/(home|root|work|Users)/\w", path.read_text())
