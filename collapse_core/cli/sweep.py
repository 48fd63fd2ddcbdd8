"""`collapse sweep`: a grid of overrides, resumably."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click

from collapse_core import errors
from collapse_core.errors import CollapseError
from collapse_core.recipe.overrides import split_override, yaml_value
from collapse_core.runtime.processes import StoppedGently
from collapse_core.runtime.signals import when_asked_to_stop
from collapse_core.session.tables import print_members, stdout
from collapse_core.sweep import ray, slurm
from collapse_core.sweep.local import OnEnd, Stop, carry_out_here
from collapse_core.sweep.members import Member, Standing, members


@click.command()
@click.argument("recipes", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--set",
    "overrides",
    metavar="PATH=VALUE,...",
    multiple=True,
    help="Change a key of the recipes, to each of these values in turn.",
)
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("runs/sweep"),
    show_default=True,
    help="Where the runs go.",
)
@click.option("--jobs", type=click.IntRange(min=1), default=1, help="How many at a time, on this machine.")
@click.option(
    "--launcher",
    type=click.Choice(["submitit", "ray"]),
    help="Submit the runs to Slurm, or to a Ray cluster, instead.",
)
@click.option(
    "--launcher-set", "settings", metavar="KEY=VALUE", multiple=True, help="A parameter of the launcher."
)
@click.option("--dry-run", is_flag=True, help="Check everything, print what would be done, run nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    recipes: tuple[Path, ...],
    overrides: tuple[str, ...],
    directory: Path,
    jobs: int,
    launcher: str | None,
    settings: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
) -> None:
    """Run every recipe with every combination of values, and go on where a sweep has stopped.

    Each run is a process of its own. Those that are done are skipped, those that were interrupted or failed
    are resumed, and one that fails does not keep the others from running. The first Ctrl-C stops after the
    iteration that is under way.
    """
    found = members(recipes, overrides, directory)
    states = {member: member.state() for member in found}
    if not dry_run:
        stop = Stop()
        todo = [member for member, state in states.items() if state not in ("done", "another")]
        click.echo(f"{errors.counted(len(found), 'run')}, {len(todo)} to do", err=True)
        with _stopping(stop):
            on_end = _reporting(states, len(todo))
            if launcher == "ray":
                ray.submit(todo, _parsed(settings), stop, on_end, partial(click.echo, err=True))
            elif launcher:
                slurm.submit(todo, directory / "submitit", _parsed(settings), stop, on_end)
            else:
                carry_out_here(todo, jobs, stop, on_end)
    _print(states, as_json=as_json)
    if dry_run:
        return
    if stop.asked and _worst(states) != "done":
        click.echo("Stopped; go on with the same command", err=True)
        raise StoppedGently
    if num_failed := sum(state != "done" for state in states.values()):
        raise CollapseError(
            f"{num_failed} of {len(found)} members failed; see {directory / 'logs'}, then sweep again, which "
            "goes on with them"
        )
    click.echo(f"compare them with:\n  collapse compare {directory}", err=True)


def _worst(states: dict[Member, Standing]) -> Standing:
    return next((state for state in states.values() if state != "done"), "done")


def _parsed(settings: Sequence[str]) -> dict[str, Any]:
    pairs = [(setting, *split_override(setting)) for setting in settings]
    return {key: yaml_value(text, f"--launcher-set {setting}", key) for setting, key, text in pairs}


def _reporting(states: dict[Member, Standing], total: int) -> OnEnd:
    """What notes and prints the state of each member that has ended."""
    number = 0

    def on_end(member: Member, state: Standing) -> None:
        nonlocal number
        number += 1
        states[member] = state
        if state != "new":
            why = f": {member.why()}" if state == "failed" else ""
            click.echo(f"[{number}/{total}] {member.name} {state}{why}", err=True)

    return on_end


@contextmanager
def _stopping(stop: Stop) -> Iterator[None]:
    def ask(number: int) -> None:
        stop.ask()
        if stop.times == 1:
            click.echo("stopping after this iteration; once more to stop now", err=True)

    with when_asked_to_stop(ask):
        yield


def _print(states: dict[Member, Standing], *, as_json: bool) -> None:
    rows = [
        {
            "name": member.name,
            "state": state,
            "directory": str(member.directory),
            "recipe": str(member.recipe),
            "overrides": list(member.overrides),
            "why": member.why() if state in ("failed", "another") else None,
        }
        for member, state in states.items()
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        print_members(stdout(), rows)
