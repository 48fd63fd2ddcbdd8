"""What the toys look like."""

from typing import ClassVar

from collapse_core import Dataset, Evaluation, Evaluator, Metric, Model

from collapse_toy.model import Categorical


class CategoryShares(Evaluator):
    """The probability of each category; exact, so there is no interval."""

    reads: ClassVar[tuple[str, ...]] = ()

    def evaluate(self, model: Model, data: Dataset, seed: int) -> Evaluation:
        """Read the probabilities off the model."""
        assert isinstance(model, Categorical)
        return Evaluation({name: Metric(p) for name, p in model.probabilities.items()})
