"""How far a long piece of work has come, for a listener such as the console."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

Item = TypeVar("Item")
Listener = Callable[[str, int, int], None]

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Have `listener(label, done, total)` called while the block runs; `total` is 0 for an announcement."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def report(label: str, done: int, total: int) -> None:
    """Say that `done` of `total` is done."""
    listener = _listener.get()
    if listener:
        listener(label, done, total)


def announce(text: str) -> None:
    """Say something of which it is not known how long it takes, such as waiting."""
    report(text, 0, 0)


def track(items: Sequence[Item], label: str) -> Iterable[Item]:
    """The items, reporting after each."""
    for done, item in enumerate(items, start=1):
        yield item
        report(label, done, len(items))
