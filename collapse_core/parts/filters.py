"""The filters that need to know no domain."""

import math
import random
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from statistics import fmean, pstdev
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le

from collapse_core.contracts.interfaces import Filter
from collapse_core.contracts.seeds import derive_seed
from collapse_core.contracts.types import Content, Group, Iteration, Kept

Against = Literal["reference", "worst-of-group", "target"]


class _SettingAgainst(Filter):
    """A filter that may say what its kept completions are preferred to."""

    against: Against | None = None
    """What a kept completion is preferred to, for updaters that learn from pairs: the reference answer, the
    completion of the lowest reward in its group, or the true answer, which the run then reads."""

    def reads_targets(self) -> bool:
        """True answers are read only to be set against."""
        return self.needs_targets or self.against == "target"

    def sets_against(self) -> bool:
        """Whether the recipe names what is set against."""
        return self.against is not None

    def rejected(self, group: Group) -> Content:
        """What a completion that is kept of a group is preferred to; None where nothing is."""
        if self.against == "reference":
            return group.reference.content if group.reference else None
        if self.against == "worst-of-group":
            return group.completions[group.rewards.index(min(group.rewards))].content
        return group.prompt.target if self.against == "target" else None


class _OneEach(_SettingAgainst):
    """A filter that keeps at most one completion per prompt, and may remember it."""

    memory: bool = True
    """Keep the best completion so far, until one comes that is at least as good."""
    at_least: float | None = None
    """Keep nothing for a prompt whose best reward is below this."""

    @abstractmethod
    def choose(self, group: Group, seed: int) -> int:
        """The index of the completion to keep from a group that has some."""

    def keep(
        self, groups: Sequence[Group], incumbents: Mapping[str, Kept], iteration: Iteration
    ) -> list[Kept]:
        """One completion per prompt: the challenger, or the incumbent while that is better."""
        chosen = [self._keep(group, incumbents.get(group.prompt.id), iteration) for group in groups]
        return [kept for kept in chosen if kept is not None]

    def _keep(self, group: Group, incumbent: Kept | None, iteration: Iteration) -> Kept | None:
        incumbent = incumbent if self.memory else None
        if not group.completions:
            return incumbent
        index = self.choose(group, derive_seed(iteration.seed, "filter", group.prompt.id))
        challenger = group.keep(index, against=self.rejected(group))
        best = incumbent if incumbent and incumbent.reward > challenger.reward else challenger
        return best if self.at_least is None or best.reward >= self.at_least else None

    def settled(self, incumbent: Kept | None) -> bool:
        """Nothing can replace an incumbent that no completion could beat."""
        return self.memory and incumbent is not None and incumbent.settled


class BestOfN(_OneEach):
    """Keep the completion of the highest reward; of equals, the first."""

    def choose(self, group: Group, seed: int) -> int:
        """The first of the best."""
        return max(range(len(group.rewards)), key=group.rewards.__getitem__)

    def min_reward_to_keep(self, incumbent: Kept | None) -> float | None:
        """The incumbent's reward, or the least that is kept; None where the worst of a group is needed."""
        if self.against == "worst-of-group":
            return None
        least = -math.inf if self.at_least is None else self.at_least
        return max(least, incumbent.reward) if self.memory and incumbent else least


class PassingFirst(_OneEach):
    """Keep any completion that passes, else the best; of equals, one drawn at random.

    By how much a completion passes does not matter: a continuous reward is not driven to its extreme, far
    from all data. While nothing passes, the best still leads the way.
    """

    threshold: float
    """The reward from which on a completion passes."""
    memory: bool = False
    """Keep what has passed, and sample its prompt no more; off by default, since anew keeps variety."""

    def choose(self, group: Group, seed: int) -> int:
        """A uniform draw among those that pass, or among the best."""
        least = min(self.threshold, max(group.rewards))
        return random.Random(seed).choice([i for i, reward in enumerate(group.rewards) if reward >= least])

    def settled(self, incumbent: Kept | None) -> bool:
        """What has passed is as good as any."""
        return self.memory and incumbent is not None and incumbent.reward >= self.threshold


