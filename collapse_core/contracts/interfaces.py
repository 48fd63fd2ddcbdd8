"""The parts of a run. Each interface has one method that must be written."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, ClassVar, Protocol

from annotated_types import Ge, Le

from collapse_core import errors
from collapse_core.contracts.callbacks import Callback as Callback
from collapse_core.contracts.component import Component
from collapse_core.contracts.exports import ExportedModel
from collapse_core.contracts.pictures import Picture
from collapse_core.contracts.types import (
    Completion,
    Content,
    Evaluation,
    Group,
    Iteration,
    Kept,
    Prompt,
    PromptSet,
    as_text,
)


class Model(ABC):
    """What a run trains: the domain's network, with all that its updater must remember."""

    _load_reference: Callable[[], "Model"] | None = None
    _reference: "Model | None" = None

    def set_reference(self, load: Callable[[], "Model"]) -> None:
        """Say how the model is loaded as it was before unlearning; `Recipe.load_model` does."""
        self._load_reference = load

    @contextmanager
    def reference(self) -> Iterator["Model"]:
        """Give the reference model: this model before unlearning, also after a resumption.

        Rewards, samplers, updaters and evaluators all ask for it here. It is not to be trained. By default it
        is loaded a second time at its first use, and stays in memory; a domain that can do with less, such as
        by switching adapters off, overrides this.

        Raises:
            CollapseError: Nobody has said how to load it.
        """
        if self._reference is None:
            if self._load_reference is None:
                raise errors.CollapseError(
                    f"{type(self).__name__} does not know how it was loaded, so it has no reference model; "
                    "load it with Recipe.load_model(), or call set_reference()"
                )
            self._reference = self._load_reference()
        yield self._reference

    def fingerprint(self) -> str | None:
        """Return a digest of the weights, which tells one state of the model from another.

        By it measurements are kept for other runs. By default None: the model is measured each time.
        """
        return None

    def not_finite(self) -> str | None:
        """Return the name of a weight that is NaN or infinite; with one, nothing is measured."""
        return None

    def pieces(self, prompt: Prompt, answer: Content = None) -> Sequence[tuple[str, bool]]:
        """Show how the model is given a prompt, or with an answer how it is trained on it.

        Returns:
            Texts in order, such as tokens, each with whether it is learned. By default the content of the
            prompt, then the answer, which is learned whole.
        """
        shown = [(as_text(prompt.content), False)]
        return shown if answer is None else [*shown, (as_text(answer), True)]

    @abstractmethod
    def save(self, directory: Path) -> None:
        """Write everything needed to go on training into an existing, empty directory."""

    @abstractmethod
    def restore(self, directory: Path) -> None:
        """Become exactly what `save` wrote."""

    @abstractmethod
    def export(self, directory: Path) -> None:
        """Write the model in its domain's native format, loadable without collapse."""


class Dataset(Component, ABC):
    """Where prompts come from."""

    @abstractmethod
    def load(self, split: str, *, targets: bool = True) -> PromptSet:
        """Load a split.

        Args:
            split: "forget" and "retain" always exist; evaluators may ask for further ones.
            targets: Whether the true answers are loaded. If not, they must not be read at all; what is
                neither question nor answer stays with each prompt in `columns` in either case.

        Raises:
            CollapseError: The split does not exist here, or its source cannot be read.
        """

    def splits(self) -> Sequence[str] | None:
        """The splits that can be loaded, found without reading them; None, the default, where unknown."""
        return None

    def has(self, split: str) -> bool:
        """Whether a split can be loaded, as far as is known."""
        known = self.splits()
        return known is None or split in known

    def provenance(self) -> Mapping[str, object]:
        """What the run's manifest says of the data: sources and digests."""
        return {}

    def describe_overlap(self) -> str:
        """Say in one line, without a text of a row and in bounded time, how much is on both sides.

        A report and `collapse eval` show what was said. Empty, the default, where nothing is known.
        """
        return ""

    def picture(self, content: Content) -> Picture | None:
        """How a report shows a content of this domain; by default as text, which is None.

        It is asked long after the run, of whatever the run's files hold, while the data may be gone. If it
        raises anything, the content is shown as text.
        """
        return None


