"""What a judge says of images that were drawn for given classes."""

from collections.abc import Mapping, Sequence
from math import exp, log
from typing import Any

from collapse_core import Content
from collapse_diffusion.evaluators.distances import mean_pairwise_distance
from collapse_diffusion.judging.recognizer import Recognizer


class Verdicts:
    """A judge's probabilities for each image, and the class that each should show."""

    def __init__(self, judge: Recognizer, names: Sequence[Content], images: Sequence[Content]) -> None:
        """Ask the judge about each image, drawn for the class of the same place."""
        self.judge, self.names, self.images = judge, list(names), list(images)
        self.probabilities = judge.probabilities(images)
        self.seen = [judge.classes[index] for index in self.probabilities.argmax(1).tolist()]

    def right(self, name: Content = None) -> list[float]:
        """Return one for each image that is seen as its class, else zero; of all classes or of one."""
        pairs = zip(self.names, self.seen, strict=True)
        return [float(seen == asked) for asked, seen in pairs if name is None or asked == name]

    def likelihood(self) -> list[float]:
        """Return how likely each image shows its class."""
        columns = [self.judge.column(name) for name in self.names]
        return [float(self.probabilities[row, column]) for row, column in enumerate(columns)]

    def shares(self) -> Mapping[Content, float]:
        """Return what share of the images is seen as each class the judge knows."""
        return {name: self.seen.count(name) / len(self.seen) for name in self.judge.classes}

    def effective_num_classes(self) -> float:
        """Return the exponential of the entropy of the shares: 1 when all images are seen as one class."""
        return exp(-sum(share * log(share) for share in self.shares().values() if share))

    def diversity(self) -> float:
        """Return the mean distance in features between two images that are seen as one class.

        Classes with fewer than two images count nothing; without any pair it is 0.
        """
        features = self.judge.features(self.images)
        apart, num_pairs = 0.0, 0
        for name in self.judge.classes:
            rows = [row for row, seen in enumerate(self.seen) if seen == name]
            pairs = len(rows) * (len(rows) - 1) // 2
            apart += pairs * mean_pairwise_distance(features[rows])
            num_pairs += pairs
        return apart / num_pairs if num_pairs else 0.0

    def examples(self, split: str, num: int) -> list[dict[str, Any]]:
        """Return the first images of each class, as rows to look at; the score is how likely they show it."""
        likelihood = self.likelihood()
        return [
            {"split": split, "prompt": f"{name}/{i}", "answer": image, "target": None, "score": score}
            for name in dict.fromkeys(self.names)
            for i, (image, score) in enumerate(self._of(name, likelihood)[:num])
        ]

    def _of(self, name: Content, likelihood: Sequence[float]) -> list[tuple[Content, float]]:
        pairs = zip(self.images, likelihood, strict=True)
        return [pair for pair, asked in zip(pairs, self.names, strict=True) if asked == name]
