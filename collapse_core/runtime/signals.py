"""What happens when a process is asked to stop."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def when_asked_to_stop(act: Callable[[int], None]) -> Iterator[None]:
    """Call `act` with the signal's number at each SIGINT and SIGTERM while the block runs.

    Only the main thread may do this.
    """
    before = {
        number: signal.signal(number, lambda number, _: act(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
