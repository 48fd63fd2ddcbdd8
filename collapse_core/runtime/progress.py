"""How far a long piece of work has come, for listeners such as the console."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

Item = TypeVar("Item")
Listener = Callable[[str, int, int], None]

_listeners: ContextVar[tuple[Listener, ...]] = ContextVar("listeners", default=())


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Have `listener(label, done, total)` called while the block runs, besides those that listen already.

    `total` is 0 for an announcement.
    """
    token = _listeners.set((*_listeners.get(), listener))
    try:
        yield
    finally:
        _listeners.reset(token)


def report(label: str, done: int, total: int) -> None:
    """Report that `done` of `total` is done."""
    for listener in _listeners.get():
        listener(label, done, total)


def announce(text: str) -> None:
    """Report something of unknown length, such as waiting."""
    report(text, 0, 0)


def track(items: Sequence[Item], label: str) -> Iterable[Item]:
    """The items, reporting before the first and after each."""
    if items:
        report(label, 0, len(items))
    for done, item in enumerate(items, start=1):
        yield item
        report(label, done, len(items))
