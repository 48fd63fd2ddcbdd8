"""How a run is stopped: the first signal lets a begun iteration finish, the second stops at once."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from collapse_core.run.run import Run
from collapse_core.runtime.processes import num_launched
from collapse_core.runtime.signals import when_asked_to_stop


@contextmanager
def stopping_gently(run: Run, say: Callable[[str], None]) -> Iterator[None]:
    """Stop after the iteration at the first SIGINT or SIGTERM, and at once at the second.

    While a single process loads or teaches the model, the first stops at once: there is no iteration to
    finish.

    Signals reach the main thread alone; in another one the block runs as it is.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int) -> None:
        if run.interrupted or (run.phase == "load" and num_launched() == 1):
            raise KeyboardInterrupt
        run.interrupted = True
        if run.processes.is_main:
            say("stopping after this iteration; once more to stop now")

    with when_asked_to_stop(stop):
        yield
