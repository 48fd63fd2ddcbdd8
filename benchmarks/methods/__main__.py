"""`python -m benchmarks.methods`: all methods tuned alike, measured with three seeds, side by side."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from benchmarks.methods import GUIDED, METHODS, ROOT, SEEDS, Method
from benchmarks.methods.choosing import chosen, tried
from benchmarks.methods.running import (
    ALWAYS,
    ONCE,
    Job,
    carry_all_out,
    computing_in,
    measuring,
    standard,
    tuning,
    watching,
)
from collapse_core import CollapseError

VALIDATION = "data.validation=true"
DYNAMIC = [method for method in METHODS if method.stem in ("pmc", "refusal", "npo")]
"""Those whose losses are measured after each iteration, with the first seed."""
OTHERS = [method for method in METHODS if method not in DYNAMIC]


@dataclass(frozen=True)
class Plan:
    """What is to be run, and where it is kept."""

    runs: Path
    num_at_once: int
    only: Sequence[str]
    seeds: Sequence[int]
    precision: str

    def methods(self, of: Sequence[Method]) -> list[Method]:
        """Those of the methods that are asked for."""
        return [method for method in of if not self.only or method.stem in self.only]

    def tuning(self) -> list[Job]:
        """Each method with each of its settings."""
        to, precision = self.runs / "tuning", computing_in(self.precision)
        return [
            *standard(0, to, "tuning.yaml", VALIDATION, *precision, baselines=True),
            *tuning(self.methods(METHODS), to, "tuning.yaml", *precision),
        ]

    def measuring(self) -> list[Job]:
        """Seed by seed, so that all methods are there early: what they are held against, and each of them."""
        to, precision = self.runs / "measured", computing_in(self.precision)
        once = (*precision, *ONCE)
        dynamic, others, guided = (self.methods(some) for some in (DYNAMIC, OTHERS, GUIDED))
        found = []
        for seed in self.seeds:
            when = (*precision, *ALWAYS) if seed == SEEDS[0] else once
            found += standard(seed, to, "measures.yaml", *precision, baselines=seed == SEEDS[0])
            found += measuring(dynamic, seed, to, "measures.yaml", *when)
            found += measuring(others, seed, to, "measures.yaml", *once)
            found += measuring(guided, seed, to, "guided.yaml", *once)
            found += watching(self.methods(METHODS[:1]), seed, self.runs / "watched", *precision)
        return found


@click.group()
@click.option("--runs", type=click.Path(path_type=Path), default=Path("runs/methods"), show_default=True)
@click.option("--jobs", "num", type=click.IntRange(min=1), default=2, show_default=True, help="Runs at once.")
@click.option("--only", multiple=True, metavar="RECIPE", help="Only this method, by the name of its recipe.")
@click.option("--seeds", multiple=True, type=int, default=SEEDS, show_default=True, help="Only this seed.")
@click.option(
    "--compute",
    type=click.Choice(["float32", "bfloat16"]),
    default="float32",
    show_default=True,
    help="The precision of all models; bfloat16 takes half as long where the processor has it.",
)
@click.pass_context
def main(
    context: click.Context, runs: Path, num: int, only: tuple[str, ...], seeds: tuple[int, ...], compute: str
) -> None:
    """Compare all methods; what has been measured before is taken up."""
    context.obj = Plan(runs, num, only, seeds, compute)


@main.command()
@click.pass_obj
def tune(plan: Plan) -> None:
    """Run each method with each of its settings on the validation split, and say which are best."""
    failed = carry_all_out(plan.tuning(), plan.num_at_once, _say)
    for method, settings in _settings(plan).items():
        for one in settings:
            click.echo(f"{method}: {one['setting']} {one['score']:.3f}{' <- taken' if one['taken'] else ''}")
    sys.exit(bool(failed))


@main.command()
@click.pass_obj
def measure(plan: Plan) -> None:
    """Run each method as its recipe has it, with three seeds, and measure it."""
    from benchmarks.methods.measured import is_known

    todo = [job for job in plan.measuring() if not is_known(job)]
    sys.exit(bool(carry_all_out(todo, plan.num_at_once, _say)))


@main.command()
@click.pass_obj
def gather(plan: Plan) -> None:
    """Keep what the runs came to in measured.json, with what is there of others."""
    from benchmarks.methods.measured import dynamics_of, outcomes, read, write

    found: dict[str, dict[str, Any]] = {
        "settings": _settings(plan),
        "validation": outcomes(plan.tuning()[:1])["standards"],
        **outcomes(plan.measuring()),
        "dynamics": {
            job.member.recipe.stem: dynamics_of(run)
            for job in plan.measuring()
            if job.is_done and (run := job.results()).curve("forget_nll")
        },
    }
    before = read()
    write({section: before.get(section, {}) | new for section, new in found.items()})


@main.command()
@click.option("--docs", type=click.Path(path_type=Path), default=ROOT / "docs", help="The documentation.")
def show(docs: Path) -> None:
    """Put tables and figures of what was measured into the documentation, and print the tables."""
    from benchmarks.methods.figures import draw_all
    from benchmarks.methods.measured import read
    from benchmarks.methods.tables import TABLES, put

    found = read()
    for (page, name), table in TABLES.items():
        lines = list(table(found))
        click.echo("\n".join(lines) + "\n")
        put(docs / page, name, lines)
    draw_all(found, docs / "pictures")


def _settings(plan: Plan) -> dict[str, list[dict[str, Any]]]:
    """What came of the settings of each method of which all have been tried."""
    from benchmarks.methods.measured import settings_of

    [against, *jobs] = plan.tuning()
    if not against.is_done:
        return {}
    standards = against.results()
    found = {}
    for method in METHODS:
        its = [job for job in jobs if job.member.recipe == method.recipe]
        if its and all(job.is_done for job in its):
            candidates = tried(method, its, standards)
            found[method.stem] = settings_of(candidates, chosen(candidates))
    return found


def _say(text: str) -> None:
    click.echo(text, err=True)


if __name__ == "__main__":
    try:
        main()
    except CollapseError as error:
        _say(f"error: {error}")
        sys.exit(2)
