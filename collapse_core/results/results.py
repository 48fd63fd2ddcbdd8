"""A run directory, read back: what was measured, of which model, and when."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collapse_core import errors
from collapse_core.contracts.types import Metric
from collapse_core.errors import CollapseError, did_you_mean
from collapse_core.recipe.renamed import rename_keys
from collapse_core.results.distance import COLUMN
from collapse_core.results.formatting import plain
from collapse_core.results.frames import Table, example_records, flat, metric_records, to_frame
from collapse_core.results.redefined import rename_metrics
from collapse_core.runtime import files
from collapse_core.runtime.layout import SCRUBBED

if TYPE_CHECKING:
    import pandas

_OWN = ("before", "during", "after")


@dataclass(frozen=True)
class Results:
    """What a run has recorded so far."""

    directory: Path
    name: str
    journal: Sequence[dict[str, Any]]
    evaluations: Sequence[dict[str, Any]]
    timings: Sequence[dict[str, Any]]
    recipe: Mapping[str, Any] = field(default_factory=dict)
    """The resolved recipe."""
    status: Mapping[str, Any] = field(default_factory=dict)
    """The content of status.json; empty before the run has begun."""
    environment: Mapping[str, Any] = field(default_factory=dict)
    """Where the results come from."""
    scrubbed: Mapping[str, Any] = field(default_factory=dict)
    """What `collapse scrub` recorded last; empty where the run was not scrubbed."""

    def models(self) -> list[str]:
        """The measured models, in the order of a before-and-after table.

        While nothing was measured after the run, the last measurement during it takes its place.
        """
        found = dict.fromkeys(row["model"] for row in self.evaluations)
        own = [name for name in ("before", self.latest()) if name in found]
        return own + [name for name in found if name not in _OWN]

    def baseline(self) -> str | None:
        """The first of the measured baselines: the one to measure the distance to."""
        return next((name for name in self.models() if name not in _OWN), None)

    def headings(self) -> list[str]:
        """The headings of the columns of the table of metrics."""
        return [self.heading(model) for model in self.models()] + ([COLUMN] if self.baseline() else [])

    def heading(self, model: str) -> str:
        """What to call one of the models above a column."""
        if model != "during":
            return model
        last = max((row["iteration"] or 0 for row in self.evaluations if row["model"] == model), default=0)
        return f"after {last} iteration{'' if last == 1 else 's'}"

    def metrics(self) -> list[str]:
        """The names of all metrics, in the order in which they were measured."""
        return list(dict.fromkeys(name for row in self.evaluations for name in row["metrics"]))

    def headline(self) -> list[str]:
        """The names of the metrics that the recipe has chosen for the table, measured or not."""
        return [*self.recipe.get("evaluate", {}).get("headline", ())]

    def missing(self) -> dict[str, list[str]]:
        """The metrics that could not be measured in every model, by the reason."""
        found: dict[str, list[str]] = {}
        for row in self.evaluations:
            for name, reason in row.get("missing", {}).items():
                if name not in found.setdefault(reason, []):
                    found[reason].append(name)
        return found

    def notes(self) -> dict[str, list[str]]:
        """What must be known to read what evaluators found, with the names of these evaluators."""
        found: dict[str, list[str]] = {}
        for row in self.evaluations:
            for note in row.get("notes", ()):
                if row["evaluator"] not in found.setdefault(note, []):
                    found[note].append(row["evaluator"])
        return found

    def metric(self, name: str, model: str) -> Metric | None:
        """A metric of one of the models, the latest of several; None where it was not measured."""
        for row in reversed(self.evaluations):
            if row["model"] == model and name in row["metrics"]:
                return Metric(**row["metrics"][name])
        return None

    def measured(self, name: str) -> list[tuple[int, Metric]]:
        """A metric of the run's own model, with its intervals, by number of iterations done."""
        return [
            (row["iteration"], Metric(**row["metrics"][name]))
            for row in self.evaluations
            if row["model"] in _OWN and row["iteration"] is not None and name in row["metrics"]
        ]

    def curve(self, name: str) -> list[tuple[int, float]]:
        """A metric of the run's own model by iteration."""
        return [(iteration, metric.value) for iteration, metric in self.measured(name)]

    def examples(self, model: str, split: str) -> list[dict[str, Any]]:
        """What the evaluators noted down to be read when they measured a model last, on one split."""
        rows = [row for row in self.evaluations if row["model"] == model]
        last = [row for row in rows if row["iteration"] == rows[-1]["iteration"]]
        return [e for row in last for e in row.get("examples", ()) if e.get("split") == split]

    def splits(self) -> list[str]:
        """The splits that there are examples of, "forget" first."""
        found = dict.fromkeys(str(e.get("split")) for model in _OWN for _, e in self._examples(model))
        return sorted(found, key=lambda split: split != "forget")

    def pairs(self, split: str) -> list[tuple[dict[str, Any], dict[str, Any] | None]]:
        """What was answered to the same prompt before the run and last; None where not asked again."""
        last = dict(self._examples(self.latest()))
        return [
            (example, last.get(key))
            for key, example in self._examples("before")
            if example.get("split") == split
        ]

    def scrub_note(self) -> str:
        """That the run was scrubbed, as a sentence; empty where it was not."""
        if not self.scrubbed:
            return ""
        return (
            f"scrubbed {self.scrubbed.get('when', '')}: its completions, examples, reference answers and "
            "checkpoints were removed; its numbers are as they were measured"
        )

    def stopped_by(self) -> str:
        """Why the run stopped before its last iteration, as a clause; empty where it did not."""
        look = self.journal[-1].get("stop_when") if self.journal else None
        return str(look["stops"]) if look and look["stops"] else ""

    def seconds(self) -> dict[str, float]:
        """How long each phase took in all."""
        total: dict[str, float] = {}
        for row in self.timings:
            total[row["phase"]] = total.get(row["phase"], 0.0) + row["seconds"]
        return total

    def sampled(self) -> list[int]:
        """The iterations whose completions were written down, by their numbers from 0."""
        return sorted(int(path.stem) for path in (self.directory / "completions").glob("*.jsonl"))

    def completions(self, iteration: int) -> list[dict[str, Any]]:
        """What was sampled in an iteration, a row per completion."""
        return _rows(self.directory / "completions" / f"{iteration:05d}.jsonl")

    def frame(self, what: Table = "metrics") -> "pandas.DataFrame":
        """One of the run's tables as a pandas frame.

        "metrics" has a row for each metric of each measurement, "iterations" for each line of the journal,
        "completions" for each completion, "examples" for what the evaluators noted down to be read, "timings"
        for each phase. A mapping in a row becomes columns, such as `reward_kept.mean`.

        Raises:
            CollapseError: pandas is not installed.
        """
        return to_frame(self.records(what))

    def records(self, what: Table = "metrics") -> list[dict[str, Any]]:
        """The rows of `frame`, for which pandas is not needed."""
        if what == "completions":
            rows = ({"iteration": n, **row} for n in self.sampled() for row in self.completions(n))
            return [flat(row) for row in rows]
        tables = {
            "metrics": metric_records(self.evaluations),
            "examples": example_records(self.evaluations),
            "iterations": [flat(line) for line in self.journal],
            "timings": [dict(row) for row in self.timings],
        }
        if what not in tables:
            raise CollapseError(
                f"a run has no table '{what}'; {did_you_mean(what, [*tables, 'completions'])}"
            )
        return tables[what]

    def latest(self) -> str:
        """The last stage at which the run's own model was measured: "after", else "during"."""
        return "after" if any(row["model"] == "after" for row in self.evaluations) else "during"

    def _examples(self, model: str) -> Iterator[tuple[tuple[str, str, str], dict[str, Any]]]:
        for row in self.evaluations:
            for example in row.get("examples", ()) if row["model"] == model else ():
                asked = (str(example.get("split")), plain(example.get("prompt")))
                yield (str(row.get("evaluator")), *asked), example


