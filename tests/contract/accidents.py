"""What an accident is: something that makes a metric meaningless, and what must be said of it."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Literal

from collapse_core import CollapseError, Dataset, Evaluator, Model, Prompt, PromptSet
from collapse_core.evaluation.during import evaluate_each

Place = Literal["error", "note", "missing"]
"""Where it is said: an error ends the evaluation, a note or a reason stands in the row of numbers."""


@dataclass(frozen=True)
class Accident:
    """One of an evaluator."""

    what: str
    """What goes wrong."""
    where: Place
    says: str
    """A regular expression for what is said; of a missing metric, "name: reason"."""
    evaluator: Evaluator
    model: Model
    data: Dataset


def measured(evaluator: Evaluator, model: Model, data: Dataset) -> dict[str, Any]:
    """The row that a run would write; it is valid JSON."""
    recipe: Any = SimpleNamespace(
        seed=0, keep_text=True, data=data, evaluate=SimpleNamespace(with_=[evaluator])
    )
    [row] = evaluate_each(recipe, model, {})
    json.dumps(row, allow_nan=False)
    return row


def said(accident: Accident) -> list[str]:
    """What is said of an accident, where that is to be."""
    try:
        row = measured(accident.evaluator, accident.model, accident.data)
    except CollapseError as error:
        return [str(error)] if accident.where == "error" else [f"it failed: {error}"]
    missing = [f"{name}: {reason}" for name, reason in row.get("missing", {}).items()]
    return {"error": [f"it found {row['metrics']}"], "note": row.get("notes", []), "missing": missing}[
        accident.where
    ]


def check(accident: Accident) -> None:
    """Assert that the accident is said."""
    found = said(accident)
    assert any(re.search(accident.says, one) for one in found), (accident.what, accident.says, found)


class Rows(Dataset):
    """Questions as they are given here."""

    rows: Mapping[str, Sequence[Mapping[str, Any]]]
    """By split: question, answer, and wrong answers where there are any."""

    def load(self, split: str, *, targets: bool = True) -> PromptSet:
        """Load a split."""
        if split not in self.rows:
            raise CollapseError(f"the data set has no split '{split}'")
        return PromptSet(tuple(_prompt(split, number, row) for number, row in enumerate(self.rows[split])))

    def splits(self) -> list[str]:
        """Name the splits."""
        return list(self.rows)


def _prompt(split: str, number: int, row: Mapping[str, Any]) -> Prompt:
    extra = {"perturbed_answer": row["wrong"]} if "wrong" in row else {}
    return Prompt(f"{split}-{number}", row["question"], row["answer"], extra)


def changed(data: Dataset, **splits: Callable[[PromptSet], Sequence[Prompt]]) -> Dataset:
    """The same data set with some splits made other ones."""
    kind = type(data)

    def load(self: Dataset, split: str, *, targets: bool = True) -> PromptSet:
        found = kind.load(self, split, targets=targets)
        return PromptSet(tuple(splits[split](found))) if split in splits else found

    other: Any = type(kind.__name__, (kind,), {"load": load, "__module__": kind.__module__})
    made: Dataset = other.model_validate(data.model_dump(by_alias=True))
    return made


def none(_: PromptSet) -> Sequence[Prompt]:
    """No prompt at all."""
    return ()
