"""A run from the command line: signals, status, progress, and what is printed at the end."""

import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import click

from collapse_core import errors
from collapse_core.errors import CollapseError, PartError
from collapse_core.handover.writing import write_handover
from collapse_core.loop import collapse
from collapse_core.report.report import write_report
from collapse_core.run.run import Run
from collapse_core.runtime import files
from collapse_core.runtime.processes import FailedElsewhereError, StoppedGently
from collapse_core.runtime.progress import listening
from collapse_core.session.console import Console
from collapse_core.session.stopping import stopping_gently

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
    with stopping_gently(run, _say):
        collapse(run.recipe, run)
    if run.stopped:
        raise StoppedGently


def _work(run: Run) -> None:
    console = Console(run.directory, run.recipe)
    try:
        with listening(console.progress), stopping_gently(run, _say):
            collapse(run.recipe, run, [console])
    except (Exception, SystemExit) as error:
        console.close()
        if isinstance(error, OSError) and "--debug" not in sys.argv:
            why = errors.system_error(error)
            raise CollapseError(
                f"{why}; fix that, then go on with 'collapse resume {_named(run)}'"
            ) from error
        if not isinstance(error, CollapseError) or isinstance(error, FailedElsewhereError | PartError):
            mended = "; after a change to a file of 'plugins' start a new run" if run.recipe.plugins else ""
            click.echo(f"Failed{mended}; continue with:\n  collapse resume {_named(run)}", err=True)
        if isinstance(error, SystemExit):
            raise CollapseError(f"something in the run called sys.exit({error.code!r})") from error
        raise
    finally:
        console.close()
    if run.stopped:
        click.echo(f"Stopped; continue with:\n  collapse resume {_named(run)}", err=True)
        raise StoppedGently
    _report(run, console)


def write_missing_report(run: Run) -> None:
    """Write the report of a finished run that was killed before it could."""
    try:
        files.drop_drafts(run.directory)
        _report(run)
    finally:
        run.close()


def _report(run: Run, console: Console | None = None) -> None:
    """Describe the model, write the report, then print what was found and where the report is."""
    with listening(lambda text, _done, total: None if total else _say(text)):
        write_handover(run.directory, run.recipe)
    try:
        write_report([run.directory], run.directory / REPORT)
    except OSError as error:
        why = errors.system_error(error)
        raise CollapseError(
            f"{run.directory} is finished, but not its report: {why}; then 'collapse report {_named(run)}'"
        ) from error
    with _reader_may_leave():
        if console:
            console.summary()
        click.echo(f"collapse report {_named(run)}")


def _say(text: str) -> None:
    click.echo(text, err=True)


def _named(run: Run) -> str:
    """The run's directory as a shell takes it."""
    return shlex.quote(str(run.directory))


@contextmanager
def _reader_may_leave() -> Iterator[None]:
    """Let the block print to a pipe that is closed, as `| head -1` does: the run has ended well."""
    try:
        yield
    except (BrokenPipeError, SystemExit):  # rich makes the latter of the former
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
