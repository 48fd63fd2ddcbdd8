"""What a notebook shows below a cell while a run works: how far it is, and what it has printed."""

import html
import sys
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from collapse_core.contracts.callbacks import Callback
from collapse_core.errors import printable
from collapse_core.run.run import Run
from collapse_core.session.console import Console, evaluation_text, iteration_text, warnings
from collapse_core.session.pace import Pace, Remaining, plan

NUM_LINES = 12
"""How many of the last lines are shown."""
SECONDS_BETWEEN = 0.2
"""The least time between two updates of what is shown."""


class Silent(Callback):
    """Shows nothing."""

    def progress(self, label: str, done: int, total: int) -> None:
        """Show nothing."""

    def say(self, text: str) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Show nothing."""


class Notebook(Silent):
    """One output of a cell, renewed while the run works; needs no widgets."""

    def __init__(self, run: Run) -> None:
        """Show the plan."""
        from IPython.display import display

        self.total = run.recipe.iterations
        self.lines: deque[str] = deque([plan(run.recipe)], maxlen=NUM_LINES)
        self.done, self.now = 0, "load"
        self.pace, self.remaining = Pace(), Remaining(run.recipe)
        self._shown_at = 0.0
        self._handle = display(self._content(), raw=True, display_id=True)

    def on_phase(self, name: str) -> None:
        """Show the phase while it lasts."""
        self.pace, self.now = Pace(), name
        self.remaining.on_phase(name)
        self._renew()

    def progress(self, label: str, done: int, total: int) -> None:
        """Show how far the phase has come."""
        if total == 0:
            self.say(label)
            return
        self.pace.note(label, done, total)
        self.now = self.pace.describe()
        self._renew()

    def on_iteration(self, line: Mapping[str, Any], total: int) -> None:
        """Show what the iteration did, and how long the rest takes once that is known."""
        self.done = line["iteration"] + 1
        self.lines.append(iteration_text(line, total))
        if left := self.remaining.on_iteration(self.done):
            self.lines.append(left)
        self.lines.extend([why] if (why := line.get("stop_when", {}).get("stops")) else [])
        self.lines.extend(f"guard: {warning}" for warning in warnings(line.get("guard", {})))
        self._renew()

    def on_evaluation(self, row: Mapping[str, Any]) -> None:
        """Show what was measured."""
        self.say(evaluation_text(row))

    def say(self, text: str) -> None:
        """Show a line that stays."""
        self.lines.append(text)
        self._renew(at_once=True)

    def close(self) -> None:
        """Show how it stands at the end."""
        self._renew(at_once=True)

    def _renew(self, at_once: bool = False) -> None:
        if at_once or time.monotonic() - self._shown_at >= SECONDS_BETWEEN:
            self._shown_at = time.monotonic()
            self._handle.update(self._content(), raw=True)

    def _content(self) -> dict[str, str]:
        """What is shown, as HTML and for front ends without it as text."""
        head = f"iteration {self.done}/{self.total}, {self.now}"
        text = printable("\n".join(self.lines))
        bar = f'<progress value="{self.done}" max="{max(self.total, 1)}"></progress>'
        return {
            "text/plain": f"{head}\n{text}",
            "text/html": f"<div>{bar} {html.escape(printable(head))}</div><pre>{html.escape(text)}</pre>",
        }


def display_of(run: Run, wanted: bool) -> Console | Silent:
    """What shows the run: in a notebook below the cell, else on stderr."""
    if not wanted:
        return Silent()
    return Notebook(run) if in_notebook() else Console(run.directory, run.recipe)


def in_notebook() -> bool:
    """Whether a notebook's kernel runs this process; looks for IPython without importing it."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")
