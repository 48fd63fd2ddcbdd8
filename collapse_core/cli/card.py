"""`collapse card`: describe an exported model for those who get it."""

from pathlib import Path

import click

from collapse_core.handover.bom import write_bom
from collapse_core.handover.card import write_card
from collapse_core.handover.facts import needed


@click.command()
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--license", "license_id", metavar="ID", help="The license of the model; default that of its base model."
)
@click.option("--dataset", "datasets", metavar="ID", multiple=True, help="A data set that may be named.")
def command(run: Path, license_id: str | None, datasets: tuple[str, ...]) -> None:
    """Write the model card and the bill of materials of RUN's exported model, and print their paths.

    A run does so at its end. Do it again to name a license or data sets.
    """
    facts = needed(run)
    click.echo(write_card(facts, license_id=license_id, datasets=datasets))
    click.echo(write_bom(facts))
