"""One completion in the making, whatever decodes it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol


class Watcher(Protocol):
    """Follows a row, to let go of it once it is known not to matter."""

    def follow(self, row: "Row") -> None:
        """The row has got its next token, or its end."""

    def lost(self) -> bool:
        """Return whether the row need not be finished. Asked after each token of any row."""


@dataclass(eq=False)
class Row:
    """One completion in the making."""

    prompt: list[int]
    seed: int
    room: int
    """How many tokens it may get, the end included."""
    watcher: "Watcher | None" = None
    """Who may drop the row before it ends."""
    answer: list[int] = field(default_factory=list)
    """The tokens so far, without the end."""
    ended: bool = False
    complete: bool = False
    """Whether the end was drawn, not only the last token that there was room for."""
    dropped: bool = False
    """Whether it was left unfinished."""

    def take(self, token: int, end_ids: frozenset[int]) -> None:
        """Note the next token, which may be the end."""
        self.room -= 1
        if token not in end_ids:
            self.answer.append(token)
        self.complete = token in end_ids
        self.ended = self.complete or self.room <= 0


def take(rows: Sequence[Row], tokens: Sequence[int], end_ids: frozenset[int]) -> None:
    """Note the next token of each row, and let its watcher follow."""
    for row, token in zip(rows, tokens, strict=True):
        row.take(token, end_ids)
        if row.watcher:
            row.watcher.follow(row)


def drop_lost(rows: Sequence[Row]) -> None:
    """End the rows that their watchers have given up."""
    for row in rows:
        if not row.ended and row.watcher and row.watcher.lost():
            row.ended = row.dropped = True
