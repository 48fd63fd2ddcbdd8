"""A run from the command line: signals, status, progress, and what is printed at the end."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import click

from collapse_core import errors
from collapse_core.cli.console import Console
from collapse_core.errors import CollapseError
from collapse_core.loop import collapse
from collapse_core.report.report import write_report
from collapse_core.run.run import Run
from collapse_core.runtime import files
from collapse_core.runtime.processes import FailedElsewhereError, StoppedGently
from collapse_core.runtime.progress import listening

REPORT = "report.html"
"""What the report in a run directory is called."""


def work(run: Run) -> None:
    """Run the loop until it ends or is stopped, leave a status, a report and the next command."""
    try:
        _work(run) if run.processes.is_main else _work_with_main(run)
    finally:
        run.close()


def _work_with_main(run: Run) -> None:
    """Work on a run that the main process records and reports."""
    with _stopping_gently(run):
        collapse(run.recipe, run)
    if run.stopped:
        raise StoppedGently


def _work(run: Run) -> None:
    console = Console(run.directory, run.recipe)
    try:
        with listening(console.progress), _stopping_gently(run):
            collapse(run.recipe, run, [console])
    except KeyboardInterrupt:
        run.status("interrupted")
        raise
    except Exception as error:
        with suppress(OSError):  # a full disk has no room for this either
            run.status("failed", error=str(error) or type(error).__name__)
        console.close()
        if isinstance(error, OSError) and "--debug" not in sys.argv:
            why = errors.system_error(error)
            raise CollapseError(
                f"{why}; fix that, then go on with 'collapse resume {run.directory}'"
            ) from error
        if not isinstance(error, CollapseError) or isinstance(error, FailedElsewhereError):
            click.echo(f"Failed; continue with:\n  collapse resume {run.directory}", err=True)
        raise
    finally:
        console.close()
    if run.stopped:
        run.status("interrupted")
        click.echo(f"Stopped; continue with:\n  collapse resume {run.directory}", err=True)
        raise StoppedGently
    console.summary()
    _report(run)


def write_missing_report(run: Run) -> None:
    """Write the report of a finished run that was killed before it could."""
    try:
        files.drop_drafts(run.directory)
        _report(run)
    finally:
        run.close()


def _report(run: Run) -> None:
    try:
        write_report([run.directory], run.directory / REPORT)
    except OSError as error:
        why = errors.system_error(error)
        raise CollapseError(
            f"{run.directory} is finished, but not its report: {why}; then 'collapse report {run.directory}'"
        ) from error
    click.echo(f"collapse report {run.directory}")


@contextmanager
def _stopping_gently(run: Run) -> Iterator[None]:
    """The first signal lets the iteration finish; the second stops at once."""

    def stop(number: int, frame: FrameType | None) -> None:
        if run.interrupted:
            raise KeyboardInterrupt
        run.interrupted = True
        if run.processes.is_main:
            click.echo("stopping after this iteration; once more to stop now", err=True)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
