"""Carrying out the members of a sweep on this machine, each in a process of its own."""

import fcntl
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from collapse_core.runtime import files
from collapse_core.sweep.members import Member, Standing

POLL_SECONDS = 0.05
LAID_OUT = {"checkpoints", "completions", "recipe.yaml", "environment.json"}
"""What a run that was killed while its directory was laid out leaves there."""


class Stop:
    """Asks for an end: no further member is begun, and those at work stop after their iteration."""

    def __init__(self) -> None:
        """Nothing is to be stopped yet."""
        self.times = 0
        """How often it was asked."""
        self._at_work: set[subprocess.Popen[bytes]] = set()

    def ask(self) -> None:
        """Stop; asked a second time, the members stop at once."""
        self.times += 1
        for process in list(self._at_work):
            if process.poll() is None:
                process.send_signal(signal.SIGINT)

    @property
    def asked(self) -> bool:
        """Whether there is to be an end."""
        return self.times > 0

    def wait(self) -> None:
        """Return once no process is at work."""
        while any(process.poll() is None for process in list(self._at_work)):
            time.sleep(POLL_SECONDS)

    @contextmanager
    def watching(self, process: subprocess.Popen[bytes]) -> Iterator[None]:
        """Pass on to this process what is asked while the block runs."""
        self._at_work.add(process)
        try:
            if self.asked:
                process.send_signal(signal.SIGINT)
            yield
        finally:
            self._at_work.discard(process)


def carry_out(member: Member, stop: Stop, environment: Mapping[str, str] = {}) -> Standing:
    """Bring a member to its end in a process of its own, unless it is there already.

    A sweep that works on a member has its log open under a lock, which the member's process inherits. So a
    member whose sweep was killed is waited for, rather than begun twice; that holds for two sweeps, and two
    machines, too.

    Args:
        member: The member.
        stop: Asks for an end, from another thread or a signal handler.
        environment: Variables in addition to those of this process.

    Returns:
        Its state then.
    """
    member.log.parent.mkdir(parents=True, exist_ok=True)
    with member.log.open("ab") as log:
        if not _locked(log, stop) or stop.asked or member.state() in ("done", "another"):
            return member.state()
        if member.state() == "new":
            _clear(member.directory)
        with _sigint_unblocked():
            process = subprocess.Popen(
                member.command(),
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=os.environ | environment,
                start_new_session=True,  # a Ctrl-C at the terminal reaches it through `stop` alone
            )
        with stop.watching(process):
            code = _ended(process)
        if code < 0:
            log.write(f"its process was ended by signal {-code}\n".encode())
    state = member.state()
    return "failed" if code not in (0, 130) and state in ("new", "begun", "interrupted") else state


def is_at_work(member: Member) -> bool:
    """Whether a process works on the member, this one's or another's."""
    if not member.log.exists():
        return False
    with member.log.open("ab") as log:
        try:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _locked(log: IO[bytes], stop: Stop) -> bool:
    """Wait until no other process works on the member; False if asked to stop meanwhile."""
    while not stop.asked:
        try:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(POLL_SECONDS)
        else:
            return True
    return False


@contextmanager
def _sigint_unblocked() -> Iterator[None]:
    """Let what is started be interrupted: it inherits what is blocked, as SIGINT is in Ray's workers."""
    before = signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _ended(process: subprocess.Popen[bytes]) -> int:
    """The exit code; asked for again and again, since a signal handler may want to know it meanwhile."""
    while (code := process.poll()) is None:
        time.sleep(POLL_SECONDS)
    return code


def _clear(directory: Path) -> None:
    """Remove what a process has left that was killed before its run had begun; nothing else."""
    left = [path.name for path in directory.iterdir()] if directory.is_dir() else []
    if left and all(name in LAID_OUT or name.endswith(files.DRAFT) for name in left):
        shutil.rmtree(directory)


# --- all of them -----------------------------------------------------------------------------------

OnEnd = Callable[[Member, Standing], None]
"""Called with each member once it has ended, and its state then."""


def carry_out_here(todo: Sequence[Member], jobs: int, stop: Stop, on_end: OnEnd) -> None:
    """Carry members out on this machine, so many at a time, with its cores divided among them.

    Args:
        todo: The members, in order.
        jobs: How many at a time.
        stop: Asks for an end.
        on_end: Called with each member once it has ended.
    """
    from concurrent.futures import ThreadPoolExecutor, as_completed

    threads = {} if jobs == 1 or "OMP_NUM_THREADS" in os.environ else _threads(jobs)

    def work(member: Member) -> Standing:
        return member.state() if stop.asked else carry_out(member, stop, threads)

    with ThreadPoolExecutor(jobs) as pool:
        futures = {pool.submit(work, member): member for member in todo}
        for future in as_completed(futures):
            on_end(futures[future], future.result())


def _threads(jobs: int) -> dict[str, str]:
    each = str(max(1, (os.cpu_count() or 1) // jobs))
    return dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), each)
