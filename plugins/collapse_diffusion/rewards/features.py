"""Spaces in which images can be compared, learned from retain data alone."""

from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import PrivateAttr

from collapse_core import CollapseError, Content, Dataset, Features
from collapse_diffusion.judging import Classifier


class RetainedClasses(Features):
    """What the last hidden layer of a classifier of the retained classes makes of an image.

    The classifier is trained on the split "retain" and no other, so it never saw what is to be forgotten.
    """

    works_on: ClassVar[tuple[str, ...]] = ("class-images", "caption-images")

    classifier: Classifier = Classifier(architecture="dense", rows="all")
    """How it is made; a judge should be another."""
    _recognizer: Any = PrivateAttr(None)

    def prepare(self, data: Dataset) -> None:
        """Train the classifier, or read it from the cache."""
        from collapse_diffusion.judging.recognizer import recognizer

        self._recognizer = recognizer(self.classifier, data, "retain")

    def extract(self, contents: Sequence[Content]) -> Any:
        """Return an array of shape (images, features)."""
        if self._recognizer is None:
            raise CollapseError("the features 'retained-classes' must see the data first; call prepare()")
        return self._recognizer.features(contents).numpy()
