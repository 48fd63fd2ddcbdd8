"""`collapse schema`: the JSON schema of recipes, or of certificates."""

import json

import click

from collapse_core.certificate.schema import certificate_schema
from collapse_core.plugins.registry import Registry
from collapse_core.recipe.schema import recipe_schema


@click.command()
@click.argument("what", type=click.Choice(["recipe", "certificate"]), default="recipe")
def command(what: str) -> None:
    """Print the JSON schema of recipes with every part, or of certificates."""
    schema = recipe_schema(Registry()) if what == "recipe" else certificate_schema()
    click.echo(json.dumps(schema, indent=2))