def load_results(directory: Path) -> Results:
    """Read a run directory, finished or not.

    Raises:
        CollapseError: It holds no run, or a broken one.
    """
    if not (directory / "resolved.json").exists():
        raise errors.no_run(directory)
    recipe, status, environment = (
        _json(directory / f"{part}.json") for part in ("resolved", "status", "environment")
    )
    journal, evaluations, timings = (
        _rows(directory / f"{part}.jsonl") for part in ("journal", "evaluations", "timings")
    )
    try:
        recipe = recipe["recipe"]
        rename_keys(recipe)
        name = recipe["name"]
    except (KeyError, TypeError):
        raise _broken(directory / "resolved.json", "it names no recipe") from None
    rename_metrics(evaluations, recipe)
    scrubbed = _json(directory / SCRUBBED)
    return Results(directory, name, journal, evaluations, timings, recipe, status, environment, scrubbed)


def _json(path: Path) -> Any:
    """The value of a file; an empty mapping where there is none yet."""
    try:
        return files.read_json(path) if path.exists() else {}
    except ValueError as error:
        raise _broken(path, f"it is no JSON ({error})") from None


def _broken(path: Path, why: str) -> CollapseError:
    return CollapseError(f"{path} is broken: {why}; restore it from a copy, or leave the run out")


def _rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a file, whatever else is in it: a report is most wanted where something broke."""
    text = path.read_bytes().decode(errors="replace") if path.exists() else ""
    rows = []
    for line in text.split("\n")[:-1]:
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return [row for row in rows if isinstance(row, dict)]
