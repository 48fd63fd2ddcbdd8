"""Watching a run for prompts that do not forget, and acting on them as the recipe says."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import ceil, log10, sqrt
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le
from pydantic import PrivateAttr, SerializeAsAny, model_validator

from collapse_core.contracts.component import Settings
from collapse_core.contracts.interfaces import Bound, Filter, Model, Sampler
from collapse_core.contracts.state import Trouble, Watch
from collapse_core.contracts.types import Group, Iteration, Kept, Prompt
from collapse_core.errors import CollapseError, counted
from collapse_core.parts.filters import BestOfN
from collapse_core.plugins.registry import part

NOTHING: Trouble = "nothing_passes"
LESS: Trouble = "less_passes"
TEMPERATURE = "temperature"
"""The field of a sampler that is raised."""
MOST_DIGITS = 6
"""Up to which power of ten the completions of a prompt, or the temperature, may be multiplied in all."""
STANDARD_ERRORS = 3.0
"""How far the share of what passes must fall to count as fallen."""

TROUBLES: dict[str, str] = {
    NOTHING: "no completion has passed for {iterations} of {prompts}",
    LESS: "a smaller share than before has passed in the last {iterations} of {prompts}",
}

Action = Literal["warn", "raise-n", "raise-temperature", "fall-back", "stop"]
Counts = Sequence[tuple[int, int]]


class Guard(Settings):
    """Watch which share of the completions passes, by what the prompts ask.

    Training on the least bad of completions that all remember sharpens the memory. Prompts of one content are
    watched together. They are in trouble when nothing has passed for `patience` iterations, or when less has
    passed than in as many iterations before: by three standard errors of the difference of two shares, for
    these prompts or, summed over contents as Cochran did (Biometrics 10, 1954), for all. After that their
    iterations are counted anew.
    """

    passes: float | None = None
    """The reward from which on a completion passes; without one, nothing is watched."""
    patience: Annotated[int, Ge(1), Le(10**6)] = 3
    """How many iterations are looked at together."""
    then: Action = "warn"
    """What to do about prompts in trouble, besides saying so."""
    factor: Annotated[float, Gt(1)] = 1.5
    """By how much the completions a prompt, or the temperature, are multiplied each time."""
    limit: Annotated[int, Ge(1), Le(1000)] = 3
    """The most often that they are multiplied."""
    fall_back: Annotated[SerializeAsAny[Filter], part("filter")] = BestOfN(use="best-of-n")
    """What filters prompts that were in trouble, when it is to fall back."""

    @model_validator(mode="after")
    def _knows_what_passes(self) -> "Guard":
        said = any(getattr(self, key) != info.default for key, info in type(self).model_fields.items())
        if self.passes is None and said:
            raise ValueError("say from which reward on a completion 'passes'")
        if self.then in ("raise-n", "raise-temperature") and self.limit * log10(self.factor) > MOST_DIGITS:
            raise ValueError(
                f"'factor' to the power of 'limit' is more than 10^{MOST_DIGITS}; make one of them smaller"
            )
        return self

    def wrap(self, sampler: Sampler, filter_: Filter, watched: dict[str, Watch]) -> tuple[Sampler, Filter]:
        """The sampler and the filter under this guard; they keep `watched` up to date, in place."""
        if self.passes is None:
            return sampler, filter_
        return GuardedSampler.of(self, sampler, watched), GuardedFilter.of(self, filter_, watched)

    # --- watching ----------------------------------------------------------------------------------

    def watch(self, groups: Sequence[Group], before: Mapping[str, Watch]) -> dict[str, Watch]:
        """What is to be remembered after an iteration with these groups."""
        if self.passes is None:
            return {}
        watched = {key: replace(watch, trouble=None) for key, watch in before.items()}
        for key, count in self._counts(groups).items():
            old = watched.get(key) or Watch(next(g.prompt.id for g in groups if g.prompt.content_key == key))
            watched[key] = replace(old, counts=(*old.counts, count)[-2 * self.patience :])
            watched[key] = replace(watched[key], trouble=self._trouble(watched[key].counts))
        if _has_fallen(watch.counts for watch in watched.values() if self._is_full(watch.counts)):
            watched |= {
                k: replace(w, trouble=w.trouble or LESS)
                for k, w in watched.items()
                if self._is_full(w.counts)
            }
        return {key: self._acted(watch) if watch.trouble else watch for key, watch in watched.items()}

    def line(self, groups: Sequence[Group], watched: Mapping[str, Watch]) -> dict[str, Any]:
        """What the journal says of an iteration: one more key, or none when nothing is watched."""
        if self.passes is None:
            return {}
        counts = self._counts(groups).values()
        num = sum(drawn for _, drawn in counts)
        share = sum(passed for passed, _ in counts) / num if num else None
        found = {trouble: _in_trouble(watched, trouble) for trouble in (NOTHING, LESS)}
        return {"guard": {"pass_share": share, **found, "patience": self.patience, "did": self._did(watched)}}

    def stop(self, iteration: Iteration, watched: Mapping[str, Watch]) -> None:
        """End the run, if it is to end for trouble and there is some.

        Raises:
            CollapseError: It ends.
        """
        for trouble in (NOTHING, LESS):
            if self.then == "stop" and (prompts := _in_trouble(watched, trouble)):
                raise CollapseError(
                    f"the guard stopped the run after iteration {iteration.finished}: "
                    f"{describe(trouble, prompts, self.patience)}; see its completions, then change "
                    "'rewards', 'guard' or 'completions_per_prompt' and start a new run"
                )

    def _counts(self, groups: Sequence[Group]) -> dict[str, tuple[int, int]]:
        """By content: how many completions passed, of how many."""
        counts: dict[str, tuple[int, int]] = {}
        for group in groups:
            if group.completions and self.passes is not None:
                passed, drawn = counts.get(group.prompt.content_key, (0, 0))
                finished = [r for r, c in zip(group.rewards, group.completions, strict=True) if c.finished]
                passed += sum(reward >= self.passes for reward in finished)
                counts[group.prompt.content_key] = (passed, drawn + len(group.rewards))
        return counts

    def _is_full(self, counts: Counts) -> bool:
        return len(counts) == 2 * self.patience

    def _trouble(self, counts: Counts) -> Trouble | None:
        if len(counts) >= self.patience and not any(passed for passed, _ in counts[-self.patience :]):
            return NOTHING
        return LESS if self._is_full(counts) and _has_fallen([counts]) else None

    def _acted(self, watch: Watch) -> Watch:
        return replace(watch, counts=(), raised=watch.raised + 1)

    def _did(self, watched: Mapping[str, Watch]) -> Action | None:
        """What was done about the trouble of an iteration: what is as far as it goes is only warned of."""
        most = {"raise-n": self.limit, "raise-temperature": self.limit, "fall-back": 1}.get(self.then, 0)
        raised = [watch.raised for watch in watched.values() if watch.trouble]
        return (self.then if self.then == "stop" or min(raised) <= most else "warn") if raised else None

    # --- acting ------------------------------------------------------------------------------------

    def sample(
        self,
        sampler: Sampler,
        num_completions: int,
        model: Model,
        prompts: Sequence[Prompt],
        watched: Mapping[str, Watch],
        iteration: Iteration,
        bound: Bound | None,
    ) -> list[Group]:
        """As the sampler does, but more completions, or warmer ones, of prompts that were in trouble."""
        apart: dict[int, list[Prompt]] = {}
        for prompt in prompts:
            apart.setdefault(self._raised(prompt, watched), []).append(prompt)
        groups = []
        for raised, some in apart.items():
            num = ceil(num_completions * self.factor**raised) if self.then == "raise-n" else num_completions
            groups += self._warmed(sampler, raised).sample(model, some, num, iteration, bound)
        return _in_order(groups, prompts)

    def keep(
        self,
        filter_: Filter,
        groups: Sequence[Group],
        incumbents: Mapping[str, Kept],
        watched: Mapping[str, Watch],
        iteration: Iteration,
    ) -> list[Kept]:
        """As the filter does, but with the other filter for prompts that were in trouble."""
        fallen = [g for g in groups if self.then == "fall-back" and self._raised(g.prompt, watched)]
        if not fallen:
            return filter_.keep(groups, incumbents, iteration)
        others = [group for group in groups if not self._raised(group.prompt, watched)]
        kept = filter_.keep(others, incumbents, iteration)
        kept += self.fall_back.keep(fallen, incumbents, iteration)
        place = {group.prompt.id: number for number, group in enumerate(groups)}
        return sorted(kept, key=lambda one: place[one.prompt.id])

    def _raised(self, prompt: Prompt, watched: Mapping[str, Watch]) -> int:
        if not watched:
            return 0
        watch = watched.get(prompt.content_key)
        return min(watch.raised, self.limit) if watch else 0

    def _warmed(self, sampler: Sampler, raised: int) -> Sampler:
        if self.then != "raise-temperature" or not raised:
            return sampler
        temperature = getattr(sampler, TEMPERATURE) * self.factor**raised
        return sampler.model_copy(update={TEMPERATURE: temperature})


class GuardedSampler(Sampler):
    """A sampler that raises its completions, or its temperature, where the guard has found trouble."""

    guard: Guard
    """Says how."""
    sampler: SerializeAsAny[Sampler]
    """The sampler of the recipe."""
    _watched: dict[str, Watch] = PrivateAttr(default_factory=dict)

    @classmethod
    def of(cls, guard: Guard, sampler: Sampler, watched: dict[str, Watch]) -> "GuardedSampler":
        """Wrap a sampler; `watched` is shared with the filter of the same run."""
        made = cls(use=sampler.use, guard=guard, sampler=sampler)
        made._watched = watched
        return made

    def sample(
        self,
        model: Model,
        prompts: Sequence[Prompt],
        num_completions: int,
        iteration: Iteration,
        bound: Bound | None = None,
    ) -> list[Group]:
        """Sample as the guard says."""
        return self.guard.sample(
            self.sampler, num_completions, model, prompts, self._watched, iteration, bound
        )


class GuardedFilter(Filter):
    """A filter that falls back where the guard has found trouble; the guard watches what it filters."""

    guard: Guard
    """Says how."""
    filter: SerializeAsAny[Filter]
    """The filter of the recipe."""
    _watched: dict[str, Watch] = PrivateAttr(default_factory=dict)

    @classmethod
    def of(cls, guard: Guard, filter_: Filter, watched: dict[str, Watch]) -> "GuardedFilter":
        """Wrap a filter; `watched` is shared with the sampler of the same run."""
        made = cls(use=filter_.use, guard=guard, filter=filter_)
        made._watched = watched
        return made

    def keep(
        self, groups: Sequence[Group], incumbents: Mapping[str, Kept], iteration: Iteration
    ) -> list[Kept]:
        """Keep as the guard says, then have the guard watch these groups."""
        kept = self.guard.keep(self.filter, groups, incumbents, self._watched, iteration)
        self._watched |= self.guard.watch(groups, self._watched)
        return kept

    def min_reward_to_keep(self, incumbent: Kept | None) -> float | None:
        """What the filter of the recipe asks for."""
        return self.filter.min_reward_to_keep(incumbent)

    def settled(self, incumbent: Kept | None) -> bool:
        """Whether the filter of the recipe takes the prompt for settled."""
        return self.filter.settled(incumbent)


def describe(trouble: str, prompts: Sequence[str], patience: int) -> str:
    """What the guard has found with prompts like these."""
    more = f" and {len(prompts) - 3} more" if len(prompts) > 3 else ""
    named = "prompts like " + ", ".join(f"'{prompt}'" for prompt in prompts[:3]) + more
    return TROUBLES[trouble].format(iterations=counted(patience, "iteration"), prompts=named)


def _in_order(groups: Sequence[Group], prompts: Sequence[Prompt]) -> list[Group]:
    """The groups in the order of the prompts; a prompt may be there twice."""
    places = {p.id: iter([n for n, q in enumerate(prompts) if q.id == p.id]) for p in prompts}
    none: Iterator[int] = iter(())
    return sorted(groups, key=lambda group: next(places.get(group.prompt.id, none), len(prompts)))


def _in_trouble(watched: Mapping[str, Watch], trouble: Trouble) -> list[str]:
    return [watch.prompt for watch in watched.values() if watch.trouble == trouble]


def _total(counts: Counts) -> tuple[int, int]:
    return sum(passed for passed, _ in counts), sum(drawn for _, drawn in counts)


def _has_fallen(strata: Iterable[Counts]) -> bool:
    """Whether a smaller share passes in the later half of the counts than in the earlier, over all strata."""
    difference = variance = 0.0
    for counts in strata:
        (a, num_a), (b, num_b) = _total(counts[: len(counts) // 2]), _total(counts[len(counts) // 2 :])
        share = (a + b) / (num_a + num_b)
        difference += a / num_a - b / num_b
        variance += share * (1 - share) * (1 / num_a + 1 / num_b)
    return variance > 0 and difference > STANDARD_ERRORS * sqrt(variance)
