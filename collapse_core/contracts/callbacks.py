"""What observes a run."""

from collections.abc import Mapping
from pathlib import Path

from collapse_core.contracts.component import Settings


class Callback:
    """An observer inside a run; it cannot change the result."""

    def on_start(self, directory: Path, recipe: Settings) -> None:
        """The run begins, or is resumed; `directory` is the run's."""

    def on_rewind(self, iteration: int) -> None:
        """What was reported after so many iterations is dropped, and will be reported again."""

    def on_phase(self, name: str) -> None:
        """The run enters a phase: "load", "references", "sample", "update", "evaluate", "save"."""

    def on_iteration(self, line: Mapping[str, object], total: int) -> None:
        """An iteration was recorded; `line` is its line in the journal."""

    def on_evaluation(self, row: Mapping[str, object]) -> None:
        """An evaluator has measured; `row` is its line in evaluations.jsonl."""

    def on_end(self, status: str) -> None:
        """The run ends "finished", "interrupted" or "failed"; the last two may be resumed."""
