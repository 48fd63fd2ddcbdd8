"""When a run stops before its last iteration: one of its numbers has reached a value."""

from collections.abc import Collection
from fnmatch import fnmatchcase
from typing import Annotated, Any

from annotated_types import Ge, Le
from pydantic import Field, SerializeAsAny, model_validator

from collapse_core.contracts.component import Settings
from collapse_core.contracts.interfaces import Dataset, Evaluator
from collapse_core.contracts.state import StopCheck
from collapse_core.errors import counted, did_you_mean
from collapse_core.plugins.registry import part

TOTAL = "total"
"""What the weighted sum of all rewards is called."""


class StopWhen(Settings):
    """Stop the run when a number has reached a value; `iterations` is then the most that it takes.

    The number is a metric that an evaluator measures of the model after an iteration, or the mean of a reward
    over the completions that were drawn in it.
    """

    reward: str | None = None
    """The name of a reward of the recipe, or "total" for their weighted sum."""
    evaluator: Annotated[SerializeAsAny[Evaluator], part("evaluator")] | None = None
    """What measures `metric`: a name, or a mapping with `use:`."""
    metric: Annotated[str, Field(min_length=1)] | None = None
    """The metric of that evaluator."""
    data: Annotated[SerializeAsAny[Dataset], part("dataset")] | None = None
    """What it is measured on, such as a validation split; by default the data of the run."""
    at_least: float | None = None
    """The number must be at least this."""
    at_most: float | None = None
    """It must be at most this."""
    every: Annotated[int, Ge(1), Le(10**9)] = 1
    """Look at it after each so many iterations."""
    patience: Annotated[int, Ge(1), Le(10**6)] = 1
    """How many times in a row it must be found to have reached the value."""

    @model_validator(mode="after")
    def _names_one_number_and_one_bound(self) -> "StopWhen":
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("expected one of at_least and at_most")
        if (self.reward is None) == (self.evaluator is None):
            raise ValueError("expected a 'reward', or an 'evaluator' with its 'metric'")
        if (self.evaluator is None) != (self.metric is None):
            raise ValueError("'evaluator' and 'metric' go together; give both or neither")
        if self.data is not None and self.evaluator is None:
            raise ValueError("'data' is what an evaluator measures on; a reward is of the run's own prompts")
        if self.evaluator and not _measures(self.evaluator, self.metric or ""):
            raise ValueError(
                f"the evaluator '{self.evaluator.use}' does not measure '{self.metric}'; "
                f"{did_you_mean(self.metric or '', [*self.evaluator.meanings])}"
            )
        return self

    @property
    def measured(self) -> tuple[Evaluator, str] | None:
        """The evaluator and its metric; None where a reward is looked at."""
        return (self.evaluator, self.metric) if self.evaluator and self.metric else None

    @property
    def number(self) -> str:
        """What the number is called."""
        return f"the mean of the reward '{self.reward}'" if self.reward else self.metric or ""

    def unknown_reward(self, names: Collection[str]) -> str | None:
        """Say that none of a recipe's rewards is the one that is looked at; None where one is."""
        if self.reward is None or self.reward in (*names, TOTAL):
            return None
        return f"the recipe has no reward '{self.reward}'; {did_you_mean(self.reward, [*names, TOTAL])}"

    def next(self, before: StopCheck | None, iteration: int, value: float | None) -> StopCheck:
        """What is remembered after looking once more.

        Args:
            before: What was remembered until now.
            iteration: How many iterations are done.
            value: The number; None where it could not be measured.
        """
        held = 1 + (before.held if before else 0) if self._is_reached(value) else 0
        return StopCheck(iteration, value, held, held >= self.patience)

    def _is_reached(self, value: float | None) -> bool:
        if value is None:
            return False
        return value >= self.at_least if self.at_least is not None else value <= (self.at_most or 0.0)

    def line(self, check: StopCheck) -> dict[str, Any]:
        """What the journal says of one look: the number, and why the run stops where it does."""
        found = {"value": check.value, "held": check.held, "patience": self.patience}
        return {"number": self.number, **found, "stops": self.describe(check) if check.reached else None}

    def describe(self, check: StopCheck) -> str:
        """Say in a sentence why the run stopped."""
        way, bound = ("least", self.at_least) if self.at_least is not None else ("most", self.at_most)
        often = f", {counted(check.held, 'time')} in a row" if self.patience > 1 else ""
        return (
            f"stopped after iteration {check.iteration}: {self.number} was {check.value:.4g}, "
            f"which is at {way} {bound:g}{often}"
        )


def _measures(evaluator: Evaluator, metric: str) -> bool:
    """Whether an evaluator may measure a metric; one that does not say what it measures may."""
    known = evaluator.meanings
    return not known or any(fnmatchcase(metric, name) for name in known)
