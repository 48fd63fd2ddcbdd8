"""`python -m benchmarks.regimes`: the three regimes of collapse on a real model, run and drawn.

Each recipe of recipes/regimes is run with three seeds, unless it has been before, and drawn next to what
theory says of it: see docs/science.md.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from collapse_core import Recipe, load_recipe, require
from collapse_tabular.data import Table
from collapse_tabular.data.vectors import Vectors

ROOT = Path(__file__).parent.parent
SEEDS = range(3)
REGIMES = {
    "total": "nothing put back: total collapse",
    "retain": "the other species put back: partial collapse",
    "all": "all species put back: no collapse",
}
COLORS = ("#4477aa", "#cc3311", "#228833")

Curves = Mapping[str, Sequence[float]]
"""By what is measured, a number at each of some iterations."""


@dataclass(frozen=True)
class Measured:
    """What one run was measured to be."""

    iterations: Sequence[int]
    curves: Curves


@click.command()
@click.option("--runs", type=click.Path(path_type=Path), default=Path("runs/regimes"), show_default=True)
@click.option("--pictures", type=click.Path(path_type=Path), default=Path("docs/pictures"), show_default=True)
def main(runs: Path, pictures: Path) -> None:
    """Run what is missing, draw three pictures, and print what they show."""
    for regime, title in REGIMES.items():
        recipe = ROOT / "recipes" / "regimes" / f"{regime}.yaml"
        for seed in SEEDS:
            run_missing(recipe, seed, runs / f"{regime}-{seed}")
        found = [measured(runs / f"{regime}-{seed}") for seed in SEEDS]
        expected = theory(load_recipe(recipe))
        draw(title, found, expected, pictures / f"regime_{regime}.svg")
        print_rows(regime, found, expected)


def run_missing(recipe: Path, seed: int, directory: Path) -> None:
    """Run a recipe with a seed, if its directory holds no finished run."""
    if not (directory / "model").exists():
        command = [sys.executable, "-m", "collapse_core.cli", "run", str(recipe)]
        subprocess.run([*command, "--run-dir", str(directory), "--set", f"seed={seed}"], check=True)


def measured(directory: Path) -> Measured:
    """The curves of a run."""
    lines = (directory / "evaluations.jsonl").read_text(encoding="utf-8").splitlines()
    rows = {row["iteration"]: row["metrics"] for row in map(json.loads, lines)}
    names = next(iter(rows.values()))
    return Measured(list(rows), {name: [row[name]["value"] for row in rows.values()] for name in names})


def theory(recipe: Recipe) -> Curves:
    """What the recipe's distribution would be at each iteration, were it fitted exactly.

    With weight w of what is put back per one of the model's own N draws, and a = 1 / (1 + w), its
    distribution is p_t = a^t p_0 + (1 - a^t) p_r in the mean. With nothing put back variety is (1 - 1/N)^t.
    """
    table = require(recipe.data, Table, "regimes")
    weight = recipe.updater.model_dump()["retain_weight"] if recipe.retain_per_iteration else 0.0
    num = len(recipe.load_forget())
    mixtures = [_mixture(table, (1 + weight) ** -t) for t in range(recipe.iterations + 1)]
    rows = [prompt.target for prompt in table.load("full")]
    labels = np.array([row[table.label()] for row in rows])
    points = Vectors.fit(rows).of(rows)
    fixed = _variance(points, mixtures[0])
    decay = 1.0 if weight else 1 - 1 / num
    shares = {
        f"share_{kind}": [float(100 * m[labels == kind].sum()) for m in mixtures] for kind in set(labels)
    }
    variety = [float(_variance(points, m) / fixed) * decay**t for t, m in enumerate(mixtures)]
    return {**shares, "variety": variety}


def _mixture(table: Table, first: float) -> Any:
    """The weight of each training row when so much of the first distribution is left."""
    kept = {prompt.id for prompt in table.load("retain")}
    rows = [prompt.id for prompt in table.load("full")]
    return np.array([first / len(rows) + (1 - first) * (row in kept) / len(kept) for row in rows])


def _variance(points: Any, weights: Any) -> Any:
    return (weights @ points**2 - (weights @ points) ** 2).sum()


def draw(title: str, runs: Sequence[Measured], expected: Curves, path: Path) -> None:
    """Shares to the left, variety to the right: a line a run, dashes for theory."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "collapse", "font.size": 8})
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, 2, figsize=(7, 2.4), layout="constrained")
    kinds = sorted(name for name in expected if name.startswith("share_"))
    for panel, names in zip(panels, (kinds, ["variety"]), strict=True):
        for name, color in zip(names, COLORS if len(names) > 1 else ["#555555"], strict=False):
            for run in runs:
                panel.plot(run.iterations, run.curves[name], color=color, linewidth=0.9, alpha=0.75)
            panel.plot(expected[name], color=color, linewidth=1.6, linestyle=(0, (4, 2)))
            panel.plot([], [], color=color, label=name.removeprefix("share_"))
        panel.set(xlabel="iteration", ylim=(0, None), xlim=(0, len(expected["variety"]) - 1))
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("share of draws, %")
    panels[1].set_ylabel("variety (first data: 1)")
    panels[0].legend(frameon=False, fontsize=7)
    figure.suptitle(f"{title} (three seeds; dashed: theory)", fontsize=9)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def print_rows(regime: str, runs: Sequence[Measured], expected: Curves) -> None:
    """A line a curve and some iterations: theory, and each run."""
    for name, line in sorted(expected.items()):
        for place, iteration in enumerate(runs[0].iterations):
            seen = " / ".join(f"{run.curves[name][place]:.3g}" for run in runs)
            click.echo(f"| {regime} | {name} | {iteration} | {line[iteration]:.3g} | {seen} |")


if __name__ == "__main__":
    main()
