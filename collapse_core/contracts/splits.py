"""The splits that an evaluator measures on, as far as the data set has them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from collapse_core.contracts.interfaces import Dataset, Evaluator
from collapse_core.contracts.types import Completion, PromptSet
from collapse_core.errors import CollapseError


class NothingToCompareError(CollapseError):
    """An evaluator compares with answers, and there are none."""


@dataclass(frozen=True)
class _Here:
    """The reference answers by prompt id, and what is to be noted of the prompts that were loaded."""

    references: Mapping[str, Completion] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


_here: ContextVar[_Here | None] = ContextVar("here", default=None)


@contextmanager
def standing_in(references: Mapping[str, Completion]) -> Iterator[Sequence[str]]:
    """Have reference answers stand in, while the block runs, where prompts have no true answer.

    Args:
        references: The reference answers by prompt id.

    Yields:
        Sentences on what `load_answered` made of prompts without an answer, as it does so.
    """
    here = _Here(references)
    token = _here.set(here)
    try:
        yield here.notes
    finally:
        _here.reset(token)


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
    for split in evaluator.reads if splits is None else splits:
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


def load_answered(evaluator: Evaluator, data: Dataset, splits: Sequence[str] | None = None) -> Splits:
    """Load the splits that an evaluator reads, as `load_splits` does, of prompts with an answer.

    Where a prompt has no true answer, its reference answer stands in if there is one that says something;
    else the prompt is left out. Both are noted with what the evaluator finds.

    Raises:
        NothingToCompareError: No prompt of a split that the evaluator needs has either.
        CollapseError: As `load_splits`.
    """
    loaded = load_splits(evaluator, data, splits)
    found, absent = dict(loaded.found), dict(loaded.absent)
    for split, prompts in loaded.found.items():
        if not prompts.unanswered():
            continue
        answers = {key: one for key, one in _now().references.items() if one.content}
        known = prompts.answered(answers)
        found[split] = PromptSet(tuple(prompt for prompt in known if prompt.target is not None))
        left_out = len(known.unanswered())
        _say(split, len(prompts), len(prompts.unanswered()) - left_out, left_out)
        if found[split]:
            continue
        reason = f"the prompts of the split '{split}' have no answers to compare with"
        if split not in evaluator.optional_splits:
            raise NothingToCompareError(reason)
        absent[split] = reason
        del found[split]
    return Splits(found, absent)


def _say(split: str, num: int, stood_in: int, left_out: int) -> None:
    whole = f"of {num} prompts of the split '{split}'"
    new = [
        *([f"the reference answer stands in for the true answer of {stood_in} {whole}"] if stood_in else []),
        *([f"{left_out} {whole} have no answer, and are left out"] if left_out else []),
    ]
    for sentence in new:
        note(sentence)


def note(sentence: str) -> None:
    """Note something that must be known to read what the evaluator at work finds; tables say it."""
    if sentence not in (notes := _now().notes):
        notes.append(sentence)


def _now() -> _Here:
    return _here.get() or _Here()


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
