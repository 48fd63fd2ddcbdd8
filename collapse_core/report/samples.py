"""A few prompts followed through a few iterations: what was sampled, what it earned, what was kept."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from collapse_core.report.gallery import Item, Look, exhibit, spread_out
from collapse_core.results.formatting import plain
from collapse_core.results.references import reference_answers
from collapse_core.results.results import Results

NUM_PROMPTS = 5
NUM_ITERATIONS = 6
NUM_COMPLETIONS = 8
NUM_PICTURES = 24
"""How many pictures are shown of an iteration, where all prompts ask the same."""

Row = dict[str, Any]


def samples(results: Results, look: Look) -> list[dict[str, Any]]:
    """The prompts to show, each with what was sampled by iteration; nothing where no text was kept.

    Where answers are pictures, prompts that ask the same are shown as one.
    """
    chosen = spread_out(results.sampled(), NUM_ITERATIONS)
    every = {number: results.completions(number) for number in chosen}
    pictured = any(look(row["answer"]) for rows in every.values() for row in rows[:NUM_COMPLETIONS])
    rows = {number: by_prompt(found, "asked" if pictured else "prompt") for number, found in every.items()}
    followed = _followed(results, rows)
    most = max(NUM_COMPLETIONS, NUM_PICTURES // len(followed)) if followed else 0
    return [
        follow(prompt, {number: found.get(prompt, []) for number, found in rows.items()}, look, most)
        for prompt in followed
    ]


def last_kept(results: Results, look: Look, most: int) -> list[dict[str, Any]]:
    """Pair the reference answers of some prompts with what was kept of them last, where both are text.

    They stand in for answers to questions where no evaluator noted any.
    """
    references = reference_answers(results.directory)
    kept: dict[str, Row] = {}
    for number in reversed(results.sampled()):
        if len(kept) >= most:
            break
        for row in results.completions(number):
            if row["kept"] and row["prompt"] in references:
                kept.setdefault(row["prompt"], row)
    return [
        {
            "prompt": row["asked"],
            "target": None,
            "before": {"answer": references[prompt], "score": None},
            "after": {"answer": row["answer"], "score": None},
        }
        for prompt, row in list(kept.items())[:most]
        if not look(row["answer"])
    ]


def _followed(results: Results, rows: Mapping[int, Mapping[str, Sequence[Row]]]) -> list[str]:
    """The first prompts; where each iteration takes a batch of them, those that were taken most often."""
    times = Counter(prompt for found in rows.values() for prompt in found)
    if results.recipe.get("prompts_per_iteration", "all") == "all":
        return list(times)[:NUM_PROMPTS]
    return [prompt for prompt, _ in times.most_common(NUM_PROMPTS)]


def by_prompt(rows: Sequence[Row], key: str = "prompt") -> dict[str, list[Row]]:
    """The rows of each prompt, in the order of the prompts; by "asked", of all that ask the same."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(plain(row[key]), []).append(row)
    return found


def follow(prompt: str, rows: Mapping[int, Sequence[Row]], look: Look, most: int) -> dict[str, Any]:
    """What the templates show of one prompt: by iteration the first completions, and what was kept.

    Args:
        prompt: Its id.
        rows: Its completions by iteration; one of them at least.
        look: How answers look.
        most: How many pictures are shown of an iteration.
    """
    every = [row for found in rows.values() for row in found]
    rewards = list(dict.fromkeys(name for row in every for name in row["rewards"]))
    groups = {f"iteration {number + 1}": list(map(_item, found)) for number, found in rows.items() if found}
    return {
        "id": prompt,
        "asked": every[0]["asked"],
        "exhibit": exhibit(groups, look, _first, most),
        "rewards": rewards,
        "iterations": [
            {"number": number + 1, "note": _note(found), "rows": _shown(found)}
            for number, found in rows.items()
        ],
    }


def _item(row: Row) -> Item:
    about = f"{row['prompt']}, number {row['number']}"
    return Item(row["answer"], row["reward"], about, row["rewards"], row["kept"])


def _first(items: Sequence[Item], most: int) -> Sequence[Item]:
    """The first few, which are whole draws of what was chosen from; if none was kept, then some that were."""
    kept = [] if any(item.kept for item in items[:most]) else [item for item in items if item.kept]
    kept = kept[: most // 2]
    return [*items[: most - len(kept)], *kept]


def _shown(rows: Sequence[Row]) -> list[Row]:
    """The first few, and what was kept whatever its place."""
    kept = [row for row in rows[NUM_COMPLETIONS:] if row["kept"]][:NUM_COMPLETIONS]
    return [*rows[: NUM_COMPLETIONS - len(kept)], *kept]


def _note(rows: Sequence[Row]) -> str:
    if not rows:
        return "nothing sampled: settled, or not in this batch"
    hidden = len(rows) - len(_shown(rows))
    notes = [] if any(row["kept"] for row in rows) else ["none of these was kept"]
    return ", ".join(notes + ([f"{hidden} more not shown"] if hidden else []))