class ModelLoader(Component, ABC):
    """How to get the model that is to forget."""

    @abstractmethod
    def load(self, data: Dataset, seed: int) -> Model:
        """Load the model, or teach it from the data when the recipe says so."""

    def provenance(self) -> Mapping[str, object]:
        """What the run's manifest says of the model: where it comes from, by digest."""
        return {}

    def token_ids(self, texts: Sequence[str], exported: Path) -> Sequence[Sequence[int]]:
        """How the tokenizer of the exported model writes texts; `collapse scrub` searches for that.

        Returns:
            Any number of sequences of token ids, without special tokens. By default a model has no tokenizer.
        """
        return ()

    def describe_export(self, directory: Path) -> ExportedModel | None:
        """Return what model cards say of the model that was exported to a directory.

        None, the default, where such models are not handed over.
        """
        return None


class Bound(Protocol):
    """What total reward a completion can still get, for samplers that stop early."""

    def min_reward_to_keep(self, prompt: Prompt) -> float | None:
        """The total reward that a completion of this prompt must reach to be kept.

        None when one that is not the best of its group may be kept too: then no completion may be left
        unfinished. Otherwise, of equals in a group, the first is kept.
        """

    def lower_bound(self, prompt: Prompt, finished: Content) -> float:
        """The least total reward that a finished completion is sure to get."""

    def upper_bound(self, prompt: Prompt, partial: Content) -> float:
        """The highest total reward that any continuation of `partial` can get."""


class Sampler(Component, ABC):
    """How completions are sampled from the model."""

    @abstractmethod
    def sample(
        self,
        model: Model,
        prompts: Sequence[Prompt],
        num_completions: int,
        iteration: Iteration,
        bound: Bound | None = None,
    ) -> list[Group]:
        """Sample completions of each prompt.

        Every draw is seeded by (iteration.seed, prompt.id, completion number), so that the result
        depends neither on the order of the prompts nor on how they are batched.

        Returns:
            One group per prompt, in the order of the prompts, each of `num_completions`.
        """

    def sample_references(
        self, model: Model, prompts: Sequence[Prompt], iteration: Iteration
    ) -> list[Completion]:
        """The reference answers, sampled before unlearning, one per prompt; by default a single draw."""
        return [group.completions[0] for group in self.sample(model, prompts, 1, iteration)]


class Features(Component, ABC):
    """A space in which distances between contents mean something."""

    def prepare(self, data: Dataset) -> None:
        """Learn what `extract` needs, such as scales; called once, before it.

        It may read the split "retain" and no other, so that the space never saw what is to be forgotten.
        What is learned is derived data: it goes into private attributes, and is never saved.
        """

    @abstractmethod
    def extract(self, contents: Sequence[Content]) -> Sequence[Sequence[float]]:
        """The features of each content, in order.

        Returns:
            One row of numbers per content, all of one length; a two-dimensional array will do. A row
            depends on its own content alone.
        """


class Reward(Component, ABC):
    """How well forgotten a completion is. Higher is better forgotten."""

    maximum: ClassVar[float] = float("inf")
    """The highest score there is; a prompt whose kept answer reaches it is settled."""

    weight: Annotated[float, Ge(-1e9), Le(1e9)] = 1.0
    """How much this reward counts in the rubric's sum."""

    def use_model(self, model: Model) -> None:
        """Take the run's model, to ask it or its `reference()`; called once, before `prepare`.

        By default the reward needs no model.
        """

    def prepare(self, data: Dataset, prompts: Sequence[Prompt], references: Mapping[str, Completion]) -> None:
        """Learn what `score` needs; called once, before the first iteration of a run and of its resumption.

        What is learned must be the same each time. It is derived data: it goes into private attributes
        (`_name: type = PrivateAttr()`), and is never saved.

        Args:
            data: The data set, to load further splits from.
            prompts: The forget prompts; their targets are None unless some part needs them.
            references: By prompt id, the reference answer.
        """

    @abstractmethod
    def score(
        self, prompt: Prompt, completions: Sequence[Completion], reference: Completion | None
    ) -> Sequence[float | None]:
        """Score the completions of one prompt.

        Args:
            prompt: The prompt; its target is None unless `needs_targets`.
            completions: The completions to score.
            reference: What the model answered before unlearning.

        Returns:
            One number per completion, in order; None abstains.
        """

    def upper_bound(self, prompt: Prompt, partial: Content, reference: Completion | None) -> float:
        """The highest score that any continuation of `partial` can get; by default `maximum`.

        The partial completion itself is a continuation. A reward whose upper bound can be below zero must
        not abstain.
        """
        return self.maximum

    def lower_bound(self, prompt: Prompt, finished: Content, reference: Completion | None) -> float:
        """The least score that a finished completion is sure to get; by default minus infinity.

        Samplers ask while the rest of its group is still being sampled, to stop those early that can no
        longer beat it. Override it where the answer costs little and does not depend on the group, and then
        do not abstain.
        """
        return -math.inf


