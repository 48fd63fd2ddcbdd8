"""The command line: one command per file, each imported when it is called."""

import importlib

import click

from collapse_core import errors

COMMANDS = (
    "run",
    "resume",
    "validate",
    "preview",
    "plugins",
    "schema",
    "report",
    "compare",
    "view",
    "eval",
    "certify",
    "scrub",
    "export-logs",
    "card",
    "push",
    "sweep",
    "init",
)


class Commands(click.Group):
    """Finds each command in the module of its name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands, in the order in which they are needed."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(
            f"collapse_core.cli.{cmd_name.replace('-', '_')}"
        ).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command, or say which one was probably meant."""
        if args[0] not in COMMANDS:
            ctx.fail(f"no command is called '{args[0]}'; {errors.did_you_mean(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="collapse-unlearning", prog_name="collapse")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def main(debug: bool) -> None:
    """Make generative models forget by training them on their own answers."""
