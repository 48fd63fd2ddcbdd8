"""`collapse resume`: go on with an interrupted run."""

from pathlib import Path

import click

from collapse_core.cli.session import work
from collapse_core.loading import load_stored
from collapse_core.run import open_run


@click.command()
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
def command(run: Path) -> None:
    """Go on with an interrupted run from its last checkpoint."""
    work(open_run(run, load_stored(run)))
