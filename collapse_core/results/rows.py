"""Runs that differ in their seed alone, as one row: means over runs with both their uncertainties."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from collapse_core.contracts.statistics import mean_over_runs
from collapse_core.contracts.types import Metric
from collapse_core.results.distance import Distance, beyond, distance
from collapse_core.results.results import Results
from collapse_core.runtime.digests import digest

Interval = tuple[float, float]
UNLIKE = ("seed", "launch", "track", "criteria")
"""The keys of a recipe in which the runs of one row may differ."""
NOT_UNLEARNING = ("load", "evaluate", "done")
"""The phases whose time is not that of unlearning: teaching and measuring."""


@dataclass(frozen=True)
class Estimate:
    """What runs that differ in their seed alone found, with both its uncertainties."""

    value: float
    """The mean over runs."""
    questions: Interval | None = None
    """95 % over questions: the mean of the runs' own intervals.

    All runs are asked the same questions, so it is never narrower than the interval of the mean itself.
    """
    seeds: Interval | None = None
    """95 % over seeds, Student's; None for a single run."""

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"value": self.value, "questions": self.questions, "seeds": self.seeds}


@dataclass(frozen=True)
class Row:
    """Runs of one recipe with different seeds."""

    label: str
    runs: tuple[Results, ...]
    on_front: bool = False
    """Whether no other row is better in one respect and no worse in the other."""

    @property
    def seeds(self) -> list[int]:
        """The seeds of the runs."""
        return [run.recipe.get("seed", 0) for run in self.runs]

    def metrics(self) -> list[str]:
        """The names of all metrics."""
        return list(dict.fromkeys(name for run in self.runs for name in run.metrics()))

    def metric(self, name: str, model: str = "after") -> Estimate | None:
        """A metric over the runs that measured it."""
        found = [metric for run in self.runs if (metric := run.metric(name, model))]
        if not found:
            return None
        mean, seeds = mean_over_runs([metric.value for metric in found])
        bounds = [(m.low, m.high) for m in found if m.low is not None and m.high is not None]
        whole = len(bounds) == len(found)
        questions = (fmean(low for low, _ in bounds), fmean(high for _, high in bounds)) if whole else None
        return Estimate(mean, questions, seeds)

    def baseline(self) -> str | None:
        """What the model that the distance is measured to is called."""
        return next((name for run in self.runs if (name := run.baseline())), None)

    def distance(self, name: str) -> Distance:
        """How far the metric is from the baseline's, and the mark if it went beyond it."""
        models = ("before", "after", self.baseline() or "")
        before, after, baseline = (_as_metric(self.metric(name, model)) for model in models)
        return Distance(distance(after, baseline), beyond(before, after, baseline))

    def seconds(self) -> Estimate:
        """How long unlearning took: sampling, training, recording; neither teaching nor measuring."""
        return _over_runs([sum(_unlearning(run).values()) for run in self.runs])

    def tokens(self) -> dict[str, Estimate]:
        """How many tokens were drawn, and trained on, where the run has counted them."""
        counted = {
            "sampled": [_total(run, "num_tokens") for run in self.runs],
            "trained": [_total(run, "update", "num_tokens") for run in self.runs],
        }
        return {
            key: _over_runs([one for one in counts if one is not None])
            for key, counts in counted.items()
            if None not in counts
        }


def rows_of(runs: Sequence[Results]) -> list[Row]:
    """The runs as rows, in the order in which each row's first run was given."""
    together: dict[str, list[Results]] = {}
    for run in runs:
        together.setdefault(digest(_apart_from_seed(run)), []).append(run)
    return [
        Row(label, tuple(group)) for label, group in zip(_labels(together), together.values(), strict=True)
    ]


def _apart_from_seed(run: Results) -> dict[str, Any]:
    return {key: value for key, value in run.recipe.items() if key not in UNLIKE}


def _labels(together: Mapping[str, Sequence[Results]]) -> list[str]:
    """The recipes' names; where several have the same, with the keys in which they differ."""
    firsts = [group[0] for group in together.values()]
    flat = [dict(_flat(_apart_from_seed(run))) for run in firsts]
    labels = []
    for run, mine in zip(firsts, flat, strict=True):
        others = [other for other, row in zip(flat, firsts, strict=True) if row.name == run.name]
        differing = [key for key in mine if any(other.get(key) != mine[key] for other in others)]
        labels.append(" ".join([run.name, *(f"{key}={mine[key]}" for key in differing)]))
    return labels


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of plain data, each with its dotted path."""
    pairs: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        pairs = value.items()
    elif isinstance(value, list):
        pairs = enumerate(value)
    else:
        yield path, value
    for key, inner in pairs:
        yield from _flat(inner, f"{path}.{key}".strip("."))


def _as_metric(estimate: Estimate | None) -> Metric | None:
    if estimate is None:
        return None
    low, high = estimate.questions or (None, None)
    return Metric(estimate.value, "none", low, high)


def _over_runs(values: Sequence[float]) -> Estimate:
    mean, seeds = mean_over_runs(values)
    return Estimate(mean, None, seeds)


def _unlearning(run: Results) -> dict[str, float]:
    return {phase: s for phase, s in run.seconds().items() if phase not in NOT_UNLEARNING}


def _total(run: Results, *path: str) -> float | None:
    """A count summed over the journal; None where no iteration has it."""
    found = [_at(line, path) for line in run.journal]
    counts = [count for count in found if count is not None]
    return sum(counts) if counts else None


def _at(line: Any, path: Sequence[str]) -> Any:
    for key in path:
        line = (line or {}).get(key)
    return line