class BradleyTerry(_OneEach):
    """Keep a completion drawn by exp(reward / temperature), as in the paper's theory.

    P(k) = exp(r_k / t) / sum_j exp(r_j / t); t -> 0 is best-of-n (Ferbach et al., arXiv 2407.09499).
    """

    memory: bool = False
    """Keep the best completion so far; off by default, since the theory draws anew each iteration."""
    temperature: Annotated[float, Gt(0)] = 1.0
    """How far rewards may differ before the lower one is hardly drawn."""

    def choose(self, group: Group, seed: int) -> int:
        """A draw from the softmax of the rewards."""
        best = max(group.rewards)
        odds = [math.exp((reward - best) / self.temperature) for reward in group.rewards]
        return random.Random(seed).choices(range(len(odds)), weights=odds)[0]


class GroupAdvantages(Filter):
    """Keep every completion with its advantage as its weight, as policy gradients weigh them.

    A_k = r_k - mean(r), over the population standard deviation of the group where `scale` is set (GRPO,
    arXiv 2402.03300, equation 3); without it as in Dr. GRPO (arXiv 2503.20783). A group whose rewards are all
    equal teaches nothing, and is not kept.
    """

    scale: bool = True
    """Divide advantages by the standard deviation of the group's rewards."""

    def sets_weights(self) -> bool:
        """Advantages are weights."""
        return True

    def keep(
        self, groups: Sequence[Group], incumbents: Mapping[str, Kept], iteration: Iteration
    ) -> list[Kept]:
        """All finished completions of groups whose rewards differ, in the order of the prompts."""
        return [one for group in groups for one in self._keep(group)]

    def _keep(self, group: Group) -> list[Kept]:
        finished = [index for index, one in enumerate(group.completions) if one.finished]
        rewards = [group.rewards[index] for index in finished]
        if len(set(rewards)) < 2:
            return []
        mean, divisor = fmean(rewards), pstdev(rewards) if self.scale else 1.0
        return [group.keep(index, (group.rewards[index] - mean) / divisor) for index in finished]


class BestAndWorst(Filter):
    """Keep the best completion of a group, and the worst with a negative weight.

    Of equals, the first. A group whose rewards are all equal teaches nothing, and is not kept.
    """

    worst_weight: Annotated[float, Ge(0)] = 1.0
    """How much the worst counts, as a completion to unlearn; the best counts 1."""

    def sets_weights(self) -> bool:
        """One is learned and one is unlearned."""
        return True

    def keep(
        self, groups: Sequence[Group], incumbents: Mapping[str, Kept], iteration: Iteration
    ) -> list[Kept]:
        """The two finished completions of each group, in the order of the prompts."""
        return [one for group in groups for one in self._keep(group)]

    def _keep(self, group: Group) -> list[Kept]:
        finished = [index for index, one in enumerate(group.completions) if one.finished]
        best, worst = (pick(finished, key=group.rewards.__getitem__, default=0) for pick in (max, min))
        if not finished or group.rewards[best] == group.rewards[worst]:
            return []
        return [group.keep(best), group.keep(worst, -self.worst_weight)]


class TopFraction(Filter):
    """Keep the best fraction of all completions of the iteration, whatever their prompts."""

    fraction: Annotated[float, Gt(0), Le(1)] = 0.2
    """The share that is kept, at least one completion."""

    def keep(
        self, groups: Sequence[Group], incumbents: Mapping[str, Kept], iteration: Iteration
    ) -> list[Kept]:
        """The best of all groups together, in the order of the prompts."""
        everything = [group.keep(index) for group in groups for index in range(len(group.completions))]
        num = max(1, round(self.fraction * len(everything)))
        ranked = sorted(range(len(everything)), key=lambda i: (-everything[i].reward, i))
        return [everything[i] for i in sorted(ranked[:num])]


class Above(_SettingAgainst):
    """Keep every completion whose reward reaches a threshold; perhaps none."""

    threshold: float
    """The reward that must be reached."""

    def keep(
        self, groups: Sequence[Group], incumbents: Mapping[str, Kept], iteration: Iteration
    ) -> list[Kept]:
        """All that pass, in the order of the prompts."""
        return [
            group.keep(index, against=self.rejected(group))
            for group in groups
            for index, reward in enumerate(group.rewards)
            if reward >= self.threshold
        ]
