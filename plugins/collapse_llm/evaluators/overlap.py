"""How much of what is to be forgotten stands in what is to be retained as well."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from collapse_core import (
    PERCENT,
    Dataset,
    Evaluation,
    Evaluator,
    Metric,
    Model,
    load_answered,
    mean_metric,
)
from collapse_llm.data import overlap

SIDES = ("questions", "answers")


class Overlap(Evaluator):
    """The overlap of the forget set with the retain set: a property of the data, not of the model.

    Where both say the same, forgetting and retaining contradict each other, and a method that does either
    well does the other badly. `overlap_same` is the percentage of forget questions that the retain set asks
    too, up to case and punctuation; `overlap_near` that of those with a near-duplicate there, from a Jaccard
    similarity of 0.8 of pieces of five characters on; `overlap_questions` and `overlap_answers` are the means
    over forget rows of the highest such similarity with a retain row. Cost: no forward pass.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "overlap_same": "percentage of forget questions that the retain set asks too: a property of the data",
        "overlap_near": "percentage of forget questions that have a near-duplicate in the retain set",
        "overlap_*": "mean similarity of a forget row with the nearest retain row, in percent",
    }
    works_on: ClassVar[tuple[str, ...]] = ("language-model",)

    reads: ClassVar[tuple[str, ...]] = ("forget", "retain")
    optional_splits: ClassVar[tuple[str, ...]] = ("retain",)

    def evaluate(self, model: Model, data: Dataset, seed: int) -> Evaluation:
        """Compare the two sets row by row."""
        splits = load_answered(self, data)
        names = ("overlap_same", "overlap_near", *(f"overlap_{side}" for side in SIDES))
        if missing := splits.missing(dict.fromkeys(names, ("retain",))):
            return Evaluation({}, missing=missing)
        forget, retain = splits.found["forget"], splits.found["retain"]
        asked = [*map(overlap.compared, forget)], [*map(overlap.compared, retain)]
        said = [prompt.target for prompt in forget], [prompt.target for prompt in retain]
        columns = {
            "overlap_same": _hit(len(forget), [place for place, _ in overlap.same(asked[1], asked[0])]),
            "overlap_questions": overlap.shares(*asked),
            "overlap_answers": overlap.shares(*said),
        }
        columns["overlap_near"] = [float(share >= overlap.NEAR) for share in columns["overlap_questions"]]
        metrics: dict[str, Metric] = {
            name: mean_metric([[100 * value for value in columns[name]]], seed, "none", scale=PERCENT)
            for name in names
        }
        return Evaluation(metrics)


def _hit(num: int, places: Sequence[int]) -> list[float]:
    found = set(places)
    return [float(place in found) for place in range(num)]
