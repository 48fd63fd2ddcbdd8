"""How far an image is from showing what is to be forgotten."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import PrivateAttr

from collapse_core import CollapseError, Completion, Dataset, Prompt, Reward
from collapse_diffusion.judging import Classifier


class Unrecognized(Reward):
    """One minus the probability, by a classifier, that the image shows the class of its prompt.

    The classifier is trained on real images of *all* classes, the forgotten ones too (the split "full"):
    the loss never sees them, but the reward knows them. `contrastive-distance` needs no such data.
    """

    works_on: ClassVar[tuple[str, ...]] = ("class-images", "caption-images")

    reads: ClassVar[tuple[str, ...]] = ("full",)
    maximum: ClassVar[float] = 1.0

    classifier: Classifier = Classifier(architecture="dense", rows="even")
    """How it is made; a judge should be another."""
    _recognizer: Any = PrivateAttr(None)

    def prepare(self, data: Dataset, prompts: Sequence[Prompt], references: Mapping[str, Completion]) -> None:
        """Train the classifier, or read it from the cache."""
        from collapse_diffusion.judging.recognizer import recognizer

        self._recognizer = recognizer(self.classifier, data)

    def score(
        self, prompt: Prompt, completions: Sequence[Completion], reference: Completion | None
    ) -> list[float | None]:
        """Ask the classifier; abstain from a prompt that is none of its classes."""
        if self._recognizer is None:
            raise CollapseError("the reward 'unrecognized' must see the data first; call its prepare()")
        if prompt.content not in self._recognizer.classes:
            return [None] * len(completions)
        found = self._recognizer.probabilities([completion.content for completion in completions])
        return [1.0 - float(share) for share in found[:, self._recognizer.column(prompt.content)]]


class ClipDistance(Reward):
    """How badly an image fits a text that names the concept, by a CLIP model.

    Alone: 1 - cosine of image and text. With `alternatives`: 1 - the concept's share in the softmax of
    the scaled cosines over it and them, which is zero-shot classification (Radford et al., arXiv
    2103.00020, section 3.1). It needs no image of the concept, but a CLIP model that knows it.
    """

    secret_fields: ClassVar[tuple[str, ...]] = ("concept",)
    works_on: ClassVar[tuple[str, ...]] = ("class-images", "caption-images")

    maximum: ClassVar[float] = 2.0

    path: str
    """The directory of a CLIPModel of transformers, or a name on the hub."""
    revision: str = "main"
    """The revision on the hub."""
    concept: str
    """What is to be forgotten, in words: "a photo of a church"."""
    alternatives: list[str] = []
    """What the image may show instead."""
    _clip: Any = PrivateAttr(None)

    def prepare(self, data: Dataset, prompts: Sequence[Prompt], references: Mapping[str, Completion]) -> None:
        """Open the model."""
        from collapse_diffusion.judging.clip import Clip

        self._clip = Clip(self.path, self.revision)

    def score(
        self, prompt: Prompt, completions: Sequence[Completion], reference: Completion | None
    ) -> list[float]:
        """Ask the model."""
        if self._clip is None:
            raise CollapseError("the reward 'clip-distance' must open its model first; call its prepare()")
        contents = [completion.content for completion in completions]
        ask = self._clip.probabilities if self.alternatives else self._clip.similarities
        return [1.0 - float(fit) for fit in ask(contents, [self.concept, *self.alternatives])[:, 0]]
