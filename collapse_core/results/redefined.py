"""Metrics that meant something else in earlier results, which are read under names of their own."""

from collections.abc import Mapping, Sequence
from typing import Any

TAUGHT = "_taught_answer"
"""Ends the name of a metric that compared answers to paraphrased questions with the taught answer."""

REDEFINED: dict[str, tuple[int, frozenset[str], dict[str, str]]] = {
    evaluator: (2, frozenset({"tofu", "authors"}), {name: name + TAUGHT for name in names})
    for evaluator, names in {
        "unlearn-quality": ("unlearn_quality", "rouge_forget_paraphrased"),
        "judged": ("judged_leakage_forget_paraphrased", "judged_leakage_worst"),
    }.items()
}
"""By evaluator: the definition before which it counts, on which data sets, and the names then and now."""


def rename_metrics(evaluations: Sequence[dict[str, Any]], recipe: Mapping[str, Any]) -> None:
    """Give metrics of an earlier definition their own names, in place.

    Args:
        evaluations: Rows of evaluations.jsonl.
        recipe: The run's.
    """
    data = recipe.get("data")
    data_set = data.get("use") if isinstance(data, dict) else data
    for row in evaluations:
        definition, data_sets, names = REDEFINED.get(str(row.get("evaluator")), (0, frozenset(), {}))
        if row.get("definition", 1) < definition and data_set in data_sets:
            for kind in ("metrics", "missing"):
                if kind in row:
                    row[kind] = {names.get(name, name): value for name, value in row[kind].items()}
