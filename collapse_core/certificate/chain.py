"""Earlier requests: the certificates of the runs before, and whether their criteria still hold."""

from collections.abc import Iterator
from dataclasses import replace

from collapse_core.certificate.criteria import criteria_of, outcome
from collapse_core.certificate.deciding import AFTER, decide
from collapse_core.certificate.schema import FILE, Outcome, Previous
from collapse_core.errors import CollapseError
from collapse_core.evaluation.afterwards import examine
from collapse_core.recipe.continuing import previous_run
from collapse_core.recipe.loading import parse_recipe
from collapse_core.recipe.stored import stored_document
from collapse_core.results.results import Results, load_results
from collapse_core.runtime import files
from collapse_core.runtime.digests import file_digest
from collapse_core.runtime.layout import MODEL

NOT_ASKED = "'collapse certify --recheck' does so"


def earlier(results: Results, *, recheck: bool) -> list[Previous]:
    """The runs before this one, the latest first, with their criteria checked again on this run's model.

    Args:
        results: The run.
        recheck: Whether to measure its model by the recipes of the earlier runs.
    """
    return list(_earlier(results, recheck))


def _earlier(results: Results, recheck: bool) -> Iterator[Previous]:
    later, seen = results, {results.directory.resolve()}
    while (directory := previous_run(later.recipe["model"])) and directory.resolve() not in seen:
        seen.add(directory.resolve())
        previous = load_results(directory)
        yield _record(results, later, previous, recheck)
        later = previous


def _record(results: Results, later: Results, previous: Results, recheck: bool) -> Previous:
    path = previous.directory / FILE
    now = file_digest(path) if path.exists() else None
    recorded = later.environment.get("previous", {}).get("certificate")
    outcomes, why_not = _checked_again(results, previous) if recheck else (None, NOT_ASKED)
    return Previous(
        recipe=str(files.read_json(previous.directory / "resolved.json").get("digest")),
        certificate=recorded or now,
        unchanged=recorded == now if recorded and now else None,
        request=files.read_json(path)["request"]["id"] if path.exists() else None,
        outcomes=outcomes,
        why_not=why_not,
    )


def _checked_again(results: Results, previous: Results) -> tuple[list[Outcome] | None, str]:
    """The criteria of an earlier run, held against the model of this one; or why that cannot be."""
    if not previous.recipe.get("criteria"):
        return None, "that run had no criteria"
    try:
        rows = examine(str(results.directory / MODEL), parse_recipe(stored_document(previous.directory)))
    except (CollapseError, OSError) as error:
        return None, f"it cannot be measured any more: {' '.join(str(error).split())}"
    others = [row for row in previous.evaluations if row["model"] not in (AFTER, "during")]
    found = replace(previous, evaluations=[*others, *rows])
    return [outcome(one, found) for one in decide(criteria_of(previous), found)], ""
