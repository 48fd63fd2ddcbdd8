"""The entry point: turns errors into one sentence and an exit code."""

import io
import sys
import warnings
from typing import TextIO

import click

from collapse_core import errors
from collapse_core.cli import launching, main
from collapse_core.errors import CollapseError, RecipeError
from collapse_core.recipe.renamed import RenamedKeyWarning
from collapse_core.runtime.processes import FailedElsewhereError, StoppedGently


def entry() -> None:
    """Run the command line and exit: 0 ok, 1 failed, 2 recipe or usage, 3 plugin, 130 interrupted."""
    gently = False
    launching.announce()
    warnings.showwarning = _show_warning
    try:
        code = main(prog_name="collapse", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        code = 2
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        click.echo(errors.printable(shown.getvalue()), err=True, nl=False)
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt) as stopped:
        code, gently = launching.INTERRUPTED, isinstance(stopped.__cause__, StoppedGently)  # in click's Abort
    except Exception as error:
        if "--debug" in sys.argv:
            raise
        code = _say(error)
    sys.exit(launching.report(code or 0, gently=gently))


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print the old name of a key as one sentence, and all other warnings as Python does."""
    text = (
        f"{message}\n"
        if issubclass(category, RenamedKeyWarning)
        else warnings.formatwarning(message, category, filename, lineno, line)
    )
    click.echo(errors.printable(text), err=True, nl=False, file=file)


def _say(error: Exception) -> int:
    """Print what went wrong, without a traceback; gives the exit code."""
    if isinstance(error, FailedElsewhereError):
        return error.exit_code
    if isinstance(error, RecipeError):
        click.echo(errors.printable(str(error)), err=True)
        return error.exit_code
    if isinstance(error, CollapseError):
        click.echo(errors.printable(f"collapse: {error}"), err=True)
        return error.exit_code
    text = errors.system_error(error) if isinstance(error, OSError) else errors.unexpected(error)
    click.echo(errors.printable(f"collapse: {text}"), err=True)
    return 1


if __name__ == "__main__":
    entry()
