"""The filters that need to know no domain."""

import math
import random
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Annotated

from annotated_types import Gt, Le

from collapse_core.contracts.interfaces import Filter
from collapse_core.contracts.seeds import derive_seed
from collapse_core.contracts.types import Group, Iteration, Kept


class _OneEach(Filter):
    """A filter that keeps at most one completion a prompt, and may remember it."""

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
        """One completion a prompt: the challenger, or the incumbent while that is better."""
        chosen = [self._keep(group, incumbents.get(group.prompt.id), iteration) for group in groups]
        return [kept for kept in chosen if kept is not None]

    def _keep(self, group: Group, incumbent: Kept | None, iteration: Iteration) -> Kept | None:
        incumbent = incumbent if self.memory else None
        if not group.completions:
            return incumbent
        challenger = group.keep(self.choose(group, derive_seed(iteration.seed, "filter", group.prompt.id)))
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
        """The remembered incumbent's reward, or the least that is kept at all."""
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


class Above(Filter):
    """Keep every completion whose reward reaches a threshold; perhaps none."""

    threshold: float
    """The reward that must be reached."""

    def keep(
        self, groups: Sequence[Group], incumbents: Mapping[str, Kept], iteration: Iteration
    ) -> list[Kept]:
        """All that pass, in the order of the prompts."""
        return [
            group.keep(index)
            for group in groups
            for index, reward in enumerate(group.rewards)
            if reward >= self.threshold
        ]
