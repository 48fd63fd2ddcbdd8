"""Rows drawn to be judged, and what they are judged to be."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from collapse_core import Prompt, derive_seed, note
from collapse_tabular.classifier import RowJudge
from collapse_tabular.data import Table, all_hold
from collapse_tabular.evaluators import _Drawing
from collapse_tabular.model.row_model import RowModel
from collapse_tabular.sampler import DrawRows
from collapse_tabular.sampler.drawing import draw

Row = dict[str, Any]
Said = dict[str, Any]


def draw_for(
    settings: _Drawing, model: RowModel, contents: Sequence[Mapping[str, Any]], seed: int
) -> list[Row]:
    """Return a row for each content, seeded by its place; what the model does not know is left unsaid."""
    seeds = [derive_seed(seed, place) for place in range(len(contents))]
    known = [model.codec.known(content) for content in contents]
    return draw(model, known, seeds, DrawRows(steps=settings.steps))


def spread(prompts: Sequence[Prompt], num: int) -> list[Said]:
    """Return what `num` prompts say, spread evenly over those given: each content in its proportion."""
    return [dict(prompts[i * len(prompts) // num].content) for i in range(num)]


def beside_real(rows: Sequence[Row], real: Sequence[Prompt], num: int) -> list[Row]:
    """So many examples, evenly spread, each with a real row to compare: the nth of as many of these."""
    num = min(num, len(rows))
    chosen = [rows[i * len(rows) // num] for i in range(num)]
    return [row | {"target": real[i * len(real) // num].target} for i, row in enumerate(chosen)]


class Judge:
    """Says of rows what their prompts said: read off them, or guessed by a forest where it is not drawn."""

    def __init__(self, data: Table, seed: int) -> None:
        """Teach the forest, if the rows do not say it themselves."""
        self.subgroup = data.subgroup()
        self.said = data.said()
        self.exact = set(self.said) <= set(data.drawn())
        self.forest = None if self.exact else RowJudge.fit(data, ["full", "test"], "forest", seed)
        asked = Counter(as_text(p.content) for split in ("full", "test") for p in data.load(split))
        self.commonest = max(asked.values()) / asked.total()

    def contents(self, rows: Sequence[Row]) -> list[Said]:
        """Return what the prompt of each row said, or probably said."""
        if self.forest:
            return self.forest.contents(rows)
        return [{column: row[column] for column in self.said} for row in rows]

    def recognizes(self, rows: Sequence[Row]) -> list[bool]:
        """Return whether each row is of the subgroup to forget."""
        judged = zip(self.contents(rows), rows, strict=True)
        return [all_hold(self.subgroup, {**said, **row}) for said, row in judged]

    def say_if_blind(self) -> None:
        """Note that the forest is right about real rows no more often than one that always says the same."""
        if self.forest and self.accuracy <= self.commonest:
            note(
                f"the judge of rows is right about {self.accuracy:.0%} of real rows, and naming the "
                f"commonest prompt is about {self.commonest:.0%}: what it says of drawn rows shows nothing"
            )

    @property
    def accuracy(self) -> float:
        """How often the forest is right about rows that a tree was not taught with (out of bag)."""
        return float(self.forest.model.oob_score_) if self.forest else 1.0


def as_text(said: Mapping[str, Any]) -> str:
    """Return what a prompt says, on one line."""
    return ",".join(f"{column}={value}" for column, value in said.items())
