"""What the models answered to the same prompt: the reference answer, and what evaluators noted down."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from collapse_core.results.formatting import format_number, plain
from collapse_core.results.results import Results

REFERENCE = "reference answer"


@dataclass
class Given:
    """An answer of one of the models."""

    model: str
    """What to call the model."""
    answer: Any
    notes: list[str] = field(default_factory=list)
    """What evaluators say of it."""


@dataclass
class Asked:
    """A prompt, and what the models answered to it."""

    split: str
    prompt: Any
    target: Any = None
    """The true answer, where an evaluator noted it."""
    given: list[Given] = field(default_factory=list)

    def add(self, model: str, answer: Any, notes: list[str]) -> None:
        """Add an answer; what the same model has answered already gets further notes."""
        same = next((one for one in self.given if one.model == model and one.answer == answer), None)
        if same is None:
            self.given.append(same := Given(model, answer))
        same.notes += [note for note in notes if note not in same.notes]


def noted(results: Results) -> list[Asked]:
    """What evaluators noted down of each model when they measured it last, prompt by prompt.

    The order of models is that of the table of metrics: before, after, and the baselines.
    """
    found: dict[tuple[str, str], Asked] = {}
    for model in results.models():
        rows = [row for row in results.evaluations if row["model"] == model]
        for row in (row for row in rows if row["iteration"] == rows[-1]["iteration"]):
            for example in row.get("examples", ()):
                split, prompt = str(example.get("split")), example.get("prompt")
                asked = found.setdefault((split, plain(prompt)), Asked(split, prompt))
                if example.get("target") is not None:
                    asked.target = example["target"]
                asked.add(results.heading(model), example.get("answer"), _notes(row, example))
    return sorted(found.values(), key=lambda asked: asked.split != "forget")


def _notes(row: Mapping[str, Any], example: Mapping[str, Any]) -> list[str]:
    evaluator = str(row.get("evaluator"))
    notes = [f"{evaluator} {format_number(example['score'])}"] if example.get("score") is not None else []
    return notes + ([f"{evaluator}: {plain(example['kind'], 40)}"] if example.get("kind") else [])
