"""What all tables share: the splits, and which columns a prompt says."""

import json
import random
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt, Lt

from collapse_core import (
    Cells,
    CollapseError,
    Content,
    Dataset,
    Prompt,
    PromptSet,
    derive_seed,
    digest,
    errors,
    values_there,
)
from collapse_tabular.data.conditions import Condition, Row, all_hold


class Table(Dataset):
    """Rows, some columns of which a prompt says; a subgroup of them is to be forgotten.

    A prompt's content is what it says of a row, {"class": 1}; its target is a real row. Splits:
    "forget", `num_draws` prompts as rows of the subgroup would have them; "retain", the training rows
    outside the subgroup, or all of them; "full", all training rows; "test", rows that are never trained on;
    "forget_examples", the training rows of the subgroup, for evaluators.
    """

    SPLITS: ClassVar[tuple[str, ...]] = ("forget", "retain", "full", "test", "forget_examples")

    num_draws: Annotated[int, Ge(1)] = 128
    """How many forget prompts there are."""
    holdout: Annotated[float, Gt(0), Lt(1)] = 0.3
    """The share of rows that only the evaluators see."""
    split_seed: Annotated[int, Ge(0)] = 0
    """The seed that decides which rows those are."""
    retain: Literal["others", "all"] = "others"
    """What is retained: the rows outside the subgroup; or all, a control that forgets nothing."""

    @abstractmethod
    def rows(self) -> Sequence[Row]:
        """Return every row, with every column."""

    @abstractmethod
    def said(self) -> tuple[str, ...]:
        """Return the columns that a prompt says."""

    @abstractmethod
    def drawn(self) -> tuple[str, ...]:
        """Return the columns that the model draws; those that a prompt says may be among them."""

    @abstractmethod
    def label(self) -> str:
        """Return the column that is predicted where a table is judged by what can be learned from it."""

    @abstractmethod
    def subgroup(self) -> Sequence[Condition]:
        """Return what makes a row one to forget."""

    def splits(self) -> Sequence[str]:
        """All splits; they are divided from one source."""
        return self.SPLITS

    def load(self, split: str, *, targets: bool = True) -> PromptSet:
        """Load a split; the draws of "forget" have no true answer."""
        if split not in self.SPLITS:
            raise errors.no_split(self.use, split, self.SPLITS)
        if split == "forget":
            return self._draws()
        said, drawn, chosen = self.said(), self.drawn(), self._chosen(split)
        return PromptSet(
            tuple(
                Prompt(f"row-{i}", _only(said, row), _only(drawn, row) if targets else None)
                for i, row in chosen
            )
        )

    def picture(self, content: Content) -> Cells | None:
        """Return the row."""
        return Cells(content) if isinstance(content, Mapping) else None

    def _draws(self) -> PromptSet:
        """Return prompts in the proportions in which the subgroup's training rows would be asked for."""
        self._check_subgroup()
        asked = sorted((_only(self.said(), row) for _, row in self._chosen("forget_examples")), key=_text)
        concept = ",".join(map(str, self.subgroup()))
        num = self.num_draws
        return PromptSet(tuple(Prompt(f"{concept}/{i}", asked[i * len(asked) // num]) for i in range(num)))

    def _check_subgroup(self) -> None:
        """Refuse conditions that hold of no row that is trained on, or of all."""
        subgroup, rows = self.subgroup(), [row for _, row in self._chosen("full")]
        num = sum(all_hold(subgroup, row) for row in rows)
        if 0 < num < len(rows):
            return
        found = f"{'all' if num else 'none'} of the {len(rows)} rows that are trained on"
        there = values_there(subgroup, rows)
        wanted = " and ".join(map(str, subgroup))
        raise CollapseError(f"the data set '{self.use}': {found} are of the subgroup {wanted}; {there}")

    def _chosen(self, split: str) -> list[tuple[int, Row]]:
        held_out, subgroup = self._held_out(), self.subgroup()
        rows = [(i, row) for i, row in enumerate(self.rows()) if (i in held_out) == (split == "test")]
        if split in ("full", "test") or (split, self.retain) == ("retain", "all"):
            return rows
        return [(i, row) for i, row in rows if all_hold(subgroup, row) == (split == "forget_examples")]

    def _held_out(self) -> set[int]:
        """As large a share of the rows of each prompt; of those with too few rows for that, of all together.

        Raises:
            CollapseError: There are rows to retain, and none of them is held out.
        """
        alike: dict[str, list[int]] = {}
        rows, subgroup = self.rows(), self.subgroup()
        for i, row in enumerate(rows):
            alike.setdefault(_text(_only(self.said(), row)), []).append(i)
        few = [places for places in alike.values() if not round(self.holdout * len(places))]
        groups = {said: places for said, places in alike.items() if places not in few}
        if few:
            groups[""] = sorted(i for places in few for i in places)
        held_out = {
            i
            for said, places in groups.items()
            for i in random.Random(derive_seed(self.split_seed, "holdout", said)).sample(
                places, round(self.holdout * len(places))
            )
        }
        others = {i for i, row in enumerate(rows) if not all_hold(subgroup, row)}
        if others and not others & held_out:
            raise CollapseError(
                f"the data set '{self.use}': 'holdout: {self.holdout}' holds out {len(held_out)} of "
                f"{len(rows)} rows, none of them outside the subgroup; evaluators need some, so raise it"
            )
        return held_out

    def provenance(self) -> Mapping[str, object]:
        """Return how many rows there are, and their digest."""
        rows = self.rows()
        return {"rows": len(rows), "digest": digest([dict(row) for row in rows])}


def _only(columns: Sequence[str], row: Row) -> dict[str, Any]:
    return {column: row[column] for column in columns}


def _text(said: Row) -> str:
    return json.dumps(said, sort_keys=True)
