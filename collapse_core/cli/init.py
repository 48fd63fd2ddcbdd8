"""`collapse init`: recipes or a plugin to start from."""

import re
from importlib.resources import files as resources
from pathlib import Path
from string import Template

import click

from collapse_core.errors import CollapseError
from collapse_core.recipe.shipped import copy_shipped

TEMPLATES = resources("collapse_core.cli") / "init_templates"


@click.group()
def command() -> None:
    """Write recipes or a plugin to start from."""


@command.command(short_help="Write a recipe, with comments.")
@click.argument("name")
@click.option(
    "--domain", type=click.Choice(["llm", "toy"]), default="llm", show_default=True, help="What is to forget."
)
def recipe(name: str, domain: str) -> None:
    """Write the recipe NAME.yaml, ready to run, with a comment on every choice."""
    name = name.removesuffix(".yaml")
    _check(name, r"[a-z0-9][a-z0-9._-]*", "lower-case letters, digits, '.', '_' and '-'")
    path = Path(f"{name}.yaml")
    _refuse_to_overwrite(path)
    path.write_text(_filled(f"recipe_{domain}.yaml", name=name, file=path.name), encoding="utf-8")
    click.echo(f"collapse validate {path}")


@command.command(short_help="Copy the recipes that come with collapse.")
@click.argument("directory", metavar="[DIR]", default="recipes", type=click.Path(path_type=Path))
def recipes(directory: Path) -> None:
    """Copy the recipes that come with collapse into the new folder DIR, by default recipes."""
    _refuse_to_overwrite(directory)
    copy_shipped(directory)
    click.echo(f"collapse run {directory / 'toy' / 'partial_collapse.yaml'}")


@command.command(short_help="Write an installable plugin with one reward.")
@click.argument("name")
def plugin(name: str) -> None:
    """Write the folder collapse-NAME: an installable plugin with one reward, and its test."""
    part = name.removeprefix("collapse-")
    _check(part, r"[a-z][a-z0-9]*(-[a-z0-9]+)*", "lower-case words joined by '-'")
    key = part.replace("-", "_")
    words = {
        "part": part,
        "distribution": f"collapse-{part}",
        "module": f"collapse_{key}",
        "key": key,
        "cls": "".join(word.capitalize() for word in part.split("-")),
    }
    folder = Path(words["distribution"])
    _refuse_to_overwrite(folder)
    folder.mkdir()
    for template, file in (
        ("pyproject.toml.txt", "pyproject.toml"),
        ("reward.py.txt", f"{words['module']}.py"),
        ("test_reward.py.txt", f"test_{words['module']}.py"),
    ):
        (folder / file).write_text(_filled(f"plugin/{template}", **words), encoding="utf-8")
    click.echo(f"pip install -e {folder} && pytest {folder}")


def _filled(template: str, **words: str) -> str:
    return Template((TEMPLATES / template).read_text(encoding="utf-8")).substitute(words)


def _check(name: str, pattern: str, allowed: str) -> None:
    if not re.fullmatch(pattern, name):
        raise click.BadParameter(f"'{name}' is no name for it; use {allowed}", param_hint="'NAME'")


def _refuse_to_overwrite(path: Path) -> None:
    if path.exists():
        raise CollapseError(f"{path} exists already, and is not overwritten; choose another name")
