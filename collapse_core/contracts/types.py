"""The records that pass through the loop: frozen, and free of any domain."""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from collapse_core.contracts.seeds import derive_seed

Content: TypeAlias = Any
"""What is asked or answered: plain JSON data (text, a class, a row, nested lists of numbers)."""


def as_text(content: Content) -> str:
    """Return a content as people read it: a text as it is, anything else as JSON."""
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A question to the model, whatever the domain takes for a question."""

    id: str
    content: Content
    target: Content = None
    """The true answer; None where the run may not know it."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Columns that give the answer away, for evaluators: paraphrased and wrong answers. They go with it."""
    columns: Mapping[str, Any] = field(default_factory=dict)
    """The row's other columns, neither question nor answer, for rewards and evaluators."""

    @property
    def content_key(self) -> str:
        """The content as text: the same for all prompts that ask the same, as the draws of one class do."""
        return json.dumps(self.content, sort_keys=True, ensure_ascii=False)

    def without_target(self) -> "Prompt":
        """The prompt without its answer and without what gives the answer away."""
        return Prompt(self.id, self.content, columns=self.columns)


@dataclass(frozen=True)
class PromptSet(Sequence[Prompt]):
    """An ordered set of prompts that can be drawn from reproducibly."""

    prompts: tuple[Prompt, ...]

    def __len__(self) -> int:
        return len(self.prompts)

    def __iter__(self) -> Iterator[Prompt]:
        return iter(self.prompts)

    def __getitem__(self, index: Any) -> Any:
        return self.prompts[index]

    def without_targets(self) -> "PromptSet":
        """The prompts without their answers: what a run that needs no targets gets to see."""
        return PromptSet(tuple(prompt.without_target() for prompt in self))

    def unanswered(self) -> "list[Prompt]":
        """The prompts without an answer."""
        return [prompt for prompt in self if prompt.target is None]

    def answered(self, answers: "Mapping[str, Completion]") -> "PromptSet":
        """The prompts, those without an answer with one of these: completions by the prompt's id."""
        return PromptSet(
            tuple(
                replace(p, target=answers[p.id].content) if p.target is None and p.id in answers else p
                for p in self
            )
        )

    def batch(self, num: int | Literal["all"], iteration: int, seed: int) -> list[Prompt]:
        """The batch of prompts of an iteration.

        With "all", every prompt in order. With a number, batches are cut from shuffled passes, so that each
        prompt is seen once before any is seen twice; nothing is remembered between calls.

        Args:
            num: How many prompts an iteration takes, at most the size of the set.
            iteration: The number of the iteration, from 0.
            seed: The seed of the run, the same in every iteration.
        """
        if num == "all" or num >= len(self):
            return list(self)
        return [self._dealt(position, seed) for position in range(iteration * num, (iteration + 1) * num)]

    def _dealt(self, position: int, seed: int) -> Prompt:
        lap, place = divmod(position, len(self))
        order = random.Random(derive_seed(seed, "pass", lap)).sample(range(len(self)), len(self))
        return self.prompts[order[place]]

    def draw(self, num: int | Literal["all"], seed: int) -> list[Prompt]:
        """Draw `num` prompts uniformly, with replacement; or take all of them, once."""
        if num == "all":
            return list(self)
        return random.Random(seed).choices(self.prompts, k=num) if self.prompts else []


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer of the model."""

    content: Content
    number: int = 0
    """Its place in the group, from 0."""
    policy_version: int = 0
    """The number of the iteration whose model drew it."""
    finished: bool = True
    """False when the sampler stopped early, since it could no longer be kept."""
    paired_reference: Content = None
    """What the reference model draws from the same starting noise, where the sampler is set to draw it."""
    num_tokens: int | None = None
    """How many tokens were sampled for it; None where a completion is not made of tokens."""
    cut: bool = False
    """True when it is as long as the sampler allows and no end was drawn, so that none is to be learned."""


@dataclass(frozen=True, slots=True)
class Group:
    """The completions of one prompt in one iteration; empty when the prompt is settled."""

    prompt: Prompt
    completions: tuple[Completion, ...] = ()
    rewards: tuple[float, ...] = ()
    """One total per completion, higher is better forgotten; empty until scored."""
    breakdown: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)
    """The same by reward, before weighting; None where a reward abstained."""
    maximum: float = float("inf")
    """The highest total that any completion could have been given."""
    reference: Completion | None = None
    """The reference answer; set when the group is scored."""

    def keep(self, index: int, weight: float = 1.0, against: Content = None) -> "Kept":
        """Keep the completion at `index`, and say how it is to be learned; see `Kept`."""
        reward = self.rewards[index]
        settled = reward >= self.maximum
        return Kept(self.prompt, self.completions[index], reward, settled, weight, against)


@dataclass(frozen=True, slots=True)
class Kept:
    """A completion chosen for training, and for as long as nothing better comes, the incumbent."""

    prompt: Prompt
    completion: Completion
    reward: float
    settled: bool = False
    """True when no completion could be rewarded more."""
    weight: float = 1.0
    """How much it counts in training; an advantage may be negative."""
    against: Content = None
    """What it is preferred to, or None: the reference answer, the worst of its group, the true answer."""


@dataclass(frozen=True, slots=True)
class Iteration:
    """Where in the run we are: all that a part may know about time."""

    number: int
    total: int
    seed: int

    @classmethod
    def remaining(cls, start: int, total: int, run_seed: int) -> "Iterator[Iteration]":
        """The iterations still to do, from `start`."""
        return (
            cls(number, total, derive_seed(run_seed, "iteration", number)) for number in range(start, total)
        )

    @property
    def finished(self) -> int:
        """How many iterations are done once this one is."""
        return self.number + 1


@dataclass(frozen=True, slots=True)
class Metric:
    """A measured number, with what it takes to judge it."""

    value: float
    direction: Literal["up", "down", "none"] = "none"
    """Which way is better."""
    low: float | None = None
    """Lower end of the 95 % confidence interval over questions."""
    high: float | None = None
    """Upper end of it."""
    num: int | None = field(default=None, compare=False)
    """How many questions it is a mean over; None where it is no mean, or where nobody counted."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What an evaluator found: metrics by name, and examples worth reading."""

    metrics: Mapping[str, Metric]
    examples: Sequence[Mapping[str, Any]] = ()
    """Rows to read, such as {"split", "prompt", "answer", "target", "score"}."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """By metric that could not be measured: why, such as a split that the data set does not have."""


__all__ = [
    "Completion",
    "Content",
    "Evaluation",
    "Group",
    "Iteration",
    "Kept",
    "Metric",
    "Prompt",
    "PromptSet",
]
