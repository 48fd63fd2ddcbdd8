"""`collapse push`: send an exported model to the hub."""

from pathlib import Path

import click

from collapse_core.handover.facts import needed
from collapse_core.handover.pushing import parcel, push


@click.command()
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("repository", metavar="REPO")
@click.option(
    "--private/--public", default=True, show_default=True, help="Who can see a repository that is made."
)
@click.option("--message", default="Add an unlearned model", show_default=True, help="The commit's message.")
@click.option("--dry-run", is_flag=True, help="List what would be sent, send nothing.")
def command(run: Path, repository: str, private: bool, message: str, dry_run: bool) -> None:
    """Send the exported model of RUN and its card to REPO, such as name/model, on the hub.

    Only what a model consists of is sent: never completions, checkpoints or data. The token is that of
    'hf auth login' or HF_TOKEN.
    """
    content = parcel(needed(run))
    for name in content.sent:
        click.echo(f"{'would send' if dry_run else 'sends'} {name}")
    for name in content.left_out:
        click.echo(f"leaves out {name}", err=True)
    if not dry_run:
        click.echo(push(content, repository, private=private, message=message))
