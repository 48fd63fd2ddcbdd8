"""Pages of the site that are made from what the project holds: home, reference, command line, sources.

A link that leads out of `docs/` works in a checkout and on a code host. Here each file or folder that is
linked so becomes a page of its own, so that the site needs nothing outside itself.
"""

import ast
import json
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from collapse_core.cli import main

ROOT = Path(__file__).resolve().parents[2]
WRITTEN = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""The Markdown outside `docs/`, and which page of the site each file is."""

DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
REFERENCE = ("collapse_core", "collapse_core.torch", "collapse_core.testing")
DOMAINS = json.loads(Path(__file__).with_name("domains.json").read_text(encoding="utf-8"))
"""What parts for a domain are written with, by domain."""

LANGUAGES = {".py": "python", ".yaml": "yaml", ".toml": "toml", ".md": "markdown"}
LINK = re.compile(r"(```.*?^ *```|``.*?``|`(?:[^`\n]|\n(?!\n))*`)|(?<=\]\()([^)\s]+)(?=\))", re.M | re.S)
"""Code, which is left alone, or the target of a link."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put every decision into the navigation; mkdocs calls this first."""
    listed = [f"decisions/{path.name}" for path in DECISIONS]
    config.nav = [*(config.nav or []), {"Decisions": ["decisions/index.md", *listed]}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add every page that is made; mkdocs calls this once."""
    texts = {page: (ROOT / name).read_text(encoding="utf-8") for name, page in WRITTEN.items()}
    texts["index.md"] = f"---\nhide: [navigation]\n---\n\n{texts['index.md']}"
    texts["decisions/index.md"] = decisions()
    texts["reference/command_line.md"] = command_line()
    texts["reference/domains.md"] = domains()
    texts |= {f"reference/{module}.md": reference(module) for module in REFERENCE}
    for uri, text in texts.items():
        files.append(File.generated(config, uri, content=text))
    for path in sorted({path for file in files.documentation_pages() for path in outside(file)}):
        files.append(File.generated(config, source_page(path), content=source(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn a page from the Markdown of code hosts into that of mkdocs, which calls this for each page."""
    uri = page.file.src_uri
    text = LINK.sub(lambda found: found[1] or linked(found[2], uri), markdown)
    return "\n".join(with_deep_lists(text.split("\n"))).replace("± ", "±\u00a0")


def with_deep_lists(lines: list[str]) -> Iterator[str]:
    """Indent what belongs to an item of a list by two more spaces, as Python-Markdown has it."""
    in_list = deep = in_code = False
    for number, line in enumerate(lines):
        in_code ^= line.startswith("```")
        is_item = not in_code and re.match(r"(?:-|\d+\.) ", line) is not None
        if is_item and in_list and deep:
            yield ""
        if is_item or (line[:1].strip() and not lines[number - 1]):
            in_list, deep = is_item, False
        belongs = in_list and line.startswith("  ")
        deep |= belongs and not lines[number - 1]
        yield f"  {line}" if belongs else line


# --- links -----------------------------------------------------------------------------------------


def linked(link: str, uri: str) -> str:
    """The link, as the page `uri` of the site has to write it."""
    path, hash_sign, anchor = link.partition("#")
    if not path or "://" in link:
        return link
    target = in_repository(path, uri)
    if target in WRITTEN:
        page = WRITTEN[target]
    elif target == "docs/decisions":
        page = "decisions/index.md"
    elif target.startswith("docs/"):
        page = target.removeprefix("docs/")
    else:
        page = source_page(target)
    return posixpath.relpath(page, posixpath.dirname(uri) or ".") + hash_sign + anchor


def in_repository(path: str, uri: str) -> str:
    """The path from the repository's root that a link on the page `uri` names."""
    written = next((name for name, page in WRITTEN.items() if page == uri), f"docs/{uri}")
    return posixpath.normpath(posixpath.join(posixpath.dirname(written), path))


def outside(file: File) -> Iterator[str]:
    """The files and folders of the repository that a page links to and that are no pages."""
    for found in LINK.finditer(file.content_string):
        if found[2] and "://" not in found[2] and not found[2].startswith("#"):
            target = in_repository(found[2].partition("#")[0], file.src_uri)
            if target not in WRITTEN and not target.startswith("docs/") and (ROOT / target).exists():
                yield target


# --- pages -----------------------------------------------------------------------------------------


def source_page(path: str) -> str:
    """The page that shows a file or a folder of the repository."""
    return f"source/{path}.md"


def source(path: str) -> str:
    """A file, or every file of a folder, as it is."""
    place = ROOT / path
    shown = [place] if place.is_file() else sorted(place.rglob("*"))
    files = [file for file in shown if file.suffix in LANGUAGES and "__pycache__" not in file.parts]
    parts = [f"---\nsearch: {{exclude: true}}\n---\n\n# {path}\n"]
    for file in files:
        heading = f"## {file.relative_to(place).as_posix()}\n\n" if place.is_dir() else ""
        text = file.read_text(encoding="utf-8").rstrip()
        parts.append(f"{heading}````` {LANGUAGES[file.suffix]}\n{text}\n`````\n")
    return "\n".join(parts)


def decisions() -> str:
    """The list of decisions."""
    titles = {path.name: path.read_text(encoding="utf-8").partition("\n")[0] for path in DECISIONS}
    items = "\n".join(f"- [{title.removeprefix('# ')}]({name})" for name, title in titles.items())
    return f"# Decisions\n\nWhy things are as they are.\n\n{items}\n"


def reference(module: str) -> str:
    """The public names of a module by the files it imports them from; modules among them come last."""
    tree = parsed(module)
    text, modules = f"# {module}\n\n{ast.get_docstring(tree)}\n", ""
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [alias.name for alias in node.names]
            entries = "".join(f"\n::: {module}.{name}\n" for name in names)
            if is_module(f"{node.module}.{names[0]}"):
                modules += entries
            else:
                title = (ast.get_docstring(parsed(node.module)) or "").partition("\n")[0]
                text += f"\n## {re.split(r'[.:;,] |[.]$', title)[0]}\n{entries}"
    return text + (modules and f"\n## Modules\n{modules}")


def domains() -> str:
    """What the parts of a domain are written with: its models, its data sets, and what both are asked by."""
    sections = (
        f"\n## {domain}\n" + "".join(f"\n::: {name}\n" for name in names) for domain, names in DOMAINS.items()
    )
    return (
        "# Domains\n\nWhat samplers, updaters, evaluators and data sets of a domain are written with.\n"
        + "".join(sections)
    )


def parsed(module: str) -> ast.Module:
    """The source of a module, read without importing it."""
    path = ROOT.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text(encoding="utf-8"))


def is_module(name: str) -> bool:
    """Whether a dotted name is a module of the core."""
    path = ROOT.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").exists()


def command_line() -> str:
    """What `--help` prints, for each command."""
    pages = [
        f"## {path}\n\n```text\n$ {path} --help\n{text}\n```\n" for path, text in helps(main, "collapse")
    ]
    return "# Command line\n\nWhat each command prints when it is asked for `--help`.\n\n" + "\n".join(pages)


def helps(
    command: click.Command, name: str, parent: click.Context | None = None
) -> Iterator[tuple[str, str]]:
    """A command and those within it, each with its help."""
    settings = command.context_settings
    context = click.Context(command, info_name=name, parent=parent, terminal_width=88, **settings)
    yield context.command_path, command.get_help(context)
    if isinstance(command, click.Group):
        for key in command.list_commands(context):
            if nested := command.get_command(context, key):
                yield from helps(nested, key, context)
