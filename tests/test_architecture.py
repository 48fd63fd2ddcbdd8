"""The house as it is built: who may import whom, and how large a room may be."""

import ast
import importlib
import re
import shutil
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest

import collapse_core

ROOT = Path(__file__).parent.parent
CORE = ROOT / "collapse_core"
PLUGINS = sorted(path for path in (ROOT / "plugins").iterdir() if (path / "__init__.py").exists())
SOURCES = sorted([*CORE.rglob("*.py"), *(ROOT / "plugins").rglob("*.py")])
SEVEN = ("plugin", "data", "model", "sampler", "rewards", "updater", "evaluators")
LINT = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]


def name(path):
    return str(path.relative_to(ROOT))


def lint(folder, config=None):
    done = subprocess.run(
        [*LINT, *(["--config", str(config)] if config else [])], cwd=folder, capture_output=True, text=True
    )
    return done.returncode, done.stdout + done.stderr


def test_nothing_imports_upwards():
    code, text = lint(ROOT)
    assert code == 0, text


@pytest.fixture
def copy(tmp_path):
    """The sources and the contracts, to be spoilt."""
    for folder in (CORE, *PLUGINS):
        shutil.copytree(folder, tmp_path / folder.name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(
        ROOT / "benchmarks", tmp_path / "benchmarks", ignore=shutil.ignore_patterns("__pycache__")
    )
    return tmp_path


FORBIDDEN = {
    "collapse_core/contracts/state.py": "collapse_core.run.run",
    "collapse_core/errors.py": "collapse_core.contracts.types",
    "collapse_core/loop.py": "collapse_core.cli",
    "collapse_core/recipe/recipe.py": "collapse_core.run.run",
    "collapse_core/run/run.py": "torch",
    "collapse_core/parts/filters.py": "numpy",
    "collapse_core/plugins/registry.py": "collapse_toy.data",
    "collapse_toy/data.py": "collapse_llm.data",
}
"""Modules, each with one that it must not import."""


def spoil(copy, file, line):
    (copy / file).write_text(f"{(copy / file).read_text()}\n{line}\n")


def test_every_forbidden_import_is_found(copy):
    for file, module in FORBIDDEN.items():
        spoil(copy, file, f"import {module}")
    spoil(copy, "collapse_core/run/checkpoints.py", "import collapse_core.run.run")
    code, text = lint(copy)
    assert code == 1, text
    for contract in (
        "the core has layers",
        "the core knows no domain and no torch",
        "plugins do not know each other",
    ):
        assert f"{contract} BROKEN" in text, text
    for file, module in FORBIDDEN.items():
        chain = f"{file.removesuffix('.py').replace('/', '.')} -> {module} "
        assert chain in text, chain
    assert "No cycles are allowed in collapse_core.run." in text, text


def test_a_module_that_chose_no_layer_is_found(copy):
    (copy / "collapse_core" / "novel.py").write_text('"""A module that chose no layer."""\n')
    code, text = lint(copy)
    assert code == 1, text
    assert re.search(r"not listed as layers:\s+- collapse_core.novel", text), text


def test_the_spoilt_copy_is_sound_until_it_is_spoilt(copy):
    code, text = lint(copy)
    assert code == 0, text


def imported(path):
    """What a file imports from the core: (module, name)."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "collapse_core":
            yield from ((node.module, alias.name) for alias in node.names)
        if isinstance(node, ast.Import):
            yield from (
                (alias.name, "") for alias in node.names if alias.name.split(".")[0] == "collapse_core"
            )


IMPORTS_BY_TEXT = {
    "collapse_core/cli/__init__.py": "a command, when it is called",
    "collapse_core/parts/callable.py": "a function that a recipe names",
    "collapse_core/plugins/registry.py": "the class of a part, when a recipe uses it",
    "plugins/collapse_graph/model/modules.py": "a network of the user's own that a recipe names",
}


def test_no_import_by_text_hides_a_dependency():
    """An import that is no statement is not seen by the contracts above."""
    found = {
        name(path)
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute | ast.Name)
        and (node.attr if isinstance(node, ast.Attribute) else node.id)
        in ("import_module", "__import__", "resolve_name", "exec_module")
    }
    assert found == set(IMPORTS_BY_TEXT)


PUBLIC_MODULES = ("collapse_core.torch", "collapse_core.testing")


@pytest.mark.parametrize("path", [p for p in SOURCES if CORE not in p.parents], ids=name)
def test_a_plugin_imports_only_public_names_of_the_core(path):
    for module, what in imported(path):
        assert module in PUBLIC_MODULES or (module == "collapse_core" and what in collapse_core.__all__), (
            module,
            what,
        )


def test_the_menu_lists_exactly_what_it_offers():
    offered = {
        alias.asname or alias.name
        for node in ast.parse((CORE / "__init__.py").read_text()).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    by_kind = sorted(collapse_core.__all__, key=lambda name: (not name.isupper(), name))
    assert by_kind == collapse_core.__all__
    assert offered == set(collapse_core.__all__)
    for public in collapse_core.__all__:
        assert getattr(collapse_core, public) is not None


def test_the_loop_in_the_readme_is_the_source():
    source = (CORE / "loop.py").read_text()
    loop = source[source.index("    for iteration in") : source.index("    return model\n\n\ndef begin")]
    [block] = re.findall(
        r"```python\n(for iteration in.*?)\n```", (ROOT / "README.md").read_text(), re.DOTALL
    )
    assert block == textwrap.dedent(loop).strip()


def test_the_loop_fits_on_a_page():
    assert len((CORE / "loop.py").read_text().splitlines()) < 80


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_no_file_grows_beyond_a_few_pages(path):
    assert len(path.read_text().splitlines()) <= 400


@pytest.mark.parametrize("folder", PLUGINS, ids=lambda folder: folder.name)
@pytest.mark.parametrize("room", SEVEN)
def test_every_plugin_has_the_same_seven_files(folder, room):
    assert (folder / f"{room}.py").exists() or (folder / room / "__init__.py").exists()


def packages(nodes):
    return {
        (node.module or "").split(".")[0] if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in nodes
        if isinstance(node, (ast.Import, ast.ImportFrom))
    }


@pytest.mark.parametrize("folder", PLUGINS, ids=lambda folder: folder.name)
def test_an_entry_point_imports_the_core_only_and_names_its_parts_by_text(folder):
    """What a hook does may need the plugin itself, once it is called."""
    tree = ast.parse((folder / "plugin.py").read_text())
    light = {"collapse_core", "collections", "pathlib", "typing"}
    assert packages(tree.body) <= light
    assert packages(ast.walk(tree)) <= light | {folder.name}
    entries = importlib.import_module(f"{folder.name}.plugin").collapse_components()
    assert all(isinstance(entry.target, str) for entry in entries)


def test_every_plugin_comes_in_by_an_entry_point_and_every_folder_is_shipped():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    points = set(project["project"]["entry-points"]["collapse"].values())
    assert points == {"collapse_core.parts.plugin", *(f"{folder.name}.plugin" for folder in PLUGINS)}
    shipped = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert set(shipped) == {"collapse_core", *(f"plugins/{folder.name}" for folder in PLUGINS)}
    assert set(project["tool"]["importlinter"]["root_packages"]) == {
        "collapse_core",
        *(f.name for f in PLUGINS),
        "benchmarks",
    }


def calls(path):
    return [
        node.func.id
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]


@pytest.mark.parametrize("path", [p for p in CORE.rglob("*.py") if p.parent.name != "cli"], ids=name)
def test_only_the_command_line_talks(path):
    assert "print" not in calls(path)


def test_every_command_is_a_file_and_every_file_of_commands_is_listed():
    from collapse_core.cli import COMMANDS

    files = {command.replace("-", "_") for command in COMMANDS}
    for file in files:
        assert importlib.import_module(f"collapse_core.cli.{file}").command.help
    others = {"__init__", "__main__", "launching", "session"}
    assert {path.stem for path in (CORE / "cli").glob("*.py")} == files | others


def test_no_text_that_a_user_reads_names_a_path_of_this_machine():
    for path in [
        *SOURCES,
        *(CORE / "report" / "templates").rglob("*.*"),
        *(ROOT / "recipes").rglob("*.yaml"),
    ]:
        assert not re.search(r"/(home|root|work|Users)/\w", path.read_text()), path
