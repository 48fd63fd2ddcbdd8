"""How far a long piece of work has come, told to whoever listens."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

Item = TypeVar("Item")
Listener = Callable[[str, int, int], None]

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Have `listener(label, done, total)` called while the block runs."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def report(label: str, done: int, total: int) -> None:
    """Tell whoever listens that `done` of `total` is done."""
    listener = _listener.get()
    if listener:
        listener(label, done, total)


def track(items: Sequence[Item], label: str) -> Iterable[Item]:
    """The items, reporting after each."""
    for done, item in enumerate(items, start=1):
        yield item
        report(label, done, len(items))