class Filter(Component, ABC):
    """Which completions are trained on, each with a weight and with what it is preferred to."""

    def sets_against(self) -> bool:
        """Whether every kept completion has an `against`; by default none has."""
        return False

    def sets_weights(self) -> bool:
        """Whether kept completions may have weights other than 1; by default all weigh the same."""
        return False

    @abstractmethod
    def keep(
        self, groups: Sequence[Group], incumbents: Mapping[str, Kept], iteration: Iteration
    ) -> list[Kept]:
        """Choose from scored groups; a filter may keep nothing.

        Args:
            groups: One group per prompt of the batch; a settled prompt's group is empty.
            incumbents: What was kept last, by prompt id.
            iteration: Where in the run we are.
        """

    def min_reward_to_keep(self, incumbent: Kept | None) -> float | None:
        """The reward that the best completion of a group needs in order to be kept.

        None, the default, when others than the best of a group may be kept. Otherwise the first of the
        best must be kept, and a sampler may stop a completion early that cannot become that.
        """
        return None

    def settled(self, incumbent: Kept | None) -> bool:
        """Whether the prompt of this incumbent needs no more sampling."""
        return False


class Updater(Component, ABC):
    """How the model is trained on what was kept, together with data to retain."""

    needs_against: ClassVar[bool] = False
    """Whether every kept completion must say what it is preferred to."""
    uses_weights: ClassVar[bool] = False
    """Whether the weights of kept completions count."""

    def learns_from_pairs(self) -> bool:
        """Whether every kept completion must say what it is preferred to, as this recipe sets it."""
        return self.needs_against

    @abstractmethod
    def update(
        self, model: Model, kept: Sequence[Kept], retain: Sequence[Prompt], iteration: Iteration
    ) -> dict[str, float]:
        """Train the model in place.

        Args:
            model: The model.
            kept: Completions to train on, perhaps several per prompt.
            retain: Retain prompts with their targets, drawn for this iteration.
            iteration: Where in the run we are, for schedules and seeds.

        Returns:
            Numbers for the journal, such as losses.
        """


class Evaluator(Component, ABC):
    """What measures a model."""

    optional_splits: ClassVar[tuple[str, ...]] = ()
    """Those of `reads` that it can do without: what a missing one would give is listed as missing."""
    known_from: ClassVar[tuple[str, float] | None] = None
    """A metric, and its lowest value in a model that knows what is to be forgotten; less is reported."""
    definition: ClassVar[int] = 1
    """Raised by one when a metric comes to mean something else; stored with what was measured."""
    meanings: ClassVar[Mapping[str, str]] = {}
    """Its metrics and what they mean; `*` in a name stands for any text, and the first that fits counts."""
    repeatable: ClassVar[bool] = False
    """Whether its settings, the model, the data and the seed determine what it finds. Then what it finds in
    a model before unlearning, or in a baseline, is kept in the cache for other runs."""
    attacks: ClassVar[bool] = False
    """Whether it tries to make the model say what was forgotten; certificates list what came out."""

    @abstractmethod
    def evaluate(self, model: Model, data: Dataset, seed: int) -> Evaluation:
        """Measure the model. Evaluators load their own splits, true answers included.

        A metric that needs an optional split that the data set does not have goes into `missing`.
        """

    def read_logs(self, logs: Sequence[Path]) -> Evaluation:
        """Compute the metrics from published logs: of the measured model, then of what it is held against.

        Raises:
            CollapseError: This evaluator reads no logs, or not these, or needs further ones.
        """
        raise errors.CollapseError(
            f"the evaluator '{self.use or type(self).__name__}' reads no logs; it measures a model"
        )

    def write_logs(self, rows: Sequence[Mapping[str, Any]]) -> Mapping[str, object]:
        """Return what all evaluators measured in one model, as published logs by file name.

        Raises:
            CollapseError: This evaluator writes no logs, which is the default, or not of these rows.
        """
        raise errors.CollapseError(f"the evaluator '{self.use or type(self).__name__}' writes no logs")


class Tracker(Component, Callback, ABC):
    """A callback that a recipe names under `track:`, and the only thing that may report elsewhere."""
