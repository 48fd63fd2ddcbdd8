"""`python -m benchmarks`: measure what is missing, then print the tables."""

import sys
from pathlib import Path

import click

from benchmarks.cells import CELLS, COLUMNS, DTYPES, RESULTS, Cell, Job, jobs
from collapse_core import CollapseError

RESULTS_OPTION = click.option(
    "--results",
    type=click.Path(path_type=Path, file_okay=False),
    default=RESULTS,
    show_default="runs/bench",
    help="Where the results are.",
)


@click.group(invoke_without_command=True)
@click.option("--cells", multiple=True, metavar="MODEL:QUESTIONS:COMPLETIONS", help="Only these; repeatable.")
@click.option("--columns", multiple=True, type=click.Choice(COLUMNS), help="Only these; repeatable.")
@click.option("--dtype", type=click.Choice(DTYPES), default=DTYPES[0], show_default=True)
@click.option("--batch-size", type=click.IntRange(1), default=8, show_default=True, help="Questions a step.")
@click.option("--rates/--no-rates", default=True, help="Measure decoding against prefill as well.")
@click.option("--profile", is_flag=True, help="Profile our columns as well.")
@click.option("--anew", is_flag=True, help="Measure again what has been, so that ratios are of one run.")
@RESULTS_OPTION
@click.pass_context
def main(
    context: click.Context,
    cells: tuple[str, ...],
    columns: tuple[str, ...],
    dtype: str,
    batch_size: int,
    rates: bool,
    profile: bool,
    anew: bool,
    results: Path,
) -> None:
    """Measure one iteration done three ways; what has been measured before is taken up."""
    if context.invoked_subcommand:
        return
    from benchmarks.running import run_missing, run_profiles, run_rates
    from benchmarks.table import print_tables

    wanted = jobs([Cell.parse(text) for text in cells] or CELLS, columns or COLUMNS, dtype, batch_size)
    for name in [one for job in wanted for one in (job.name, job.update_name)] if anew else ():
        (results / f"{name}.json").unlink(missing_ok=True)
    failures = run_missing(wanted, results, _say)
    if rates:
        failures += run_rates(wanted, results, _say)
    if profile:
        failures += run_profiles(wanted, results, _say)
    print_tables(results, markdown=False)
    sys.exit(bool(failures))


@main.command()
@click.option("--markdown", is_flag=True, help="For a document.")
@RESULTS_OPTION
def table(markdown: bool, results: Path) -> None:
    """Print the tables from the results that are there."""
    from benchmarks.table import print_tables

    print_tables(results, markdown)


@main.command(hidden=True)
@click.argument("job", type=Job.from_json)
@click.argument("folder", type=click.Path(path_type=Path))
def measure(job: Job, folder: Path) -> None:
    """Measure one column of one cell, in this process."""
    from benchmarks.measure import measure

    measure(job, folder)


@main.command(hidden=True)
@click.argument("job", type=Job.from_json)
@click.argument("folder", type=click.Path(path_type=Path))
def rates(job: Job, folder: Path) -> None:
    """Measure decoding against prefill, in this process."""
    from benchmarks.rates import measure_rates

    measure_rates(job, folder)


@main.command(hidden=True)
@click.argument("job", type=Job.from_json)
@click.argument("folder", type=click.Path(path_type=Path))
def profile(job: Job, folder: Path) -> None:
    """Profile one of our columns, in this process."""
    from benchmarks.profiling import measure_profile

    measure_profile(job, folder)


def _say(text: str) -> None:
    click.echo(text, err=True)


if __name__ == "__main__":
    try:
        main()
    except CollapseError as error:
        _say(f"error: {error}")
        sys.exit(2)
