"""Fitting the toys to what was kept."""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge

from collapse_core import CollapseError, Iteration, Kept, Model, Prompt, Updater, require
from collapse_toy.model import Categorical, Gaussian, answers


class CategoricalMle(Updater):
    """Refit the categories by maximum likelihood to kept draws and retain data together.

    With N draws and R retain balls the paper's alpha is R / N; `retain_weight` multiplies R. When there
    is nothing at all to fit, the model stays as it is. With `against_weight`, what a draw is set against is
    taken off the counts: the share that maximizes sum(w log p) is max(0, w) / sum(max(0, w)), since a
    category of negative weight w wants no share at all.
    """

    works_on: ClassVar[tuple[str, ...]] = ("categorical",)

    retain_weight: Annotated[float, Ge(0)] = 1.0
    """How much a retain ball counts, where a draw counts 1."""
    against_weight: Annotated[float, Ge(0)] = 0.0
    """How much what a draw is set against counts, as a draw that is taken away."""

    def learns_from_pairs(self) -> bool:
        """Something must be set against a draw to be taken off."""
        return self.against_weight > 0

    def update(
        self, model: Model, kept: Sequence[Kept], retain: Sequence[Prompt], iteration: Iteration
    ) -> dict[str, float]:
        """Count and normalize."""
        categorical = require(model, Categorical, "categorical-mle")
        weights = dict.fromkeys(categorical.probabilities, 0.0)
        for one in kept:
            weights[one.completion.content] += 1
            if one.against is not None:
                weights[one.against] -= self.against_weight
        for city in answers(retain):
            weights[city] += self.retain_weight
        weights = {city: max(0.0, weight) for city, weight in weights.items()}
        if any(weights.values()):
            categorical.fit(weights)
        return {"num_alive": float(sum(p > 0 for p in categorical.probabilities.values()))}


class GaussianFit(Updater):
    """Refit the Gaussian to kept draws and retain data together; to nothing, it stays as it is."""

    works_on: ClassVar[tuple[str, ...]] = ("gaussian",)

    variance: Literal["maximum-likelihood", "unbiased"] = "maximum-likelihood"
    """What the sum of squares is divided by: the number of values, or one less."""
    accumulate: bool = False
    """Fit to the draws of all iterations so far, not to those of this one alone."""

    def update(
        self, model: Model, kept: Sequence[Kept], retain: Sequence[Prompt], iteration: Iteration
    ) -> dict[str, float]:
        """Take the mean and the variance.

        Raises:
            CollapseError: An unbiased variance is asked of a single value.
        """
        gaussian = require(model, Gaussian, "gaussian-fit")
        drawn = [one.completion.content for one in kept]
        if self.accumulate:
            gaussian.seen += drawn
            drawn = gaussian.seen
        values = drawn + answers(retain)
        if len(values) == 1 and self.variance == "unbiased":
            raise CollapseError(
                "one value has no unbiased variance; keep more draws, retain real data, "
                "or write 'variance: maximum-likelihood'"
            )
        if values:
            gaussian.fit(values, unbiased=self.variance == "unbiased")
        return {"mean": gaussian.mean, "sd": gaussian.sd}
