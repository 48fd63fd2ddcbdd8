"""How fast a phase goes, and how long the rest of it and of the run takes."""

import time
from dataclasses import dataclass, field

from collapse_core.recipe.recipe import Recipe

WORTH_SAYING = 10.0
"""Seconds; nothing is said about what takes less in all."""

APART = 1.0
"""Seconds between two lines about the same piece of work."""


@dataclass
class Pace:
    """The pace of one piece of work, from its progress reports.

    The first step takes longer than the others, and answers end late. So the rate is that since the last
    tenth but one, and is not known before the second step.
    """

    label: str = ""
    done: int = 0
    total: int = 0
    _marks: list[tuple[int, float]] = field(default_factory=lambda: [(0, time.monotonic())])
    """The steps done and when, at the beginning, after the first two reports, and at each tenth."""
    _said: float = -APART

    def note(self, label: str, done: int, total: int) -> bool:
        """Take a report; return whether it deserves a line: one of the first two of long work, or a tenth."""
        now = time.monotonic()
        if (label, total) != (self.label, self.total) or done < self.done:
            self._marks, self._said = [(done, now)], now - APART
        self.label, self.done, self.total = label, done, total
        last = self._marks[-1][0]
        if done == last or (len(self._marks) > 2 and 10 * done // total == 10 * last // total):
            return False
        self._marks.append((done, now))
        first, began = self._marks[0]
        elapsed, left = now - began, self.left
        in_all = elapsed * (total - first) / (done - first) if left is None else elapsed + left
        if in_all < WORTH_SAYING or now - self._said < APART:
            return False
        self._said = now
        return True

    @property
    def left(self) -> float | None:
        """Seconds until all is done; None before the second report."""
        return (self.total - self.done) / self._rate if self._rate else None

    def describe(self) -> str:
        """How far it is, with the rate and the time left once they are known."""
        said, rate = f"{self.label} {self.done}/{self.total}", self._rate
        if not rate:
            return said
        per = f"{rate:.1f} per second" if rate >= 1 else f"{1 / rate:.1f} s each"
        return f"{said}, {per}, {clock((self.total - self.done) / rate)} left"

    @property
    def _rate(self) -> float | None:
        """Steps a second since the mark before the last one."""
        if len(self._marks) < 3:
            return None
        first, began = self._marks[-2]
        elapsed = time.monotonic() - began
        return (self.done - first) / elapsed if elapsed > 0 and self.done > first else None


@dataclass
class Remaining:
    """What is left of a run, from the first of each kind of work that it has done."""

    recipe: Recipe
    _phase: str = ""
    _phase_began: float = 0.0
    _iteration_began: float | None = None
    _iteration: float = 0.0
    _measurement: float = 0.0

    def on_phase(self, name: str) -> None:
        """A phase begins."""
        now = time.monotonic()
        if self._phase == "evaluate":
            self._measurement = now - self._phase_began
        if name == "sample":
            self._iteration_began = now
        self._phase, self._phase_began = name, now

    def on_iteration(self, finished: int) -> str | None:
        """Return what is left once the first iteration of this process is over; None if it is little."""
        if self._iteration or self._iteration_began is None:
            return None
        self._iteration = time.monotonic() - self._iteration_began
        iterations = self.recipe.iterations - finished
        measurements = self._measurements(finished) if self._measurement else 0
        left = iterations * self._iteration + measurements * self._measurement
        if left < WORTH_SAYING:
            return None
        parts = [f"{iterations} iterations of {self._iteration:.1f} s"] if iterations else []
        if measurements:
            parts.append(f"{measurements} measurements of {self._measurement:.1f} s")
        return f"about {clock(left)} left: " + ", ".join(parts)

    def _measurements(self, finished: int) -> int:
        """How often a model is still measured: during, at the end, and the baselines."""
        every, last = self.recipe.evaluate.every, self.recipe.iterations - 1
        during = last // every - (finished - 1) // every if every else 0
        return during + 1 + len(self.recipe.evaluate.baselines)


def plan(recipe: Recipe) -> str:
    """What a run is about to do, in one sentence."""
    most = "at most " if recipe.stop_when else ""
    steps = [
        f"load {recipe.model.use}",
        f"iterate {most}{recipe.iterations} times ({recipe.completions_per_prompt} completions for each of "
        f"{recipe.prompts_per_iteration} prompts, then {recipe.updater.use})",
    ]
    if recipe.evaluate.with_:
        steps.append("measure " + ", ".join(evaluator.use for evaluator in recipe.evaluate.with_))
    return f"{recipe.name}: " + "; ".join(steps)


def clock(seconds: float) -> str:
    """Minutes and seconds, such as "3:05"."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
