"""`collapse export-logs`: what was measured, as another project's evaluation logs it."""

from pathlib import Path

import click

from collapse_core.errors import CollapseError
from collapse_core.evaluation.afterwards import log_readers
from collapse_core.results.results import load_results
from collapse_core.runtime import files


@click.command()
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--as", "form", metavar="EVALUATOR", default="open-unlearning", show_default=True, help="Whose logs."
)
@click.option(
    "--model", default="after", show_default=True, help="Which measured model: before, after, a baseline."
)
@click.option(
    "--rows",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Take what 'collapse eval --output' wrote instead of what the run measured.",
)
@click.option(
    "--output", type=click.Path(path_type=Path, file_okay=False), help="Where to; default RUN/logs."
)
def command(run: Path, form: str, model: str, rows: Path | None, output: Path | None) -> None:
    """Write what was measured in a model of RUN as the logs of another project, and print their paths.

    They hold questions, true answers and the model's answers, as that project has it.
    """
    found = files.read_lines(rows) if rows else list(load_results(run).evaluations)
    measured = [row for row in found if row["model"] == model]
    if not measured:
        known = ", ".join(dict.fromkeys(f"'{row['model']}'" for row in found)) or "nothing"
        raise CollapseError(f"nothing was measured in '{model}'; measured were: {known}")
    evaluator = log_readers([form])[0]
    logs = evaluator.write_logs(measured)
    folder = output or run / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    for name, log in logs.items():
        files.write_json(folder / name, log)
        click.echo(folder / name)
