"""What is written down of an iteration. No clock time: the same run gives the same journal."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean, pstdev
from typing import Any

from collapse_core.types import Group, Iteration, Kept


def journal_line(
    iteration: Iteration,
    groups: Sequence[Group],
    kept: Sequence[Kept],
    num_settled: int,
    metrics: Mapping[str, float],
) -> dict[str, Any]:
    """An iteration in numbers."""
    return {
        "iteration": iteration.number,
        "num_prompts": len(groups),
        "num_sampled": sum(bool(group.completions) for group in groups),
        "num_completions": sum(len(group.completions) for group in groups),
        "num_kept": len(kept),
        "num_settled": num_settled,
        "reward_kept": _spread([one.reward for one in kept]),
        "reward_sampled": _spread([reward for group in groups for reward in group.rewards]),
        "rewards_sampled": {
            name: _spread([s for g in groups for s in g.breakdown.get(name, ()) if s is not None])
            for name in dict.fromkeys(name for group in groups for name in group.breakdown)
        },
        "update": dict(metrics),
    }


def _spread(values: Sequence[float]) -> dict[str, float] | None:
    return {"mean": fmean(values), "sd": pstdev(values)} if values else None


def completion_rows(groups: Sequence[Group], kept: Sequence[Kept]) -> Iterator[dict[str, Any]]:
    """One row a completion: what was sampled, its rewards, and whether it was kept."""
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
