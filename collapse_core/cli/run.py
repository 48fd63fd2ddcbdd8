"""`collapse run`: run a recipe."""

import sys
from pathlib import Path

import click

from collapse_core.cli.launching import launch
from collapse_core.cli.session import work
from collapse_core.plugins.discovery import installed_plugins
from collapse_core.recipe.loading import load_recipe
from collapse_core.recipe.trial import load_everything
from collapse_core.run.directory import create_run
from collapse_core.run.environment import provenance
from collapse_core.run.joining import join
from collapse_core.runtime.digests import text_digest
from collapse_core.runtime.progress import listening


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--set", "overrides", metavar="PATH=VALUE", multiple=True, help="Change a key of the recipe.")
@click.option(
    "--run-dir", type=click.Path(path_type=Path), help="Where to; default runs/<name>/<time>-<digest>."
)
@click.option("--dry-run", is_flag=True, help="Check everything, load the data, run nothing.")
def command(recipe: Path, overrides: tuple[str, ...], run_dir: Path | None, dry_run: bool) -> None:
    """Run a recipe: sample, filter, update, and report."""
    loaded = load_recipe(recipe, overrides)
    if dry_run:
        with listening(lambda text, _, total: None if total else click.echo(text, err=True)):
            trial = load_everything(loaded)
        measured = ", ".join(f"{split} {num}" for split, num in trial.measured.items())
        click.echo(
            f"{recipe}: ok; {trial.forget} prompts to forget, {trial.retain} to retain"
            + (f"; evaluators read {measured}" if measured else "")
        )
        for reason in trial.absent.values():
            click.echo(f"evaluators will do without: {reason}")
        return
    launch(loaded.launch)
    source = recipe.read_text(encoding="utf-8")
    origin = {
        "directory": str(recipe.parent.resolve()),
        "overrides": list(overrides),
        "digest": text_digest(source),
    }
    manifest = join().on_main(lambda: provenance(loaded, installed_plugins(), sys.argv) | {"recipe": origin})
    work(create_run(loaded, source, manifest, run_dir))
