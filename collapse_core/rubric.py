"""A weighted set of rewards: one total per completion, with the breakdown by reward."""

from collections.abc import Mapping, Sequence

from collapse_core.contracts.checks import at_work, scores_of
from collapse_core.contracts.interfaces import Dataset, Filter, Reward
from collapse_core.contracts.state import State
from collapse_core.contracts.types import Completion, Content, Group, Prompt


class Rubric:
    """Scores groups by the weighted sum of rewards; what a reward abstains from counts nothing."""

    def __init__(self, rewards: Sequence[Reward]) -> None:
        """Take the rewards; two of one name get their position as a suffix."""
        names = [reward.use or type(reward).__name__ for reward in rewards]
        self.rewards = {
            name if names.count(name) == 1 else f"{name}#{position}": reward
            for position, (name, reward) in enumerate(zip(names, rewards, strict=True))
        }
        self.maximum = sum((_weigh(r, r.maximum) for r in rewards), 0.0) if rewards else float("inf")

    def prepare(self, data: Dataset, prompts: Sequence[Prompt], references: Mapping[str, Completion]) -> None:
        """Let each reward learn what it needs."""
        for name, reward in self.rewards.items():
            with at_work("reward", name):
                reward.prepare(data, prompts, references)

    def score(self, group: Group, reference: Completion | None) -> Group:
        """The group with its rewards filled in.

        Raises:
            CollapseError: A reward failed, or returned something else than a number or None per completion.
        """
        breakdown = {name: self._ask(name, reward, group, reference) for name, reward in self.rewards.items()}
        totals = tuple(
            sum(
                (r.weight * s for r, s in zip(self.rewards.values(), scores, strict=True) if s is not None),
                0.0,
            )
            for scores in zip(*breakdown.values(), strict=True)
        ) or (0.0,) * len(group.completions)
        return Group(group.prompt, group.completions, totals, breakdown, self.maximum, reference)

    def _ask(
        self, name: str, reward: Reward, group: Group, reference: Completion | None
    ) -> tuple[float | None, ...]:
        if not group.completions:
            return ()
        with at_work("reward", name, group.prompt):
            returned = reward.score(group.prompt, group.completions, reference)
            return scores_of(name, group.prompt, len(group.completions), returned)


def _weigh(reward: Reward, highest: float) -> float:
    """What the reward can add at most; a reward that is weighed negatively bounds nothing."""
    if reward.weight == 0:
        return 0.0
    return reward.weight * highest if reward.weight > 0 else float("inf")


def _weigh_least(reward: Reward, lowest: float) -> float:
    """What the reward adds at least; a reward that is weighed negatively assures nothing."""
    if reward.weight == 0:
        return 0.0
    return reward.weight * lowest if reward.weight > 0 else -float("inf")


class RubricBound:
    """What a partial completion can still become, and what it would have to, as the samplers' `Bound`."""

    def __init__(self, rubric: Rubric, filter_: Filter, state: State) -> None:
        """Take what rewards, what keeps, and what the run remembers of the prompts."""
        self.rubric = rubric
        self.filter = filter_
        self.state = state

    def min_reward_to_keep(self, prompt: Prompt) -> float | None:
        """What the filter asks of a challenger of the prompt's incumbent."""
        return self.filter.min_reward_to_keep(self.state.incumbents.get(prompt.id))

    def upper_bound(self, prompt: Prompt, partial: Content) -> float:
        """The weighted sum of the rewards' ceilings."""
        reference = self.state.references.get(prompt.id)
        rewards = self.rubric.rewards.values()
        return sum((_weigh(r, r.upper_bound(prompt, partial, reference)) for r in rewards), 0.0)

    def lower_bound(self, prompt: Prompt, finished: Content) -> float:
        """The weighted sum of what the rewards assure."""
        reference = self.state.references.get(prompt.id)
        rewards = self.rubric.rewards.values()
        return sum((_weigh_least(r, r.lower_bound(prompt, finished, reference)) for r in rewards), 0.0)
