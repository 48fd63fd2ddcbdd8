"""`python -m benchmarks.methods`: all methods tuned alike, measured with three seeds, and laid side by side."""

import sys
from pathlib import Path

import click

from benchmarks.methods import GUIDED, METHODS, SEEDS
from benchmarks.methods.running import carry_all_out, jobs, standards, tuning
from collapse_core import CollapseError

EVERY = (*METHODS, *GUIDED)


@click.group()
@click.option("--runs", type=click.Path(path_type=Path), default=Path("runs/methods"), show_default=True)
@click.option("--only", multiple=True, metavar="RECIPE", help="Only these methods, by the names of their recipes.")
@click.option("--jobs", "num", type=click.IntRange(min=1), default=2, show_default=True, help="Runs at once.")
@click.pass_context
def main(context: click.Context, runs: Path, only: tuple[str, ...], num: int) -> None:
    """Compare all methods; what has been measured before is taken up."""
    chosen = [method for method in EVERY if not only or method.stem in only]
    context.obj = {"runs": runs, "num": num, "chosen": chosen}


@main.command()
@click.pass_obj
def tune(given: dict) -> None:
    """Run each method with each of its settings on the validation split."""
    to, chosen = given["runs"] / "tuning", given["chosen"]
    todo = [
        *standards(to, "tuning.yaml", "data.validation=true"),
        *tuning([m for m in chosen if m in METHODS], to, "tuning.yaml"),
        *tuning([m for m in chosen if m in GUIDED], to, "guided.yaml"),
    ]
    sys.exit(bool(carry_all_out(todo, given["num"], _say)))


def _say(text: str) -> None:
    click.echo(text, err=True)


if __name__ == "__main__":
    try:
        main()
    except CollapseError as error:
        _say(f"error: {error}")
        sys.exit(2)
