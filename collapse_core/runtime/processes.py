"""The processes that work on one run together: what each does, and how they stay of one mind.

Alone is the default and costs nothing. Several are started by `accelerate launch`, by torchrun, or by the key
`launch:` of a recipe; they see the same prompts, keep the same completions, and take the same steps.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, TypeVar

from collapse_core import errors
from collapse_core.errors import CollapseError

Item = TypeVar("Item")
Result = TypeVar("Result")


class StoppedGently(KeyboardInterrupt):
    """All processes have stopped after the same iteration, with a checkpoint."""


class FailedElsewhereError(CollapseError):
    """What another process of the run has failed by; that one says it, so this one stays silent."""

    def __init__(self, sentence: str, exit_code: int = 1) -> None:
        """Take what the other process says, and its exit code."""
        self.exit_code = exit_code
        super().__init__(sentence)


class Processes:
    """The processes of a run, seen from one of them; this one is alone."""

    index: int = 0
    """Which of them this is, from 0."""
    count: int = 1
    """How many there are."""

    @property
    def is_main(self) -> bool:
        """Whether this is the one that writes, measures and talks."""
        return self.index == 0

    def exchange(self, value: Item) -> list[Item]:
        """What each process brings, by index; all must call it. The others build on this alone."""
        return [value]

    def share(self, items: Sequence[Item]) -> list[Item]:
        """This process's part of the items: every `count`-th, from `index` on."""
        return list(items[self.index :: self.count])

    def gather_shares(self, share: Sequence[Item]) -> list[Item]:
        """The shares of all processes, put back into the order that `share` took them from."""
        return _interleaved(self.exchange(list(share)))

    def lost(self) -> CollapseError:
        """A process that ended without a word, such as by a kill; only the main one speaks of it."""
        kind = CollapseError if self.is_main else FailedElsewhereError
        return kind("another process of this run failed or was killed; see what it said, if anything")

    def agree(self, flag: bool) -> bool:
        """Whether any process says yes."""
        return any(self.exchange(flag))

    def wait(self) -> None:
        """Go on when all processes have come here."""
        self.exchange(None)

    def spread(
        self, items: Sequence[Item], work: Callable[[Sequence[Item]], Sequence[Result]]
    ) -> list[Result]:
        """What `work` makes of the items, one result each, in order; each process does its share.

        Raises:
            CollapseError: The work failed, here or on another process; then it has failed on all.
        """
        return _interleaved(self.gather(lambda: list(work(self.share(items)))))

    def on_main(self, work: Callable[[], Result]) -> Result:
        """What the main process makes, given to all; the others wait, and fail where it fails."""

        def make() -> Any:
            if not self.is_main:
                return None
            with alone():
                return work()

        made: Result = self.gather(make)[0]
        return made

    def gather(self, work: Callable[[], Result]) -> list[Result]:
        """What each process makes, by index; if one fails, all do, and only that one says why."""
        if self.count == 1:
            return [work()]
        mine: Exception | None = None
        result: Any = None
        try:
            result = work()
        except Exception as error:
            mine = error
        outcomes = self.exchange(_Outcome(result, mine and _described(mine)))
        failed = next((index for index, outcome in enumerate(outcomes) if outcome.failure), None)
        if failed is None:
            return [outcome.result for outcome in outcomes]
        if mine is not None and failed == self.index:
            raise mine
        raise FailedElsewhereError(*outcomes[failed].failure)


@dataclass(frozen=True)
class _Outcome:
    result: Any
    failure: Any = None
    """The sentence and the exit code, where the work failed."""


def _described(error: Exception) -> tuple[str, int]:
    """The sentence and the exit code that other processes get of an error."""
    if isinstance(error, CollapseError):
        return str(error), error.exit_code
    return (errors.system_error(error) if isinstance(error, OSError) else errors.unexpected(error)), 1


def _interleaved(shares: Sequence[Sequence[Item]]) -> list[Item]:
    nothing = object()
    return [item for row in zip_longest(*shares, fillvalue=nothing) for item in row if item is not nothing]  # type: ignore[misc]


_alone: ContextVar[bool] = ContextVar("alone", default=False)
_joined: Processes | None = None


@contextmanager
def alone() -> Iterator[None]:
    """Run a block as if there were no other process: what it calls must not wait for any."""
    token = _alone.set(True)
    try:
        yield
    finally:
        _alone.reset(token)


def current() -> Processes:
    """The processes that this one works with; this one alone until it has joined the others of its run."""
    return Processes() if _alone.get() or _joined is None else _joined


def set_joined(joined: Processes) -> None:
    """Have `current` give these processes from now on."""
    global _joined
    _joined = joined


def num_launched() -> int:
    """How many processes a launcher says there are, in WORLD_SIZE; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE") or 1)
