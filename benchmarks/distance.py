"""Print how far the models of runs are from retrained ones, in units of how far these are from each other.

`python -m benchmarks.distance PATH...` reads run directories, and files of measured methods such as
benchmarks/methods/measured.json. Runs of one recipe under different seeds are one row. The retrained models
are the baselines called "retrained" that these runs measured, one for each seed.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from collapse_core import CollapseError
from collapse_core.results.redefined import rename_metrics
from collapse_core.results.results import load_results
from collapse_core.results.retrained import DistanceToRetrained, Values, distance_to_retrained
from collapse_core.runtime import files

Measured = dict[str, dict[int, dict[str, float]]]
"""Metrics by model and seed."""


def measured_in(paths: Sequence[Path]) -> Measured:
    """Read all metrics; the models of runs are named by their recipes, baselines by what they are called."""
    found: Measured = {}
    for path in paths:
        for name, seed, values in _of_file(path) if path.is_file() else _of_run(path):
            found.setdefault(name, {}).setdefault(seed, {}).update(values)
    return found


def _of_file(path: Path) -> Iterator[tuple[str, int, dict[str, float]]]:
    """What `python -m benchmarks.methods gather` has written."""
    data = json.loads(path.read_text())
    for key, metrics in {**data["standards"], **data["runs"]}.items():
        name, _, seed = key.rpartition("/")
        yield name, int(seed), {metric: ends[0] for metric, ends in metrics.items() if ends[0] is not None}


def _of_run(path: Path) -> Iterator[tuple[str, int, dict[str, float]]]:
    """What a run has measured itself, and what `collapse eval --output` put into its measured.jsonl."""
    run = load_results(path)
    later = path / "measured.jsonl"
    rows = files.read_lines(later) if later.exists() else []
    rename_metrics(rows, run.recipe)
    for row in (*run.evaluations, *rows):
        values = {name: metric["value"] for name, metric in row["metrics"].items()}
        if row["model"] != "during":
            yield run.name if row["model"] == "after" else row["model"], run.recipe["seed"], values


def distances(measured: Mapping[str, Mapping[int, Values]], called: str) -> dict[str, DistanceToRetrained]:
    """The distance of each model but the retrained ones, over its seeds.

    Raises:
        CollapseError: Fewer than two retrained models were measured.
    """
    retrained = list(measured.get(called, {}).values())
    return {
        name: distance_to_retrained(list(seeds.values()), retrained)
        for name, seeds in measured.items()
        if name != called
    }


def table(measured: Mapping[str, Mapping[int, Values]], called: str) -> list[str]:
    """The lines of a table in Markdown, and of one for each metric's distance."""
    found = distances(measured, called)
    lines = ["| model | seeds | metrics | inside | median distance |", "|---|---|---|---|---|"]
    for name, distance in found.items():
        shares = f"{100 * distance.share_inside:.0f} % | {distance.median_ratio:.1f}"
        lines.append(f"| {name} | {len(measured[name])} | {len(distance.gaps)} | {shares} |")
    metrics = list(dict.fromkeys(gap.metric for distance in found.values() for gap in distance.gaps))
    lines += ["", f"| metric | {' | '.join(found)} |", "|---|" + "---|" * len(found)]
    for metric in metrics:
        ratios = [{gap.metric: gap.ratio for gap in one.gaps}.get(metric) for one in found.values()]
        cells = ["" if ratio is None else f"{ratio:.1f}" for ratio in ratios]
        lines.append(f"| {metric} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    """Read the arguments, and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.distance", description=__doc__)
    parser.add_argument("paths", nargs="+", type=Path, help="run directories, or files of measured methods")
    parser.add_argument("--retrained", default="retrained", help="what the retrained baselines are called")
    given = parser.parse_args()
    try:
        print("\n".join(table(measured_in(given.paths), given.retrained)))
    except CollapseError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
