"""What must hold of the result, set before the run: the bounds that a certificate is held against."""

from collections.abc import Collection
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Lt
from pydantic import Field, model_validator

from collapse_core.contracts.component import Settings

Claim = Literal["does-not-say", "cannot-be-made-to-say", "cannot-be-told-apart"]
CLAIMS: tuple[Claim, ...] = ("does-not-say", "cannot-be-made-to-say", "cannot-be-told-apart")
"""What a certificate may claim, each more than the one before."""
REFERENCE = "before"
"""What the model before unlearning is called where metrics are compared."""


class Criterion(Settings):
    """One bound on one metric of the model after the run."""

    metric: Annotated[str, Field(min_length=1)]
    """The metric that an evaluator of the recipe measures."""
    at_least: float | None = None
    """The metric, or its difference to that of `against`, must be at least this."""
    at_most: float | None = None
    """It must be at most this."""
    within: Annotated[float, Gt(0)] | None = None
    """It must be equivalent to that of `against`: no further from it than this, either way."""
    against: str | None = None
    """A baseline of the recipe, or "before" for the reference model; by default the bound is absolute."""
    confidence: Annotated[float, Ge(0.5), Lt(1)] = 0.95
    """The probability, over all criteria of the recipe, that nothing is wrongly called met."""
    exact: bool = False
    """Whether the metric is compared as it is, since it was measured on all there is and not on a sample."""
    scale: tuple[float, float] | None = None
    """The least and the highest that one question can score; needed where all questions score the same."""
    claim: Claim | None = None
    """What the criterion is evidence for; none where it is about what must be retained."""

    @model_validator(mode="after")
    def _has_one_bound(self) -> "Criterion":
        bounds = [one for one in (self.at_least, self.at_most, self.within) if one is not None]
        if len(bounds) != 1:
            raise ValueError("expected one of at_least, at_most and within")
        if self.within is not None and self.against is None:
            raise ValueError("'within' needs 'against': the model that the metric must be equivalent to")
        if self.scale is not None and self.scale[0] >= self.scale[1]:
            raise ValueError("expected a scale whose first number is less than its second")
        if self.claim == "cannot-be-told-apart" and (self.within is None or self.against == REFERENCE):
            raise ValueError(
                "'cannot-be-told-apart' is shown by equivalence to a model that never learned it; give "
                "'within', and a baseline as 'against'"
            )
        return self

    def described(self) -> str:
        """The criterion as a phrase, such as "utility at least 90"."""
        if self.within is not None:
            return f"{self.metric} within {self.within:g} of {self.against}"
        way, bound = ("least", self.at_least) if self.at_least is not None else ("most", self.at_most)
        if self.against is None:
            return f"{self.metric} at {way} {bound:g}"
        return f"{self.metric} less that of {self.against} at {way} {bound:g}"


def unknown_baselines(criteria: Collection[Criterion], baselines: Collection[str]) -> list[str]:
    """The models that criteria are set against and that nobody measures, as sentences."""
    return [
        f"the criterion '{one.described()}' is set against '{one.against}', which is no baseline of the "
        f"recipe; name it under evaluate.baselines, or use '{REFERENCE}'"
        for one in criteria
        if one.against is not None and one.against != REFERENCE and one.against not in baselines
    ]
