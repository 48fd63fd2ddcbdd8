"""`python -m benchmarks.gpu`: sampling, update and memory of random models on one GPU, in minutes."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from benchmarks.cells import RESULTS, Cell, Job, write_result

COLUMNS = ("ours", "trl", "reference")
SHAPES = ("smollm2-135m", "llama-3.2-1b", "tiny")
NO_GPU = "no GPU"


@click.group(invoke_without_command=True)
@click.option("--minutes", type=click.FloatRange(0), default=8.0, show_default=True, help="At most so long.")
@click.option("--device", default="cuda", show_default=True, help="The torch device; 'cpu' for a trial.")
@click.option(
    "--shape", "shapes", multiple=True, type=click.Choice(SHAPES), default=SHAPES[:2], help="Only these."
)
@click.option("--columns", multiple=True, type=click.Choice(COLUMNS), default=COLUMNS, help="Only these.")
@click.option("--questions", type=click.IntRange(1), default=80, show_default=True)
@click.option("--completions", type=click.IntRange(1), default=20, show_default=True)
@click.option("--batch-size", type=click.IntRange(1), default=8, show_default=True, help="Questions a step.")
@click.option(
    "--results",
    type=click.Path(path_type=Path, file_okay=False),
    default=RESULTS,
    show_default="runs/bench",
    help="Where gpu.json is written.",
)
@click.pass_context
def main(
    context: click.Context,
    minutes: float,
    device: str,
    shapes: tuple[str, ...],
    columns: tuple[str, ...],
    questions: int,
    completions: int,
    batch_size: int,
    results: Path,
) -> None:
    """Measure one iteration on a GPU, three ways; print a table of ratios and write gpu.json.

    Each column of each model has its part of the time; what does not fit is said in the table.
    """
    if context.invoked_subcommand:
        return
    end = time.monotonic() + 60 * minutes
    if not device_found(device):
        click.echo(f"{NO_GPU}: nothing is measured on '{device}'")
        return
    from benchmarks.gpu.running import measure_all
    from benchmarks.gpu.shapes import tokenizer_directory
    from benchmarks.gpu.table import table

    for shape in shapes:
        tokenizer_directory(shape)
    jobs = [
        Job(Cell(shape, questions, completions), column, "bfloat16", batch_size)
        for shape in shapes
        for column in columns
    ]
    with TemporaryDirectory() as folder:
        found = measure_all(jobs, device, end, Path(folder), lambda text: click.echo(text, err=True))
    write_result(results, "gpu", {"kind": "gpu", "minutes": minutes, "results": found})
    for line in table(found):
        click.echo(line)


@main.command(hidden=True)
@click.argument("job", type=Job.from_json)
@click.argument("device")
@click.argument("folder", type=click.Path(path_type=Path))
def measure(job: Job, device: str, folder: Path) -> None:
    """Measure one column of one model, in this process."""
    import torch

    from benchmarks.gpu.measuring import measure_column

    measure_column(job, torch.device(device), folder)


def device_found(name: str) -> bool:
    """Return whether torch can compute on the device."""
    if name == "cpu":
        return True
    import torch

    return torch.cuda.is_available() and torch.device(name).type == "cuda"


if __name__ == "__main__":
    main()
