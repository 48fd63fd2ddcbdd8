"""What the toys look like."""

from collections.abc import Mapping
from typing import ClassVar

from collapse_core import Dataset, Evaluation, Evaluator, Metric, Model, load_splits, require
from collapse_toy.model import Categorical, Gaussian, answers


class CategoryShares(Evaluator):
    """The probability of each category; exact, so there is no interval. Cost: none."""

    meanings: ClassVar[Mapping[str, str]] = {
        "*": "the probability of this category, exactly",
    }
    works_on: ClassVar[tuple[str, ...]] = ("categorical",)

    reads: ClassVar[tuple[str, ...]] = ()

    def evaluate(self, model: Model, data: Dataset, seed: int) -> Evaluation:
        """Read the probabilities off the model."""
        categorical = require(model, Categorical, "category-shares")
        return Evaluation({name: Metric(p) for name, p in categorical.probabilities.items()})


class GaussianShape(Evaluator):
    """Mean, standard deviation, and how far both are from the real data; exact, so no interval.

    The distance is the squared 2-Wasserstein distance of two Gaussians on the line,
    (mean - mean0)^2 + (sd - sd0)^2, the risk in theorem 3.1 of Shumailov et al., Nature 631 (2024).
    Cost: none.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "mean": "the model's mean, exactly",
        "sd": "the model's standard deviation, exactly",
        "distance_to_real": "squared distance of the model from the real data (2-Wasserstein)",
    }
    works_on: ClassVar[tuple[str, ...]] = ("gaussian",)

    reads: ClassVar[tuple[str, ...]] = ("full",)

    def evaluate(self, model: Model, data: Dataset, seed: int) -> Evaluation:
        """Read the model, and fit another one to the real data."""
        gaussian = require(model, Gaussian, "gaussian-shape")
        real = Gaussian(answers(load_splits(self, data).found["full"]))
        distance = (gaussian.mean - real.mean) ** 2 + (gaussian.sd - real.sd) ** 2
        return Evaluation(
            {
                "mean": Metric(gaussian.mean),
                "sd": Metric(gaussian.sd),
                "distance_to_real": Metric(distance),
            }
        )
