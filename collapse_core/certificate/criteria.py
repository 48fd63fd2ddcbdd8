"""The criteria of a run, and what was found of them, as a certificate has it."""

from collapse_core.certificate.deciding import Decision
from collapse_core.certificate.schema import Measured, Outcome
from collapse_core.contracts.types import Metric
from collapse_core.recipe.criteria import Criterion
from collapse_core.results.results import Results


def criteria_of(results: Results) -> list[Criterion]:
    """The criteria of the recipe that the run began with."""
    return [Criterion(**row) for row in results.recipe.get("criteria", [])]


def measured_of(metric: Metric | None) -> Measured | None:
    """A metric as a certificate has it."""
    return Measured(value=metric.value, low=metric.low, high=metric.high) if metric else None


def outcome(decision: Decision, results: Results) -> Outcome:
    """A decision as a certificate has it, with the metric of the model before the run."""
    return Outcome(
        criterion=decision.criterion.model_dump(mode="json"),
        described=decision.criterion.described(),
        after=measured_of(decision.after),
        before=measured_of(results.metric(decision.criterion.metric, "before")),
        other=measured_of(decision.other),
        compared=measured_of(decision.compared),
        test=decision.test,
        p_met=decision.p_met,
        p_not_met=decision.p_not_met,
        verdict=decision.verdict,
        why=decision.why,
    )
