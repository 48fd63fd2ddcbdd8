"""The two models: a distribution over categories, and one over the line."""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import fsum, sqrt
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from collapse_core import CollapseError, Dataset, HasSplits, Model, ModelLoader, Prompt, files

M = TypeVar("M", bound=Model)


class Categorical(Model):
    """Probabilities by category."""

    def __init__(self, weights: Mapping[str, float]) -> None:
        """Normalize the weights."""
        self.fit(weights)

    def fit(self, weights: Mapping[str, float]) -> None:
        """The maximum-likelihood fit to weighted counts, of which one must be positive."""
        total = sum(weights.values())
        self.probabilities = {category: weight / total for category, weight in weights.items()}

    def save(self, directory: Path) -> None:
        """Write probabilities.json."""
        files.write_json(directory / "probabilities.json", self.probabilities)

    def restore(self, directory: Path) -> None:
        """Read probabilities.json."""
        self.probabilities = files.read_json(directory / "probabilities.json")

    export = save


class Gaussian(Model):
    """A mean and a standard deviation."""

    def __init__(self, values: Sequence[float]) -> None:
        """Fit the values by maximum likelihood."""
        self.fit(values)
        self.seen: list[float] = []
        """What was drawn so far, where the updater accumulates it."""

    def fit(self, values: Sequence[float], *, unbiased: bool = False) -> None:
        """Take the mean of the values and their variance, with divisor n or, unbiased, n - 1."""
        self.mean = fsum(values) / len(values)
        squares = fsum((value - self.mean) ** 2 for value in values)
        self.sd = sqrt(squares / (len(values) - unbiased))

    def save(self, directory: Path) -> None:
        """Write gaussian.json, with what the run must remember."""
        shape: dict[str, Any] = {"mean": self.mean, "sd": self.sd}
        files.write_json(directory / "gaussian.json", shape | ({"seen": self.seen} if self.seen else {}))

    def restore(self, directory: Path) -> None:
        """Read gaussian.json."""
        saved = files.read_json(directory / "gaussian.json")
        self.mean, self.sd = saved["mean"], saved["sd"]
        self.seen = saved.get("seen", [])

    def export(self, directory: Path) -> None:
        """Write gaussian.json: mean and standard deviation."""
        files.write_json(directory / "gaussian.json", {"mean": self.mean, "sd": self.sd})


class CategoricalLoader(ModelLoader):
    """The categories' frequencies in the whole data, or those that a run has exported."""

    provides: ClassVar[str] = "categorical"
    works_on: ClassVar[tuple[str, ...]] = ("categories",)

    reads: ClassVar[tuple[str, ...]] = ("full",)

    path: str | None = None
    """A directory with an exported model."""

    def splits_read(self, data: HasSplits) -> list[str]:
        """Return what is fitted: nothing where a model is opened."""
        return [] if self.path else super().splits_read(data)

    def load(self, data: Dataset, seed: int) -> Categorical:
        """Fit the "full" split, or open what was exported."""
        if self.path is None:
            return Categorical(Counter(answers(data.load("full"))))
        file = Path(self.path) / "probabilities.json"
        if not file.exists():
            raise CollapseError(f"{self.path} holds no categorical model (there is no {file.name} in it)")
        return Categorical(files.read_json(file))


class GaussianLoader(ModelLoader):
    """The mean and the standard deviation of the whole data."""

    provides: ClassVar[str] = "gaussian"
    works_on: ClassVar[tuple[str, ...]] = ("numbers",)

    reads: ClassVar[tuple[str, ...]] = ("full",)

    def load(self, data: Dataset, seed: int) -> Gaussian:
        """Fit the "full" split."""
        return Gaussian(answers(data.load("full")))


def answers(prompts: Sequence[Prompt]) -> list[Any]:
    """Return the true answers of prompts that were loaded with them: cities or numbers."""
    return [prompt.target for prompt in prompts]
