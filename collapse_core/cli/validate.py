"""`collapse validate`: check recipes without running them."""

from pathlib import Path

import click

from collapse_core.errors import RecipeError
from collapse_core.recipe.loading import load_recipe


@click.command()
@click.argument("recipes", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--set", "overrides", metavar="PATH=VALUE", multiple=True, help="Change a key of the recipes.")
def command(recipes: tuple[Path, ...], overrides: tuple[str, ...]) -> None:
    """Check recipes and print everything that is wrong with them."""
    found: list[RecipeError] = []
    for path in recipes:
        try:
            load_recipe(path, overrides)
        except RecipeError as error:
            found.append(error)
        else:
            click.echo(f"{path}: ok")
    if found:
        problems = [problem for error in found for problem in error.problems]
        raise RecipeError(problems, exit_code=max(error.exit_code for error in found))
