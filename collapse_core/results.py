"""A run directory, read back: what was measured, of which model, and when."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collapse_core import errors, files
from collapse_core.types import Metric


@dataclass(frozen=True)
class Results:
    """What a run has recorded so far."""

    directory: Path
    name: str
    journal: Sequence[dict[str, Any]]
    evaluations: Sequence[dict[str, Any]]
    timings: Sequence[dict[str, Any]]

    def models(self) -> list[str]:
        """The measured models, in the order of a before-and-after table."""
        found = dict.fromkeys(row["model"] for row in self.evaluations)
        return [name for name in ("before", "after") if name in found] + [
            name for name in found if name not in ("before", "during", "after")
        ]

    def metrics(self) -> list[str]:
        """The names of all metrics, in the order in which they were measured."""
        return list(dict.fromkeys(name for row in self.evaluations for name in row["metrics"]))

    def metric(self, name: str, model: str) -> Metric | None:
        """A metric of one of the models; None where it was not measured."""
        for row in self.evaluations:
            if row["model"] == model and name in row["metrics"]:
                return Metric(**row["metrics"][name])
        return None

    def curve(self, name: str) -> list[tuple[int, float]]:
        """A metric of the run's own model by iteration."""
        return [
            (row["iteration"], row["metrics"][name]["value"])
            for row in self.evaluations
            if row["model"] in ("before", "during", "after") and name in row["metrics"]
        ]

    def examples(self, model: str, split: str) -> list[dict[str, Any]]:
        """What the evaluators noted down to be read, of one model on one split."""
        rows = [e for row in self.evaluations if row["model"] == model for e in row["examples"]]
        return [example for example in rows if example.get("split") == split]

    def seconds(self) -> dict[str, float]:
        """How long each phase took in all."""
        total: dict[str, float] = {}
        for row in self.timings:
            total[row["phase"]] = total.get(row["phase"], 0.0) + row["seconds"]
        return total


def load_results(directory: Path) -> Results:
    """Read a run directory, finished or not.

    Raises:
        CollapseError: It holds no run.
    """
    if not (directory / "resolved.json").exists():
        raise errors.no_run(directory)
    name = files.read_json(directory / "resolved.json")["recipe"]["name"]
    lines = [files.read_lines(directory / f"{part}.jsonl") for part in ("journal", "evaluations", "timings")]
    return Results(directory, name, *lines)
