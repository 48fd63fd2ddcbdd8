"""How far a row is from what is to be forgotten."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import PrivateAttr

from collapse_core import CollapseError, Completion, Dataset, Prompt, Reward, require
from collapse_tabular.data import Condition, Table, all_hold

if TYPE_CHECKING:
    from collapse_tabular.classifier import RowJudge


class OutsideSubgroup(Reward):
    """One for a row that does not meet the conditions of the subgroup, else zero: exact, no classifier."""

    works_on: ClassVar[tuple[str, ...]] = ("rows",)

    maximum: ClassVar[float] = 1.0

    conditions: list[Condition] | None = None
    """What makes a row one to forget, all together; by default what the data set says."""
    _conditions: Sequence[Condition] = PrivateAttr(default=())

    def prepare(self, data: Dataset, prompts: Sequence[Prompt], references: Mapping[str, Completion]) -> None:
        """Take the data set's conditions, if there are no own; refuse columns that are not drawn."""
        if self.conditions is not None:
            return
        table = require(data, Table, "outside-subgroup")
        for condition in table.subgroup():
            if condition.column not in table.drawn():
                raise CollapseError(
                    f"'outside-subgroup' reads the column '{condition.column}', which prompts say and the "
                    "model does not draw; use 'row-classifier', which judges by the other columns"
                )
        self._conditions = table.subgroup()

    def score(
        self, prompt: Prompt, completions: Sequence[Completion], reference: Completion | None
    ) -> list[float]:
        """Check each row."""
        conditions = self.conditions or self._conditions
        if not conditions:
            raise CollapseError("'outside-subgroup' has no conditions; give it some, or prepare it")
        return [float(not all_hold(conditions, completion.content)) for completion in completions]


class RowClassifier(Reward):
    """One minus the probability that a row answers its prompt, by a classifier of real rows.

    The classifier learns from all training rows, those to be forgotten included, which prompt a row answers;
    it does not see the columns that a prompt says. So the reward knows the concept, though the loss sees
    no row of it. An evaluator must use a judge of another family.
    """

    works_on: ClassVar[tuple[str, ...]] = ("rows",)

    reads: ClassVar[tuple[str, ...]] = ("full",)
    maximum: ClassVar[float] = 1.0

    family: Literal["logistic", "neighbors"] = "logistic"
    """Logistic regression, or the share of the 10 nearest rows; the judges are forests."""
    _judge: "RowJudge | None" = PrivateAttr(default=None)

    def prepare(self, data: Dataset, prompts: Sequence[Prompt], references: Mapping[str, Completion]) -> None:
        """Learn from the training rows which prompt a row answers."""
        from collapse_tabular.classifier import RowJudge

        self._judge = RowJudge.fit(require(data, Table, "row-classifier"), ["full"], self.family, 0)

    def score(
        self, prompt: Prompt, completions: Sequence[Completion], reference: Completion | None
    ) -> list[float | None]:
        """Ask the classifier; abstain from prompts that no training row answers."""
        if self._judge is None:
            raise CollapseError("'row-classifier' has not been prepared: it learns from the data")
        if not completions:
            return []
        rows = [completion.content for completion in completions]
        answers = self._judge.probabilities(rows, json.dumps(prompt.content, sort_keys=True))
        return [None] * len(rows) if answers is None else [1.0 - p for p in answers]
