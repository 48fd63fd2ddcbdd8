"""What a person at a terminal sees: talk on stderr, the results on stdout."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich import console, status, table

from collapse_core.interfaces import Callback
from collapse_core.results import Results, load_results
from collapse_core.types import Metric

NUM_EXAMPLES = 3


class Console(Callback):
    """Tells how a run goes, and prints what came out of it."""

    def __init__(self, directory: Path) -> None:
        """Take the run's directory, to read the results from."""
        self.directory = directory
        self.talk = console.Console(stderr=True, highlight=False)
        self.live: status.Status | None = None
        self.phase = ""
        self.began = time.monotonic()

    def on_phase(self, name: str) -> None:
        """Show the phase while it lasts."""
        self.phase = name
        self._show(name)

    def progress(self, label: str, done: int, total: int) -> None:
        """Show how far the phase has come."""
        self._show(f"{label} {done}/{total}")

    def on_iteration(self, line: Mapping[str, Any], total: int) -> None:
        """Say what an iteration did, on a line that stays."""
        kept = line["reward_kept"]
        parts = [
            f"iteration {line['iteration'] + 1:>{len(str(total))}}/{total}",
            f"kept {line['num_kept']}" + (f", reward {kept['mean']:.3f}" if kept else ""),
            f"settled {line['num_settled']}/{line['num_prompts']}",
            *(f"{name} {value:.3f}" for name, value in line["update"].items() if "loss" in name),
        ]
        self.talk.print(f"[dim]{self._clock()}[/dim] " + "  ".join(parts))

    def on_evaluation(self, row: Mapping[str, Any]) -> None:
        """Say what was measured, on a line that stays."""
        found = "  ".join(f"{name} {metric['value']:.3g}" for name, metric in row["metrics"].items())
        self.talk.print(f"[dim]{self._clock()}[/dim] {row['model']}: {found}", markup=True)

    def close(self) -> None:
        """Take the live line away."""
        if self.live:
            self.live.stop()
            self.live = None

    def summary(self) -> None:
        """Print the results: what changed, what it says now, what it took."""
        results = load_results(self.directory)
        out = console.Console(highlight=False)
        if results.evaluations:
            out.print(metric_table(results))
            print_examples(out, results)
        took = "  ".join(f"{name} {seconds:.0f} s" for name, seconds in results.seconds().items())
        self.talk.print(f"[dim]{took}[/dim]")

    def _show(self, text: str) -> None:
        if not self.talk.is_terminal:
            return
        if self.live is None:
            self.live = self.talk.status("", spinner="dots")
            self.live.start()
        self.live.update(f"{self._clock()} {text}")

    def _clock(self) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self.began), 60)
        return f"{minutes:2d}:{seconds:02d}"


def metric_table(results: Results) -> table.Table:
    """Metrics by model, with the 95 % interval where there is one."""
    grid = table.Table(box=None, pad_edge=False)
    grid.add_column("metric")
    for model in results.models():
        grid.add_column(model, justify="right")
    for name in results.metrics():
        found = [results.metric(name, model) for model in results.models()]
        better = {"up": " (higher is better)", "down": " (lower is better)"}
        direction = next((better.get(metric.direction, "") for metric in found if metric), "")
        grid.add_row(name + direction, *(format_metric(metric) for metric in found))
    return grid


def format_metric(metric: Metric | None) -> str:
    """A number with its interval, such as "93.1 (90.2, 95.4)"."""
    if metric is None:
        return "-"
    interval = f" ({metric.low:.1f}, {metric.high:.1f})" if metric.low is not None else ""
    return f"{metric.value:.4g}{interval}"


def print_examples(out: console.Console, results: Results) -> None:
    """What the model says to the first forget prompts, before and after."""
    before, after = (results.examples(model, "forget") for model in ("before", "after"))
    for one, other in list(zip(before, after, strict=False))[:NUM_EXAMPLES]:
        out.print()
        for label, text in (("prompt", one["prompt"]), ("before", one["answer"]), ("after", other["answer"])):
            out.print(f"{label:>7}: ", end="", style="bold")
            out.print(" ".join(str(text).split()), markup=False)
