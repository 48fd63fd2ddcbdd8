"""What is written down of an iteration. No clock time: the same run gives the same journal."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean, pstdev
from typing import Any, TypeVar

from collapse_core.contracts.types import Group, Iteration, Kept

S = TypeVar("S")


def journal_line(
    iteration: Iteration,
    groups: Sequence[Group],
    kept: Sequence[Kept],
    num_settled: int,
    metrics: Mapping[str, float],
) -> dict[str, Any]:
    """An iteration in numbers."""
    drawn = [c.num_tokens for group in groups for c in group.completions if c.num_tokens is not None]
    return {
        "iteration": iteration.number,
        "num_prompts": len(groups),
        "num_sampled": sum(bool(group.completions) for group in groups),
        "num_completions": sum(len(group.completions) for group in groups),
        "num_unfinished": sum(not c.finished for group in groups for c in group.completions),
        **({"num_tokens": sum(drawn)} if drawn else {}),
        "num_kept": len(kept),
        "num_settled": num_settled,
        "reward_kept": _spread([one.reward for one in kept]),
        "reward_sampled": _spread(_rewards(groups)),
        "rewards_sampled": {
            name: _spread(_rewards(groups, name))
            for name in dict.fromkeys(name for group in groups for name in group.breakdown)
        },
        "update": dict(metrics),
    }


def mean_reward(groups: Sequence[Group], name: str | None = None) -> float | None:
    """The mean of a reward over finished completions, by default of the weighted sum; None without any."""
    found = _rewards(groups, name)
    return fmean(found) if found else None


def _rewards(groups: Sequence[Group], name: str | None = None) -> list[float]:
    """What a reward has given to finished completions, or the totals without a name."""
    given = ((group, group.rewards if name is None else group.breakdown.get(name, ())) for group in groups)
    return [score for group, scores in given for score in _of_finished(group, scores) if score is not None]


def _of_finished(group: Group, scores: Sequence[S]) -> list[S]:
    """What a completion that was dropped would have been given is not known."""
    return [score for c, score in zip(group.completions, scores, strict=False) if c.finished]


def _spread(values: Sequence[float]) -> dict[str, float] | None:
    return {"mean": fmean(values), "sd": pstdev(values)} if values else None


def all_abstained(groups: Sequence[Group]) -> bool:
    """Whether there are completions, and no reward has scored any of them."""
    scored = any(s is not None for g in groups for scores in g.breakdown.values() for s in scores)
    return any(group.completions for group in groups) and not scored


def completion_rows(groups: Sequence[Group], kept: Sequence[Kept]) -> Iterator[dict[str, Any]]:
    """One row per completion: what was sampled, its rewards, and whether it was kept."""
    chosen = {(one.prompt.id, one.completion.policy_version, one.completion.number) for one in kept}
    for group in groups:
        for index, completion in enumerate(group.completions):
            yield {
                "prompt": group.prompt.id,
                "asked": group.prompt.content,
                "number": completion.number,
                "policy_version": completion.policy_version,
                "answer": completion.content,
                "finished": completion.finished,
                "reward": group.rewards[index],
                "rewards": {name: scores[index] for name, scores in group.breakdown.items()},
                "kept": (group.prompt.id, completion.policy_version, completion.number) in chosen,
            }
