"""The rewards that need to know no domain: distances in a space that another part defines."""

import math
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

from annotated_types import Ge
from pydantic import PrivateAttr, SerializeAsAny

from collapse_core.contracts.interfaces import Dataset, Features, Reward
from collapse_core.contracts.seeds import derive_seed
from collapse_core.contracts.types import Completion, Content, Prompt
from collapse_core.errors import CollapseError
from collapse_core.plugins.registry import part

Space = Annotated[SerializeAsAny[Features], part("features")]


class ContrastiveDistance(Reward):
    """How much nearer to the retain data than to what the model itself used to answer.

    d(x, the model's own original answers to prompts of equal content) - d(x, retain examples), where d is
    the mean Euclidean distance to the nearest few in feature space. It needs neither a forget example nor
    a classifier: the first term alone would reward leaving the data altogether, the second calls back.
    """

    reads: ClassVar[tuple[str, ...]] = ("retain",)

    features: Space
    """The space in which distances are taken, such as `{use: flattened}`."""
    neighbors: Annotated[int, Ge(1)] = 5
    """How many of the nearest each distance is the mean of, or all where there are fewer."""
    num_retain: Annotated[int, Ge(1)] = 1000
    """How many retain examples are compared with, drawn once for all; or all where there are fewer."""

    _own: dict[str, Any] = PrivateAttr(default_factory=dict)
    _retained: Any = PrivateAttr(default=None)

    def prepare(self, data: Dataset, prompts: Sequence[Prompt], references: Mapping[str, Completion]) -> None:
        """Place the model's own answers, by the content of their prompt, and a sample of the retain data."""
        self.features.prepare(data)
        own: dict[str, list[Content]] = defaultdict(list)
        for prompt in prompts:
            own[prompt.content_key].append(references[prompt.id].content)
        retained = [prompt.target for prompt in data.load("retain")]
        if not retained:
            raise CollapseError(
                f"the reward '{self.use}' compares with the split 'retain', which is empty; retain some data "
                "or choose another reward"
            )
        draw = random.Random(derive_seed(0, "contrastive-distance"))
        chosen = draw.sample(retained, min(self.num_retain, len(retained)))
        self._own = {key: self.features.extract(contents) for key, contents in own.items()}
        self._retained = self.features.extract(chosen)

    def score(
        self, prompt: Prompt, completions: Sequence[Completion], reference: Completion | None
    ) -> list[float | None]:
        """Subtract the distances; abstain for a prompt whose content was not there to be answered."""
        own = self._own.get(prompt.content_key)
        if own is None or not completions:
            return [None] * len(completions)
        from collapse_core.torch.model import mean_nearest_distance

        places = self.features.extract([completion.content for completion in completions])
        away = mean_nearest_distance(places, own, self.neighbors)
        back = mean_nearest_distance(places, self._retained, self.neighbors)
        return [a - b for a, b in zip(away, back, strict=True)]


class SameNoiseDistance(Reward):
    """How far from what the original model draws from the same starting noise.

    The Euclidean distance to the completion's twin in feature space. It follows each draw on its own, where
    `contrastive-distance` compares with a cloud of answers; alone it rewards leaving the data, so that it
    wants `enough`, or company. A completion without a twin gets None; a sampler draws twins when told to.
    """

    reads: ClassVar[tuple[str, ...]] = ("retain",)

    features: Space
    """The space in which distances are taken, such as `{use: flattened}`."""
    enough: Annotated[float, Ge(0)] | None = None
    """The distance beyond which nothing more is earned."""

    def prepare(self, data: Dataset, prompts: Sequence[Prompt], references: Mapping[str, Completion]) -> None:
        """Prepare the features."""
        self.features.prepare(data)

    def score(
        self, prompt: Prompt, completions: Sequence[Completion], reference: Completion | None
    ) -> list[float | None]:
        """Measure each pair."""
        return [self._distance(completion) for completion in completions]

    def _distance(self, completion: Completion) -> float | None:
        if completion.paired_reference is None:
            return None
        one, other = self.features.extract([completion.content, completion.paired_reference])
        distance = math.dist(one, other)
        return distance if self.enough is None else min(distance, self.enough)
