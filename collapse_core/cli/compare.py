"""`collapse compare`: runs side by side."""

import json
from pathlib import Path

import click

from collapse_core.results.comparison import compare, to_json
from collapse_core.session.tables import print_comparison, stdout


@click.command()
@click.argument(
    "runs", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, file_okay=False)
)
@click.option(
    "--forgetting",
    metavar="METRIC",
    help="The metric of forgetting; default unlearn_quality. METRIC:up or METRIC:down says which direction "
    "is better where the metric does not.",
)
@click.option("--utility", metavar="METRIC", help="The metric of what is still known; default utility.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write a page of HTML.")
def command(
    runs: tuple[Path, ...], forgetting: str | None, utility: str | None, as_json: bool, output: Path | None
) -> None:
    """Lay runs side by side: forgetting, utility, time and tokens.

    RUNS are run directories, or directories that hold some, as a sweep leaves them. Runs that differ in their
    seed alone are one method, with an interval over seeds and one over questions. A method is on the
    Pareto front if no other is better in one respect and no worse in the other.
    """
    found = compare(runs, forgetting, utility)
    if output:
        from collapse_core.report.comparison_page import write_comparison

        output.parent.mkdir(parents=True, exist_ok=True)
        write_comparison(found, output)
    if as_json:
        click.echo(json.dumps(to_json(found), indent=2, ensure_ascii=False))
    else:
        print_comparison(stdout(), found)
    for note in found.notes:
        click.echo(f"note: {note}", err=True)
    if output:
        click.echo(f"written to {output}", err=True)
