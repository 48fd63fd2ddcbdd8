"""`collapse view`: look at runs in a browser, or write them as a static folder."""

from pathlib import Path

import click

from collapse_core import errors


@click.command()
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDRESS",
    help="The address to listen on. With any other than this one, people on other machines can look, too, if "
    "they have the address with its token.",
)
@click.option("--port", type=click.IntRange(0, 65535), help="The port; default 8642, or any that is free.")
@click.option(
    "--bundle",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write a static folder that can be published, and serve nothing.",
)
@click.option(
    "--with-completions",
    is_flag=True,
    help="Put completions, answers, recipes and paths into the bundle; it holds none of them otherwise.",
)
def command(
    runs: tuple[Path, ...], host: str, port: int | None, bundle: Path | None, with_completions: bool
) -> None:
    """Look at runs in a browser, while they grow or afterwards.

    RUNS are run directories, or directories that hold some; default ./runs. The page shows how far each has
    come, its curves, every completion with filters and a search, the answers of the models side by
    side, and runs compared. Nothing is written into a run directory.
    """
    if with_completions and bundle is None:
        raise click.UsageError("--with-completions goes with --bundle")
    from collapse_core.view.shelf import Shelf

    shelf = Shelf(runs or ((Path("runs"),) if Path("runs").is_dir() else (Path(),)))
    if bundle is not None:
        from collapse_core.view.bundle import write_bundle

        for line in write_bundle(shelf, bundle, with_completions=with_completions):
            click.echo(line)
        return
    try:
        from collapse_core.view.serving import serve
    except ModuleNotFoundError as error:
        raise errors.missing_extra(str(error.name), "view", "'collapse view'") from None
    serve(shelf, host, port, click.echo)
