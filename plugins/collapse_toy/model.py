"""A distribution over categories."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from collapse_core import Dataset, Model, ModelLoader, files


class Categorical(Model):
    """Probabilities by category."""

    def __init__(self, weights: Mapping[str, float]) -> None:
        """Normalize the weights."""
        self.fit(weights)

    def fit(self, weights: Mapping[str, float]) -> None:
        """The maximum-likelihood fit to weighted counts."""
        total = sum(weights.values())
        self.probabilities = {category: weight / total for category, weight in weights.items()}

    def save(self, directory: Path) -> None:
        """Write probabilities.json."""
        files.write_json(directory / "probabilities.json", self.probabilities)

    def restore(self, directory: Path) -> None:
        """Read probabilities.json."""
        self.probabilities = files.read_json(directory / "probabilities.json")

    export = save


class CategoricalLoader(ModelLoader):
    """The categories' frequencies in the whole data."""

    reads: ClassVar[tuple[str, ...]] = ("full",)

    def load(self, data: Dataset, seed: int) -> Categorical:
        """Fit the "full" split."""
        return Categorical(Counter(prompt.target for prompt in data.load("full")))
