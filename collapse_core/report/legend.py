"""What the metrics of a run mean, as the evaluators that measured them say."""

import inspect
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, cast

from collapse_core.contracts.interfaces import Evaluator
from collapse_core.plugins.registry import Registry
from collapse_core.results.results import Results


def evaluators_of(*runs: Results) -> dict[str, type[Evaluator]]:
    """Return the evaluators that measured something in these runs, by name, as far as they are installed.

    A file that a recipe names as a plugin is not run: to read a report is not to trust the run.
    """
    registry = Registry()
    found: dict[str, type[Evaluator]] = {}
    for use in dict.fromkeys(str(row["evaluator"]) for run in runs for row in run.evaluations):
        try:
            found[use] = cast(type[Evaluator], registry.find("evaluator", use))
        except Exception:  # not installed, or broken: a run has a report nevertheless
            continue
    return found


def legend(names: Sequence[str], *runs: Results) -> list[dict[str, Any]]:
    """Return what metrics mean: {"names": of those that mean the same, "meaning": a sentence}, in order.

    Args:
        names: The metrics that are shown.
        runs: Where they were measured.
    """
    known = evaluators_of(*runs)
    measured_by = {
        name: str(row["evaluator"]) for run in runs for row in run.evaluations for name in row["metrics"]
    }
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(_described(measured_by[name], known, name), []).append(name)
    return [{"names": mine, "meaning": meaning} for meaning, mine in found.items()]


def meaning_of(meanings: Mapping[str, str], metric: str) -> str:
    """Return what a metric means by the first name or pattern that fits it; empty where none does."""
    return next((said for name, said in meanings.items() if fnmatchcase(metric, name)), "")


def _described(use: str, known: Mapping[str, type[Evaluator]], metric: str) -> str:
    """Return what a metric means; where its evaluator does not say, what the evaluator measures."""
    if use not in known:
        return f"measured by {use}, which is not installed here"
    first = (inspect.getdoc(known[use]) or "no description").partition("\n\n")[0]
    return meaning_of(known[use].meanings, metric) or f"measured by {use}: {' '.join(first.split())}"
