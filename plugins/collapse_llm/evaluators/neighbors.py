"""Are the facts kept that are near to what was forgotten?"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt, Lt
from pydantic import model_validator

from collapse_core import (
    PERCENT,
    CollapseError,
    Dataset,
    Evaluation,
    Metric,
    Model,
    Prompt,
    difference_metric,
    load_answered,
    mean_metric,
    note,
)
from collapse_llm.conversations import text_of
from collapse_llm.evaluators.answers import Answering
from collapse_llm.evaluators.fact_words import FUNCTION_WORDS

SIDES = ("near", "far")


class Neighbors(Answering):
    """How much of the retained answers is kept, near the forget set and far from it.

    Retained questions are ranked by how near they are to the nearest forget question: by their words, by the
    cosine of sentence embeddings, or by whether a column has a value that it has in the forget set too, such
    as a birthplace. The nearest share is `near`, the rest `far`; each is the mean ROUGE-L recall in percent
    of the greedy answers. `neighbors_gap` is far minus near: what forgetting costs its surroundings, next to
    the same gap before unlearning. RWKU calls near facts neighbor knowledge (arXiv 2406.10890). Cost per
    retained question: one decoded answer, which other evaluators share.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "neighbors_near": (
            "share of the true answers' words that answers repeat, in percent, for retained "
            "questions near the forgotten ones"
        ),
        "neighbors_far": "the same far from them",
        "neighbors_gap": (
            "far minus near: what forgetting costs its surroundings, next to the same gap before"
        ),
    }
    reads: ClassVar[tuple[str, ...]] = ("forget", "retain")

    by: Literal["words", "embedding", "column"] = "words"
    """What makes two questions near."""
    column: str | None = None
    """The column whose values are compared, for `by: column`."""
    share: Annotated[float, Gt(0), Lt(1)] = 0.25
    """The share of retained questions that is near; by column, those with a common value are."""
    embedder: str = "all-minilm-l6-v2"
    """The sentence embedder, for `by: embedding`: a package, a directory or a hub id."""
    num_retain: Annotated[int, Ge(2)] | None = None
    """Only the first so many retained questions."""

    @model_validator(mode="after")
    def _names_the_column(self) -> "Neighbors":
        if (self.by == "column") != (self.column is not None):
            raise ValueError("'by: column' and 'column: <name>' go together")
        return self

    def evaluate(self, model: Model, data: Dataset, seed: int) -> Evaluation:
        """Ask the retained questions."""
        splits = load_answered(self, data)
        retain = list(splits.found["retain"])[: self.num_retain]
        near = self._near(list(splits.found["forget"]), retain)
        places = {"near": sorted(near), "far": [i for i in range(len(retain)) if i not in near]}
        rows = self.answers(model, {side: [retain[i] for i in found] for side, found in places.items()})
        scores = {side: [100 * row["score"] for row in rows[side]] for side in SIDES}
        metrics = {
            f"neighbors_{side}": mean_metric([scores[side]], seed, "up", scale=PERCENT) for side in SIDES
        }
        metrics["neighbors_gap"] = _gap(scores)
        return Evaluation(metrics, [row for side in SIDES for row in rows[side]])

    def _near(self, forget: Sequence[Prompt], retain: Sequence[Prompt]) -> set[int]:
        """Return the places of the retained questions that are near; some are, and some are not."""
        if self.by == "column":
            return self._with_common_value(forget, retain)
        nearness = self._by_words(forget, retain) if self.by == "words" else self._by_meaning(forget, retain)
        num = min(max(1, math.ceil(self.share * len(retain))), len(retain) - 1)
        if num < 1:
            raise CollapseError(f"the evaluator '{self.use}' needs at least two retained questions")
        if not max(nearness) > 0:
            note(
                "no retained question has anything in common with a forget question, so that those called "
                "near are only the first ones; rank them with 'by: embedding' or 'by: column'"
            )
        return set(sorted(range(len(retain)), key=lambda i: (-nearness[i], i))[:num])

    def _with_common_value(self, forget: Sequence[Prompt], retain: Sequence[Prompt]) -> set[int]:
        values = {_value(prompt, self.column) for prompt in forget} - {None}
        found = {i for i, prompt in enumerate(retain) if _value(prompt, self.column) in values}
        if not 0 < len(found) < len(retain):
            raise CollapseError(
                f"'column: {self.column}': {'all' if found else 'none'} of the {len(retain)} retained rows "
                "have a value of this column that a forget row has; name a column that some share, or rank "
                "with 'by: words'"
            )
        return found

    def _by_words(self, forget: Sequence[Prompt], retain: Sequence[Prompt]) -> list[float]:
        """The highest Jaccard similarity of the stems of question and answer, without function words."""
        known = [_stems(prompt) for prompt in forget]
        own = [_stems(prompt) for prompt in retain]
        return [max(len(a & b) / max(1, len(a | b)) for b in known) for a in own]

    def _by_meaning(self, forget: Sequence[Prompt], retain: Sequence[Prompt]) -> list[float]:
        """The highest cosine of the sentence embeddings of question and answer."""
        from collapse_llm.rewards.embedder import open_embedder

        embedder = open_embedder(self.embedder, "main", "auto")
        known, own = (
            embedder.embed([_text(prompt) for prompt in some], "mean", 256, 64) for some in (forget, retain)
        )
        nearest: list[float] = (own @ known.T).max(axis=1).tolist()
        return nearest


def _value(prompt: Prompt, column: str | None) -> str | None:
    found: Any = prompt.columns.get(column or "")
    return None if found is None else str(found)


def _text(prompt: Prompt) -> str:
    return f"{text_of(prompt.content)} {prompt.target}".strip()


def _stems(prompt: Prompt) -> frozenset[str]:
    from collapse_llm.rewards import stems

    return frozenset(stems(_text(prompt))) - frozenset(stems(FUNCTION_WORDS))


def _gap(scores: dict[str, list[float]]) -> Metric:
    far, near = (mean_metric([scores[side]], scale=PERCENT) for side in ("far", "near"))
    return replace(difference_metric(far, near), direction="down")
