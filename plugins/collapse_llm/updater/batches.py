"""What goes through the model together: shuffled batches, cut to what memory holds and to each process."""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from collapse_core import Iteration, Kept, Prompt, derive_seed, processes, progress
from collapse_llm.model.encoding import Encoder, Example
from collapse_llm.updater import GradientSteps

if TYPE_CHECKING:
    import torch

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class TrainingExample:
    """What is learned from one kept completion."""

    answers: tuple[Example, ...]
    """The answer to its question, and after it those that the method compares it with."""
    reward: float = 0.0
    """The reward of the kept answer."""
    weight: float = 1.0
    """How much it counts in the mean over the batch."""
    drawn_nll: "torch.Tensor | None" = None
    """The negative log-likelihood of each token of its answer under the model that drew it, of shape
    (num_labels,), for methods that need it."""
    importance: tuple[float, ...] = ()
    """How important each token of its last answer is, for methods that select tokens by that."""

    @property
    def agrees(self) -> bool:
        """Whether the answer is the one that the method compares it with."""
        return len(self.answers) > 1 and self.answers[0].ids == self.answers[-1].ids

    @property
    def longest(self) -> int:
        """How many tokens its longest row has."""
        return max(len(answer.ids) for answer in self.answers)

    @property
    def num_tokens(self) -> int:
        """How many tokens all of its rows have."""
        return sum(len(answer.ids) for answer in self.answers)


@dataclass(frozen=True, slots=True)
class Batch:
    """Training examples, and answers to retain."""

    kept: Sequence[TrainingExample]
    retain: Sequence[Example]

    @property
    def num_tokens(self) -> int:
        """How many tokens are trained on, with those of the questions."""
        kept = sum(example.num_tokens for example in self.kept)
        return kept + sum(len(example.ids) for example in self.retain)

    def parts(self, most: int | None) -> Iterator["Batch"]:
        """This process's share of each micro-batch of at most so many examples and retain answers.

        Micro-batches hold rows of similar length, so that little is padded. All processes have about as many
        tokens of each, since every step waits for the last of them.
        """
        kept = sorted(self.kept, key=lambda example: example.longest)
        retain = sorted(self.retain, key=lambda example: len(example.ids))
        longest = max(len(kept), len(retain))
        num = math.ceil(longest / (most or longest))
        for i in range(num):
            yield Batch(
                kept[i * len(kept) // num : (i + 1) * len(kept) // num],
                retain[i * len(retain) // num : (i + 1) * len(retain) // num],
            ).share(processes.current().index, processes.current().count)

    def share(self, index: int, count: int) -> "Batch":
        """What one of so many processes computes."""
        if count == 1:
            return self
        num_tokens = [one.num_tokens for one in self.kept] + [len(one.ids) for one in self.retain]
        owners = dealt(num_tokens, count)
        kept, retain = owners[: len(self.kept)], owners[len(self.kept) :]
        return Batch(
            [one for one, owner in zip(self.kept, kept, strict=True) if owner == index],
            [one for one, owner in zip(self.retain, retain, strict=True) if owner == index],
        )


def dealt(costs: Sequence[int], count: int) -> list[int]:
    """Return for each cost which of so many processes bears it, so that all bear about as much.

    The largest first, each to the process that bears least so far (Graham, SIAM J. Appl. Math. 17, 1969).
    """
    borne = [0] * count
    owners = [0] * len(costs)
    for place in sorted(range(len(costs)), key=lambda place: -costs[place]):
        owners[place] = borne.index(min(borne))
        borne[owners[place]] += costs[place]
    return owners


def batches_of(
    settings: GradientSteps,
    encoder: Encoder,
    kept: Sequence[Kept],
    retain: Sequence[Prompt],
    iteration: Iteration,
) -> list[Batch]:
    """The batches of an iteration, the retain answers spread over all of its epochs."""
    examples = [
        _example(settings, encoder, one, iteration)
        for one in kept
        if all(text.strip() for text in settings.answers(one, iteration))
    ]
    if len(examples) < len(kept):
        progress.announce(
            f"iteration {iteration.finished}: {len(kept) - len(examples)} of {len(kept)} kept answers are "
            "empty; nothing is learned from them"
        )
    retained = [encoder.example(prompt.content, prompt.target) for prompt in retain]
    return [
        batch
        for epoch in range(settings.epochs)
        for batch in paired_batches(
            examples,
            retained[epoch :: settings.epochs],
            settings.batch_size,
            derive_seed(iteration.seed, "update", epoch),
        )
    ]


def _example(settings: GradientSteps, encoder: Encoder, one: Kept, iteration: Iteration) -> TrainingExample:
    """Encode a kept completion; it has no end where it was cut, what it is compared with has one."""
    question, drawn = one.prompt.content, one.completion
    answers = tuple(
        encoder.example(question, text, drawn=True, ends=not (drawn.cut and text == drawn.content))
        for text in settings.answers(one, iteration)
    )
    return TrainingExample(answers, one.reward, one.weight)


def paired_batches(
    examples: Sequence[TrainingExample], retain: Sequence[Example], size: int, seed: int
) -> list[Batch]:
    """Shuffled batches of examples, the retain examples spread over them evenly."""
    ahead = _shuffled(examples, derive_seed(seed, "collapse"))
    others = _shuffled(retain, derive_seed(seed, "retain"))
    num = math.ceil((len(ahead) or len(others)) / size)
    return [Batch(ahead[i * size : (i + 1) * size], others[i::num]) for i in range(num)]


def _shuffled(items: Sequence[Item], seed: int) -> list[Item]:
    return random.Random(seed).sample(list(items), len(items))
