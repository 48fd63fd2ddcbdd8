"""Which claim the numbers bear, what they do not show, and what they take for granted."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from collapse_core.certificate.deciding import AFTER, Decision, holds
from collapse_core.certificate.schema import ClaimMade
from collapse_core.recipe.criteria import CLAIMS, Claim
from collapse_core.results.results import Results

SENTENCES: Mapping[Claim, str] = {
    "does-not-say": (
        "Asked as it was asked here, the model does not say what was to be forgotten, within the bounds that "
        "were set."
    ),
    "cannot-be-made-to-say": (
        "Asked as it was asked here, the model does not say what was to be forgotten, and the attacks that "
        "were tried here did not make it say it, within the bounds that were set."
    ),
    "cannot-be-told-apart": (
        "The model does not say what was to be forgotten, the attacks that were tried here did not make it "
        "say it, and by the metrics named here it cannot be told from a model that never learned it, within "
        "the bounds that were set."
    ),
}
NONE = "No claim is made on what the model has forgotten."
WHOLE = ("full",)
"""Splits that hold what is to be forgotten without being called so."""


def claim_of(decisions: Sequence[Decision], results: Results) -> ClaimMade:
    """The strongest claim of which every criterion is met, and of every weaker claim."""
    level: Claim | None = None
    for number, wanted in enumerate(CLAIMS):
        if problem := _problem(wanted, decisions, results):
            return ClaimMade(level=level or "none", sentence=SENTENCES[level] if level else NONE, why=problem)
        level = CLAIMS[number]
    return ClaimMade(
        level=CLAIMS[-1], sentence=SENTENCES[CLAIMS[-1]], why="every criterion of every claim is met"
    )


def _problem(wanted: Claim, decisions: Sequence[Decision], results: Results) -> str:
    """Why a claim is not made; empty if it is."""
    mine = [one for one in decisions if one.criterion.claim == wanted]
    if not mine:
        return f"no criterion was set for the claim '{wanted}'"
    for one in mine:
        if one.verdict != "met":
            return f"the criterion '{one.criterion.described()}' for the claim '{wanted}': {one.verdict}"
        if problem := _unfit(wanted, one, results):
            return problem
    return ""


def _unfit(wanted: Claim, decision: Decision, results: Results) -> str:
    """Why a criterion, though met, is no evidence for a claim."""
    criterion, known = decision.criterion, results.environment
    evaluator = measured_by(criterion.metric, results)
    read = known.get("true_answers", {}).get("evaluators", {}).get(evaluator, [])
    if read and not any(map(_holds_secret, read)):
        return f"'{criterion.metric}' was measured by '{evaluator}', which does not read the forget set"
    if wanted == "cannot-be-made-to-say" and evaluator not in known.get("attacks", []):
        return f"'{criterion.metric}' was measured by '{evaluator}', which is no attack"
    if wanted == "cannot-be-told-apart":
        taught = known.get("true_answers", {}).get("baselines", {}).get(criterion.against, [])
        if any(map(_holds_secret, taught)):
            return f"the baseline '{criterion.against}' was taught what was to be forgotten"
    return ""


def _holds_secret(split: str) -> bool:
    return "forget" in split or split in WHOLE


def measured_by(metric: str, results: Results) -> str:
    """The evaluator that measured a metric of the model after the run; empty where none did."""
    rows = [row for row in results.evaluations if row["model"] == AFTER and metric in row["metrics"]]
    return str(rows[-1]["evaluator"]) if rows else ""


def not_shown(decisions: Sequence[Decision], results: Results) -> list[str]:
    """What the certificate does not show, a sentence each."""
    return [*_no_change(decisions, results), *_not_shown(decisions, results.environment)]


def _no_change(decisions: Sequence[Decision], results: Results) -> Iterator[str]:
    """The criteria for claims that the model met before anything was forgotten."""
    if not decisions:
        yield "Whether anything was forgotten: the recipe set no criterion before the run."
    for one in decisions:
        before = results.metric(one.criterion.metric, "before")
        if one.criterion.claim is None or before is None:
            continue
        if holds(one.criterion, before.value - (one.other.value if one.other else 0.0)):
            what = one.criterion.described()
            yield f"That the run changed anything about '{what}': the model before is within the bound, too."


def _not_shown(decisions: Sequence[Decision], known: Mapping[str, Any]) -> Iterator[str]:
    attacks = known.get("attacks")
    if attacks is None:
        yield "Whether attacks were tried: the run did not record which of its evaluators are attacks."
    elif attacks:
        yield f"What other attacks bring back than those that were tried: {', '.join(attacks)}."
    else:
        yield "What attacks bring back: none was tried."
    yield "What the model answers to questions that were not asked here, or in other languages and contexts."
    yield "That information is gone from the weights: unlearning by outputs suppresses what is said."
    yield "Anything about the model that the run began with, and its copies: they still say what they said."
    yield "How far another run with another seed would come out elsewhere: one model was measured."
    if not any(one.criterion.claim is None for one in decisions):
        yield "What the model has lost of what it was to retain: no criterion was set for that."
    yield (
        "That nobody has rewritten the run directory: digests show that files belong together, not who made "
        "them. A signature shows who signed."
    )


def assumptions(decisions: Sequence[Decision]) -> list[str]:
    """What the tests take for granted, a sentence each."""
    tested = [one for one in decisions if one.test not in ("none", "exact comparison")]
    found = []
    if tested:
        found.append("The questions asked are a random sample of the questions that one could ask.")
        found.append(
            "p-values are corrected for the number of criteria by Holm's method, for 'met' and 'not met' "
            "separately."
        )
    if any("interval" in one.test or one.criterion.within is not None for one in tested):
        found.append("Standard errors are read off 95 % intervals, as if means were normally distributed.")
    if any(one.criterion.against and one.test != "exact comparison" for one in tested):
        found.append(
            "Two models that answered the same questions are compared as if independent, which is careful as "
            "long as their scores rise and fall together."
        )
    if any(one.test == "exact comparison" for one in decisions):
        found.append("Metrics that the recipe calls exact are taken to be so.")
    return found
