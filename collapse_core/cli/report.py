"""`collapse report`: one self-contained HTML file on one run or several."""

from pathlib import Path

import click

from collapse_core.report.report import write_report
from collapse_core.runtime import files


@click.command()
@click.argument(
    "runs", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, file_okay=False)
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file; default RUN/report.html, for several runs ./report.html.",
)
@click.option(
    "--redacted",
    is_flag=True,
    help="Leave out answers, completions, recipes, paths and commands; names of runs and metrics stay.",
)
def command(runs: tuple[Path, ...], output: Path | None, redacted: bool) -> None:
    """Write the report on a run, or on several side by side, and print its path."""
    to = output or (runs[0] / "report.html" if len(runs) == 1 else Path("report.html"))
    to.parent.mkdir(parents=True, exist_ok=True)
    files.drop_dead_drafts(to)
    write_report(runs, to, texts=not redacted)
    click.echo(to)
