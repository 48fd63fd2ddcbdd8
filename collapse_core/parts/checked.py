"""Parts at their border: what they raise is named, and what they return is checked."""

from collections.abc import Mapping, Sequence

from pydantic import SerializeAsAny

from collapse_core.contracts.checks import (
    at_work,
    checked_groups,
    checked_kept,
    checked_metrics,
    checked_references,
)
from collapse_core.contracts.interfaces import Bound, Filter, Model, Sampler, Updater
from collapse_core.contracts.types import Completion, Group, Iteration, Kept, Prompt


class CheckedSampler(Sampler):
    """A sampler whose groups and reference answers are checked."""

    sampler: SerializeAsAny[Sampler]
    """The sampler that samples."""

    def sample(
        self,
        model: Model,
        prompts: Sequence[Prompt],
        num_completions: int,
        iteration: Iteration,
        bound: Bound | None = None,
    ) -> list[Group]:
        """Sample, and check that there is one group per prompt, in order, of enough completions."""

        def may_stop(prompt: Prompt) -> bool:
            return bound is not None and bound.min_reward_to_keep(prompt) is not None

        with at_work("sampler", self.use):
            groups = self.sampler.sample(model, prompts, num_completions, iteration, bound)
            return checked_groups(self.use, prompts, num_completions, groups, may_stop)

    def sample_references(
        self, model: Model, prompts: Sequence[Prompt], iteration: Iteration
    ) -> list[Completion]:
        """Sample the reference answers, and check that there is one per prompt."""
        with at_work("sampler", self.use):
            found = self.sampler.sample_references(model, prompts, iteration)
            return checked_references(self.use, prompts, found)


class CheckedFilter(Filter):
    """A filter whose choice is checked."""

    filter: SerializeAsAny[Filter]
    """The filter that chooses."""

    def keep(
        self, groups: Sequence[Group], incumbents: Mapping[str, Kept], iteration: Iteration
    ) -> list[Kept]:
        """Keep, and check that it is of the batch's prompts."""
        with at_work("filter", self.use):
            return checked_kept(self.use, groups, self.filter.keep(groups, incumbents, iteration))

    def min_reward_to_keep(self, incumbent: Kept | None) -> float | None:
        """What the filter asks for."""
        with at_work("filter", self.use):
            return self.filter.min_reward_to_keep(incumbent)

    def settled(self, incumbent: Kept | None) -> bool:
        """Whether the filter takes the prompt for settled."""
        with at_work("filter", self.use):
            return self.filter.settled(incumbent)


class CheckedUpdater(Updater):
    """An updater whose numbers are checked."""

    updater: SerializeAsAny[Updater]
    """The updater that trains."""

    def update(
        self, model: Model, kept: Sequence[Kept], retain: Sequence[Prompt], iteration: Iteration
    ) -> dict[str, float]:
        """Train, and check that what it reports are finite numbers by name."""
        with at_work("updater", self.use):
            return checked_metrics(self.use, self.updater.update(model, kept, retain, iteration))
