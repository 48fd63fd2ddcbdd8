"""`collapse init`: recipes or a plugin to start from."""

import re
from collections.abc import Callable, Mapping
from importlib.resources import files as resources
from pathlib import Path
from string import Template
from typing import Any, TypeVar

import click

from collapse_core.errors import CollapseError, printable
from collapse_core.plugins.discovery import convert, draft
from collapse_core.recipe.loading import load_recipe
from collapse_core.recipe.overrides import yaml_value
from collapse_core.recipe.shipped import copy_shipped
from collapse_core.runtime import waiting
from collapse_core.runtime.progress import listening
from collapse_core.session.estimate import time_costs

TEMPLATES = resources("collapse_core.cli") / "init_templates"


Decorated = TypeVar("Decorated", bound=Callable[..., Any])


@click.group()
def command() -> None:
    """Write recipes or a plugin to start from."""


def _source(option: str, what: str) -> Callable[[Decorated], Decorated]:
    return click.option(option, metavar="SOURCE", help=f"{what}.")


@command.command(short_help="Write a recipe, with comments.")
@click.argument("name")
@click.option(
    "--domain", type=click.Choice(["llm", "toy"]), default="llm", show_default=True, help="What is to forget."
)
@click.option("--model", metavar="DIR", help="Your model: a directory, or a name on the hub.")
@_source("--forget", "Your data to forget")
@_source("--retain", "Your data to retain")
@_source("--holdout", "Data of the same kind that the model was never trained on")
@_source("--paraphrased", "The data to forget in other words")
@_source("--general", "Common knowledge")
@click.option(
    "--from-open-unlearning",
    "experiment",
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="An experiment of OpenUnlearning to make a recipe of.",
)
@click.option("--no-estimate", is_flag=True, help="Don't time small iterations.")
def recipe(
    name: str,
    domain: str,
    model: str | None,
    experiment: Path | None,
    no_estimate: bool,
    **given: str | None,
) -> None:
    """Write the recipe NAME.yaml, ready to run, with a comment on every choice.

    With --model and --forget it looks at your model and your data first, and says what it found. A SOURCE
    is a file, a directory, a name on the hub, or a mapping of a recipe:
    '{from: rows.csv, columns: {question: frage, answer: antwort}}'.

    For images, tables, graphs and nodes --forget names all data and which of them to forget:
    '{from: patients.csv, where: {ward: oncology}}', '{from: photos, where: {label: church}}',
    '{from: MUTAG, where: {motif: triangle}}'. Models of tables, graphs and nodes are taught on the data
    where there is no --model.
    """
    name = name.removesuffix(".yaml")
    _check(name, r"[a-z0-9][a-z0-9._-]*", "lower-case letters, digits, '.', '_' and '-'")
    path = Path(f"{name}.yaml")
    _refuse_to_overwrite(path)
    sources = {
        key: yaml_value(source, f"--{key} {source}") if source.startswith("{") else source
        for key, source in given.items()
        if source
    }
    if experiment:
        _convert(path, name, experiment)
    elif model or sources:
        _draft(path, name, model, sources, estimate=not no_estimate)
    else:
        text = _filled(f"recipe_{domain}.yaml", name=name, file=path.name)
        path.write_text(text, encoding="utf-8")
    click.echo(f"collapse {'run' if model or sources else 'validate'} {path}")


def _convert(path: Path, name: str, experiment: Path) -> None:
    """Write the recipe that a plugin makes of an experiment of OpenUnlearning, and say what it noted."""
    found = convert(name, "open-unlearning", experiment)
    if found is None:
        raise CollapseError(
            "no installed plugin knows OpenUnlearning's experiments; that of language models does"
        )
    for line in found.found:
        click.echo(printable(line), err=True)
    path.write_text(found.recipe, encoding="utf-8")
    load_recipe(path)


def _draft(path: Path, name: str, model: str | None, sources: Mapping[str, Any], *, estimate: bool) -> None:
    """Write the recipe that a plugin proposes, and say what it found and how long a run takes."""
    needed = "a recipe for your own model and data needs --model and --forget"
    if "forget" not in sources:
        raise click.UsageError(needed)
    with listening(lambda label, done, total: click.echo(label, err=True) if total == 0 else None):
        found = draft(name, model, sources)
        if found is None and model is None:
            raise click.UsageError(needed)
        if found is None:
            raise CollapseError(
                f"no plugin knows what to do with the model '{model}'; give one of a domain that is "
                "installed, or write a recipe by hand ('collapse init recipe NAME')"
            )
    for line in found.found:
        click.echo(printable(line), err=True)
    path.write_text(found.recipe, encoding="utf-8")
    loaded = load_recipe(path)
    if estimate:
        line = time_costs(loaded).describe(loaded, waiting.slowdown())
        click.echo(line, err=True)
        path.write_text(f"{found.recipe}\n# {line}, as timed on this machine.\n", encoding="utf-8")


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
