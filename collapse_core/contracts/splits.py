"""The splits that an evaluator measures on, as far as the data set has them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from collapse_core.contracts.interfaces import Dataset, Evaluator
from collapse_core.contracts.types import PromptSet
from collapse_core.errors import CollapseError


@dataclass(frozen=True, slots=True)
class Splits:
    """What was loaded, and why the rest was not."""

    found: Mapping[str, PromptSet]
    """By split, its prompts; never empty."""
    absent: Mapping[str, str]
    """By optional split that the data set does not have: the reason, as a clause."""

    def missing(self, needs: Mapping[str, Sequence[str]]) -> dict[str, str]:
        """List the metrics that cannot be measured, with the reason, as `Evaluation.missing` takes them.

        Args:
            needs: By metric, all splits that it is measured on.
        """
        return {
            metric: self.absent[absent[0]]
            for metric, splits in needs.items()
            if (absent := [split for split in splits if split in self.absent])
        }


def load_splits(evaluator: Evaluator, data: Dataset, splits: Sequence[str] | None = None) -> Splits:
    """Load the splits that an evaluator reads, with their true answers.

    A split without any prompt counts as one that the data set does not have.

    Args:
        evaluator: Which evaluator measures; it says which splits are optional.
        data: The data set.
        splits: Which splits; by default all that the evaluator reads.

    Raises:
        CollapseError: A split that the evaluator needs is absent, or cannot be read.
    """
    found: dict[str, PromptSet] = {}
    absent: dict[str, str] = {}
    for split in evaluator.splits_read() if splits is None else splits:
        optional = split in evaluator.optional_splits
        prompts = _load(data, split, optional)
        if isinstance(prompts, str):
            absent[split] = prompts
        elif len(prompts):
            found[split] = prompts
        elif optional:
            absent[split] = f"the split '{split}' of the data set is empty"
        else:
            name = evaluator.use or type(evaluator).__name__
            raise CollapseError(
                f"the evaluator '{name}' needs the split '{split}', which is empty in the data set "
                f"'{data.use}'; leave the evaluator out or choose other data"
            )
    return Splits(found, absent)


def _load(data: Dataset, split: str, optional: bool) -> PromptSet | str:
    """The split, or why there is none."""
    if not optional or (data.splits() is not None and data.has(split)):
        return data.load(split)
    if not data.has(split):
        return f"the data set has no split '{split}'"
    try:
        return data.load(split)
    except CollapseError as error:
        # The data set does not say which splits it has, so that asking for one is how to find out.
        return str(error)
