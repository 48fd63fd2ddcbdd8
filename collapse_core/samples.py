"""A few prompts followed through a few iterations: what was sampled, what it earned, what was kept."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from collapse_core.results import Results, format_number, plain

NUM_PROMPTS = 5
NUM_ITERATIONS = 6
NUM_COMPLETIONS = 8
LONGEST = 400
"""How many characters of a completion are shown."""

Row = dict[str, Any]


def samples(results: Results) -> list[dict[str, Any]]:
    """The prompts to show, each with its rows by iteration; nothing where no text was kept."""
    chosen = spread_out(results.sampled(), NUM_ITERATIONS)
    rows = {number: by_prompt(results.completions(number)) for number in chosen}
    return [
        _follow(prompt, {number: found.get(prompt, []) for number, found in rows.items()})
        for prompt in _followed(results, rows)
    ]


def _followed(results: Results, rows: Mapping[int, Mapping[str, Sequence[Row]]]) -> list[str]:
    """The first prompts; where prompts take turns, those whose turn it was most often."""
    times = Counter(prompt for found in rows.values() for prompt in found)
    if results.recipe.get("prompts_per_iteration", "all") == "all":
        return list(times)[:NUM_PROMPTS]
    return [prompt for prompt, _ in times.most_common(NUM_PROMPTS)]


def spread_out(numbers: Sequence[int], most: int) -> list[int]:
    """The first, the last, and some in between at even distances, at most so many."""
    if len(numbers) <= most:
        return list(numbers)
    return [numbers[round(place * (len(numbers) - 1) / (most - 1))] for place in range(most)]


def by_prompt(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The rows of each prompt, in the order of the prompts."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(str(row["prompt"]), []).append(row)
    return found


def _follow(prompt: str, rows: dict[int, list[Row]]) -> dict[str, Any]:
    every = [row for found in rows.values() for row in found]
    rewards = list(dict.fromkeys(name for row in every for name in row["rewards"]))
    return {
        "id": plain(prompt, 60),
        "asked": plain(every[0]["asked"], LONGEST),
        "rewards": rewards,
        "iterations": [
            {"number": number + 1, "note": _note(found), "rows": [_row(r, rewards) for r in _shown(found)]}
            for number, found in rows.items()
        ],
    }


def _shown(rows: Sequence[Row]) -> list[Row]:
    """The first few, and what was kept whatever its place."""
    kept = [row for row in rows[NUM_COMPLETIONS:] if row["kept"]][:NUM_COMPLETIONS]
    return [*rows[: NUM_COMPLETIONS - len(kept)], *kept]


def _note(rows: Sequence[Row]) -> str:
    if not rows:
        return "nothing sampled: settled, or not its turn"
    hidden = len(rows) - len(_shown(rows))
    notes = [] if any(row["kept"] for row in rows) else ["none of these was kept"]
    return ", ".join(notes + ([f"{hidden} more not shown"] if hidden else []))


def _row(row: Row, rewards: Sequence[str]) -> dict[str, Any]:
    return {
        "answer": plain(row["answer"], LONGEST),
        "reward": format_number(row["reward"]),
        "scores": [format_number(row["rewards"].get(name)) for name in rewards],
        "kept": row["kept"],
        "finished": row["finished"],
    }
