"""How far models ended from retrained ones, in units of how far these are from each other."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from math import inf
from statistics import fmean, median

from collapse_core.errors import CollapseError

Values = Mapping[str, float]
"""A model's metrics, by name."""


@dataclass(frozen=True, slots=True)
class Gap:
    """How far a metric is from those of the retrained models."""

    metric: str
    distance: float
    """The mean difference between one of the models and one of the retrained ones."""
    spread: float
    """The mean difference between two of the retrained ones."""
    inside: bool
    """Whether the distance is at most the largest difference between two of the retrained ones."""

    @property
    def ratio(self) -> float:
        """The distance in units of the spread; 1 is what one more retrained model has in expectation."""
        if self.spread == 0:
            return 0.0 if self.distance == 0 else inf
        return self.distance / self.spread


@dataclass(frozen=True)
class DistanceToRetrained:
    """The gaps of all metrics, in the order in which they were asked for."""

    gaps: tuple[Gap, ...]

    @property
    def share_inside(self) -> float:
        """The share of the metrics in which the models are inside."""
        return fmean(gap.inside for gap in self.gaps)

    @property
    def median_ratio(self) -> float:
        """The median over metrics of the distance in units of the spread."""
        return median(gap.ratio for gap in self.gaps)


def distance_to_retrained(
    models: Sequence[Values], retrained: Sequence[Values], metrics: Iterable[str] | None = None
) -> DistanceToRetrained:
    """Measure how far models are from retrained ones, against how far these are from each other.

    By metric, with values x_i of the models and y_j of the retrained ones, distance = mean |x_i - y_j| and
    spread = mean over j < k of |y_j - y_k| (Gini's mean difference). Where the models are drawn like the
    retrained ones, both have the same expectation, whatever the distribution. Gibberish does not come near a
    retrained model, nor does forgetting more than it never learned.

    Args:
        models: The metrics of the models, one mapping per seed.
        retrained: Those of at least two retrained models of different seeds.
        metrics: Which are compared; default all that every model and retrained model has.

    Raises:
        CollapseError: There is nothing to compare, or no spread to measure in.
    """
    if len(retrained) < 2 or not models:
        raise CollapseError(
            "a distance in units of the spread needs a model and two retrained ones of different seeds; "
            f"there are {len(models)} and {len(retrained)}"
        )
    everything = [*models, *retrained]
    shared = [name for name in everything[0] if all(name in one for one in everything)]
    chosen = shared if metrics is None else list(metrics)
    if absent := [name for name in chosen if name not in shared]:
        raise CollapseError(f"the metric '{absent[0]}' was not measured in every model; leave it out")
    if not chosen:
        raise CollapseError("the models have no metric in common; measure them with the same evaluators")
    return DistanceToRetrained(tuple(_gap(name, models, retrained) for name in chosen))


def _gap(name: str, models: Sequence[Values], retrained: Sequence[Values]) -> Gap:
    theirs = [abs(one[name] - other[name]) for one, other in combinations(retrained, 2)]
    distance = fmean(abs(one[name] - other[name]) for one, other in product(models, retrained))
    return Gap(name, distance, fmean(theirs), distance <= max(theirs))
