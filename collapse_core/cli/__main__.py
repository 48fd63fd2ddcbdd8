"""The entry point: turns errors into one sentence and an exit code."""

import sys

import click

from collapse_core.cli import main
from collapse_core.errors import CollapseError


def entry() -> None:
    """Run the command line and exit: 0 ok, 1 failed, 2 recipe or usage, 3 plugin, 130 interrupted."""
    try:
        code = main(standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        code = 2
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        code = 130
    except CollapseError as error:
        if "--debug" in sys.argv:
            raise
        click.echo(f"collapse: {error}" if len(str(error).splitlines()) == 1 else str(error), err=True)
        code = error.exit_code
    except OSError as error:
        if "--debug" in sys.argv:
            raise
        click.echo(f"collapse: {error}", err=True)
        code = 1
    sys.exit(code)


if __name__ == "__main__":
    entry()
