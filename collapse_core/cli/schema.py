"""`collapse schema`: the JSON schema of recipes."""

import json

import click

from collapse_core.plugins.registry import Registry
from collapse_core.recipe.schema import recipe_schema


@click.command()
def command() -> None:
    """Print the JSON schema of recipes, with every installed part."""
    click.echo(json.dumps(recipe_schema(Registry()), indent=2))
