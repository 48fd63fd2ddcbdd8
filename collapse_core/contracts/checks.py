"""What is asked of a part at its border: what it raises is named, and what it returns is checked."""

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Any, SupportsFloat, SupportsIndex, cast

from collapse_core import errors
from collapse_core.contracts.interfaces import Model
from collapse_core.contracts.types import Completion, Group, Kept, Prompt
from collapse_core.errors import CollapseError, PartError
from collapse_core.runtime import files

LARGEST = 1e100
"""The largest number that a part may return: sums and squares of such numbers are still finite."""


class Working:
    """Names a part in whatever it raises while a block runs; see `at_work`."""

    __slots__ = ("kind", "name", "prompt")

    def __init__(self, kind: str, name: str, prompt: Prompt | None) -> None:
        self.kind, self.name, self.prompt = kind, name, prompt

    def __enter__(self) -> None: ...

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is None or isinstance(error, CollapseError | KeyboardInterrupt | GeneratorExit):
            return
        if isinstance(error, OSError) and error.errno in files.DISK:
            return
        prompt = self.prompt.id if self.prompt else None
        raise PartError(errors.failing_part(self.kind, self.name, prompt, error)) from error


def at_work(kind: str, name: str, prompt: Prompt | None = None) -> Working:
    """Name the part in whatever it raises while the block runs, an exit included.

    A class of its own, as it is entered for each completion: a generator takes four times as long.

    Raises:
        PartError: It raised something that does not say what the user can do.
    """
    return Working(kind, name, prompt)


def plain_number(value: object) -> int | float | None:
    """The value as a built-in number; None where it is none, not finite, or beyond `LARGEST`."""
    if type(value) is float or type(value) is int:
        return value if abs(value) <= LARGEST else None
    if isinstance(value, str | bytes | bytearray) or tuple(getattr(value, "shape", ())):
        return None
    try:
        plain = (
            operator.index(cast(SupportsIndex, value))
            if _is_whole(value)
            else float(cast(SupportsFloat, value))
        )
    except (TypeError, ValueError, OverflowError):
        return None
    return plain if abs(plain) <= LARGEST else None


def _is_whole(value: object) -> bool:
    try:
        operator.index(cast(SupportsIndex, value))
    except TypeError:
        return False
    return True


# --- rewards ---------------------------------------------------------------------------------------


def scores_of(name: str, prompt: Prompt, num: int, returned: Iterable[Any]) -> tuple[float | None, ...]:
    """The scores that a reward returned for `num` completions, as plain numbers; None abstains.

    Raises:
        CollapseError: It returned something else.
    """
    if isinstance(returned, str | bytes | Mapping | Set) or not hasattr(returned, "__iter__"):
        raise CollapseError(
            f"the reward '{name}' returned {_shown(returned)} for prompt {prompt.id!r}; it must return a "
            "sequence of one score per completion"
        )
    scores = list(returned)
    if len(scores) != num:
        raise CollapseError(
            f"the reward '{name}' returned {len(scores)} scores for {num} completions "
            f"of prompt {prompt.id!r}; it must return one per completion, None to abstain"
        )
    found = [None if score is None else plain_number(score) for score in scores]
    if any(score is not None and plain is None for score, plain in zip(scores, found, strict=True)):
        raise CollapseError(
            f"the reward '{name}' returned {_shown(scores)} for prompt {prompt.id!r}; a score must be a "
            f"finite number (at most {LARGEST:g}), or None to abstain"
        )
    return tuple(None if score is None else float(score) for score in found)


# --- samplers --------------------------------------------------------------------------------------


def checked_groups(
    name: str,
    prompts: Sequence[Prompt],
    num: int,
    groups: Iterable[Group],
    may_stop: Callable[[Prompt], bool],
) -> list[Group]:
    """The groups that a sampler returned.

    Args:
        name: What the recipe calls the sampler.
        prompts: What it was asked for.
        num: How many completions of each, at least.
        groups: What it returned.
        may_stop: Whether completions of a prompt may be left unfinished.

    Raises:
        CollapseError: They are not one group per prompt, in order, each with so many completions.
    """
    found = list(groups)
    _check_ids(f"the sampler '{name}'", "groups", prompts, [group.prompt.id for group in found])
    for group in found:
        if len(group.completions) < num:
            raise CollapseError(
                f"the sampler '{name}' returned {errors.counted(len(group.completions), 'completion')} of "
                f"prompt {group.prompt.id!r}, where {num} were asked for"
            )
        if not all(completion.finished for completion in group.completions) and not may_stop(group.prompt):
            raise CollapseError(
                f"the sampler '{name}' left completions of prompt {group.prompt.id!r} unfinished, though the "
                "filter may keep others than the best"
            )
    return found


def checked_references(
    name: str, prompts: Sequence[Prompt], references: Iterable[Completion]
) -> list[Completion]:
    """The reference answers that a sampler returned.

    Raises:
        CollapseError: They are not one per prompt.
    """
    found = list(references)
    if len(found) != len(prompts):
        raise CollapseError(
            f"the sampler '{name}' returned {errors.counted(len(found), 'reference answer')} for "
            f"{errors.counted(len(prompts), 'prompt')}; it must return one per prompt, in order"
        )
    return found


def _check_ids(part: str, what: str, prompts: Sequence[Prompt], found: Sequence[str]) -> None:
    asked = [prompt.id for prompt in prompts]
    if found == asked:
        return
    if len(found) != len(asked):
        how = f"{len(found)} {what} for {errors.counted(len(asked), 'prompt')}"
    else:
        place = next(place for place in range(len(asked)) if found[place] != asked[place])
        how = f"a group of prompt {found[place]!r} in the place of prompt {asked[place]!r}"
    raise CollapseError(f"{part} returned {how}; it must return one group per prompt, in order")


# --- filters and updaters --------------------------------------------------------------------------


def checked_kept(name: str, groups: Sequence[Group], kept: Iterable[Kept]) -> list[Kept]:
    """What a filter kept.

    Raises:
        CollapseError: It is of prompts that are not in the batch.
    """
    found, known = list(kept), {group.prompt.id for group in groups}
    for one in found:
        if one.prompt.id not in known:
            raise CollapseError(
                f"the filter '{name}' kept a completion of prompt {one.prompt.id!r}, which is not in the "
                "batch; it must keep completions of the groups that it is given, or their incumbents"
            )
    return found


def checked_metrics(name: str, metrics: Mapping[Any, object]) -> dict[str, float]:
    """The numbers that an updater returned, as built-in numbers.

    Raises:
        CollapseError: A key is no text, or a value is no finite number.
    """
    if not isinstance(metrics, Mapping):
        raise CollapseError(f"the updater '{name}' returned {_shown(metrics)}; it must return a mapping")
    found: dict[str, float] = {}
    for key, value in metrics.items():
        number = plain_number(value)
        if not isinstance(key, str) or number is None:
            raise CollapseError(
                f"the updater '{name}' reported {key!r} as {_shown(value)}; it must report finite "
                "numbers by name" + ("; has the training diverged?" if isinstance(value, float) else "")
            )
        found[key] = number
    return found


def _shown(value: object) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 100 else text[:99] + "…"


def check_finite(model: Model) -> None:
    """Refuse to measure a model with a weight that is NaN or infinite: what comes out may look good.

    Raises:
        CollapseError: It names the weight.
    """
    if name := model.not_finite():
        raise errors.not_finite(name)
