"""How a run is stopped: the first signal lets its iteration finish, the second stops at once."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from collapse_core.run.run import Run


@contextmanager
def stopping_gently(run: Run, say: Callable[[str], None]) -> Iterator[None]:
    """Stop after the iteration at the first SIGINT or SIGTERM, and at once at the second.

    Signals reach the main thread alone; in another one the block runs as it is.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        if run.interrupted:
            raise KeyboardInterrupt
        run.interrupted = True
        if run.processes.is_main:
            say("stopping after this iteration; once more to stop now")

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
