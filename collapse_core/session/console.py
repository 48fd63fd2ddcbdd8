"""What is shown at a terminal: messages on stderr, the results on stdout."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich import console, markup, status

from collapse_core.contracts.callbacks import Callback
from collapse_core.errors import printable
from collapse_core.parts.guard import describe
from collapse_core.recipe.recipe import Recipe
from collapse_core.results.formatting import plain
from collapse_core.results.results import Results, load_results
from collapse_core.runtime import waiting
from collapse_core.session.estimate import known_costs
from collapse_core.session.pace import Pace, Remaining, plan
from collapse_core.session.tables import print_metrics, stdout

NUM_EXAMPLES = 3


class _Messages(console.Console):
    """Messages that nobody has to read: a run goes on when the pipe that they go to is closed."""

    def on_broken_pipe(self) -> None:
        """Print nothing from now on."""
        self.quiet = True


class Console(Callback):
    """Shows how a run goes, and prints its results."""

    def __init__(self, directory: Path, recipe: Recipe | None = None) -> None:
        """Take the run's directory, to read the results from, and its recipe, to say what is left."""
        self.directory = directory
        self.messages = _Messages(stderr=True, highlight=False)
        self.live: status.Status | None = None
        self.began = time.monotonic()
        self.pace = Pace()
        self.remaining = Remaining(recipe) if recipe else None
        if recipe:
            self.say(plan(recipe))
            if not (directory / "journal.jsonl").exists() and (costs := known_costs(recipe)):
                self.say(costs.describe(recipe, waiting.slowdown()))

    def on_phase(self, name: str) -> None:
        """Show the phase while it lasts."""
        self.pace = Pace()
        if self.remaining:
            self.remaining.on_phase(name)
        self._show(name)

    def progress(self, label: str, done: int, total: int) -> None:
        """Show how far the phase has come.

        Without a terminal, print a line at the first two steps of a long one and at each tenth.
        An announcement, which has no total, is a line that stays.
        """
        if total == 0:
            self.say(label)
            return
        passed = self.pace.note(label, done, total)
        self._show(self.pace.describe())
        if passed and not self.messages.is_terminal:
            self.say(self.pace.describe())

    def on_iteration(self, line: Mapping[str, Any], total: int) -> None:
        """Print what an iteration did, on a line that stays."""
        self.messages.print(f"[dim]{self._clock()}[/dim] " + _safe(iteration_text(line, total)))
        if self.remaining and (left := self.remaining.on_iteration(line["iteration"] + 1)):
            self.say(left)
        if why := line.get("stop_when", {}).get("stops"):
            self.messages.print(_safe(why))
        for warning in warnings(line.get("guard", {})):
            self.messages.print(f"[yellow]guard:[/yellow] {_safe(warning)}")

    def on_evaluation(self, row: Mapping[str, Any]) -> None:
        """Print what was measured, on a line that stays."""
        self.say(evaluation_text(row))

    def close(self) -> None:
        """Take the live line away."""
        if self.live:
            self.live.stop()
            self.live = None

    def summary(self) -> None:
        """Print the results: what changed, what the model answers now, what it took."""
        results = load_results(self.directory)
        out = stdout()
        if results.evaluations:
            print_metrics(out, results)
            print_examples(out, results)
        took = "  ".join(f"{name} {seconds:.0f} s" for name, seconds in results.seconds().items())
        self.messages.print(f"[dim]{took}[/dim]")

    def say(self, text: str) -> None:
        """Print a line that stays."""
        self.messages.print(f"[dim]{self._clock()}[/dim] {_safe(text)}")

    def _show(self, text: str) -> None:
        if not self.messages.is_terminal:
            return
        if self.live is None:
            self.live = self.messages.status("", spinner="dots")
            self.live.start()
        self.live.update(f"{self._clock()} {_safe(text)}")

    def _clock(self) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self.began), 60)
        return f"{minutes:2d}:{seconds:02d}"


def iteration_text(line: Mapping[str, Any], total: int) -> str:
    """What an iteration did, on one line."""
    kept = line["reward_kept"]
    parts = [
        f"iteration {line['iteration'] + 1:>{len(str(total))}}/{total}",
        f"kept {line['num_kept']}" + (f", reward {kept['mean']:.3f}" if kept else ""),
        f"settled {line['num_settled']}/{line['num_prompts']}",
        *(f"{name} {value:.3f}" for name, value in line["update"].items() if "loss" in name),
        *stop_text(line.get("stop_when")),
    ]
    return "  ".join(parts)


def stop_text(look: Mapping[str, Any] | None) -> Iterator[str]:
    """What was found of the number that the run stops by; `look` is its part of the journal's line."""
    if look:
        value = "not measured" if look["value"] is None else f"{look['value']:.3g}"
        yield f"{look['number']} {value}"


def evaluation_text(row: Mapping[str, Any]) -> str:
    """What an evaluator found, on one line."""
    found = "  ".join(f"{name} {metric['value']:.3g}" for name, metric in row["metrics"].items())
    missing = f"  not measured: {', '.join(row['missing'])}" if row.get("missing") else ""
    return f"{row['model']}: {found}{missing}"


def _safe(text: str) -> str:
    """A text that neither the terminal nor rich obeys."""
    return markup.escape(printable(text))


ACTIONS = {
    "raise-n": "; from now on they get more completions",
    "raise-temperature": "; from now on they are sampled at a higher temperature",
    "fall-back": "; from now on they are filtered by 'guard.fall_back'",
}


def warnings(guard: Mapping[str, Any]) -> Iterator[str]:
    """What the guard found in an iteration and does about it; `guard` is its part of the journal's line."""
    for kind in ("nothing_passes", "less_passes"):
        if prompts := guard.get(kind):
            yield describe(kind, prompts, guard["patience"]) + ACTIONS.get(guard["did"], "")


def print_examples(out: console.Console, results: Results) -> None:
    """What the model answers to the first forget prompts, before and after."""
    for before, after in results.pairs("forget")[:NUM_EXAMPLES]:
        shown = {"prompt": before.get("prompt"), "before": before.get("answer")}
        if after:
            shown["after"] = after.get("answer")
        out.print()
        for label, content in shown.items():
            out.print(f"{label:>7}: ", end="", style="bold")
            out.print(" ".join(plain(content).split()), markup=False)
