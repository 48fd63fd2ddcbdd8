"""`collapse eval`: measure a model after the fact."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from collapse_core.evaluation.afterwards import examine, examine_logs, examined_recipe, log_readers
from collapse_core.results.results import Results
from collapse_core.runtime import files
from collapse_core.runtime.progress import listening
from collapse_core.session.console import Console, print_examples
from collapse_core.session.tables import print_metrics, stdout


@click.command()
@click.argument("target", metavar="[RUN|MODEL]", required=False)
@click.option(
    "--recipe",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Names data and evaluators, and how a MODEL is loaded; default the run's own recipe.",
)
@click.option(
    "--with",
    "evaluators",
    metavar="EVALUATOR",
    multiple=True,
    help="Measure with this instead: a name, name:field=value,..., or a file of YAML.",
)
@click.option("--set", "overrides", metavar="PATH=VALUE", multiple=True, help="Change a key of the recipe.")
@click.option("--baselines", is_flag=True, help="Measure the baselines of the recipe as well.")
@click.option(
    "--logs",
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True),
    multiple=True,
    help="Compute from published logs; no model is loaded.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Append the rows to a file.")
def command(
    target: str | None,
    recipe: Path | None,
    evaluators: tuple[str, ...],
    overrides: tuple[str, ...],
    baselines: bool,
    logs: tuple[Path, ...],
    as_json: bool,
    output: Path | None,
) -> None:
    """Measure the model of a run, or any other, with a recipe's evaluators.

    RUN is a run directory: the model of its last checkpoint is measured, and nothing is written into it.
    MODEL is a directory or a hub id, for the recipe's own kind of model; it is taught nothing.
    """
    if target is None and not logs:
        raise click.UsageError("give a RUN or a MODEL, or --logs")
    if logs and evaluators:
        rows = list(examine_logs(logs, log_readers(evaluators)))
    elif logs:
        rows = list(examine_logs(logs, examined_recipe(target, recipe, (), overrides).evaluate.with_))
    else:
        examined = examined_recipe(target, recipe, evaluators, overrides)
        rows = _told(str(target), lambda: examine(str(target), examined, baselines=baselines))
    if output:
        for row in rows:
            files.append_line(output, {"measured": target or [str(log) for log in logs]} | row)
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    results = Results(Path(target or ""), "", [], rows, [])
    print_metrics(out := stdout(), results)
    for overlap in dict.fromkeys(row["overlap"] for row in rows if "overlap" in row):
        out.print(f"Overlap of the data: {overlap}", style="dim", markup=False)
    print_examples(out, results)


def _told(target: str, measure: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The rows that `measure` gives, with its progress shown."""
    console = Console(Path(target))
    try:
        with listening(console.progress):
            return measure()
    finally:
        console.close()
