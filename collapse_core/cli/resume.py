"""`collapse resume`: go on with an interrupted run."""

from pathlib import Path

import click

from collapse_core.cli.launching import launch
from collapse_core.cli.session import REPORT, work, write_missing_report
from collapse_core.recipe.recipe import Launch
from collapse_core.recipe.stored import load_stored
from collapse_core.run.directory import is_finished, open_run
from collapse_core.run.run import Run
from collapse_core.runtime.processes import Processes


@click.command()
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    metavar="N",
    help="On how many processes; default as in the recipe's 'launch'.",
)
def command(run: Path, processes: int | None) -> None:
    """Go on with an interrupted run from its last checkpoint."""
    recipe = load_stored(run)
    if is_finished(run) and not (run / REPORT).exists():
        write_missing_report(Run(run, recipe, Processes()))
        return
    config = recipe.launch.config if processes != 1 else None
    launch(Launch(processes=processes or recipe.launch.processes, config=config))
    work(open_run(run, recipe))
