"""Waiting for the members of a sweep that have been submitted, and cancelling them."""

import time
from collections.abc import Mapping, Sequence
from typing import Protocol

from collapse_core.sweep.local import OnEnd, Stop, is_at_work
from collapse_core.sweep.members import NO_MESSAGE, Member, Standing

POLL_SECONDS = 0.2


class Submitted(Protocol):
    """A job of a launcher, which carries one member out."""

    def done(self) -> bool:
        """Whether it has ended, however it did."""

    def cancel(self) -> None:
        """Have it end: its member stops after the iteration, and at once if this is called again."""

    def described(self) -> str:
        """What the launcher calls it, such as "job 17"."""

    def failure(self) -> str:
        """Why it ended without an outcome, in the launcher's words; empty where it does not say."""


def wait_for_all(jobs: Mapping[Member, Submitted], stop: Stop, on_end: OnEnd) -> None:
    """Return once every job has ended; asked to stop, cancel them.

    Args:
        jobs: By member.
        stop: Asks for an end.
        on_end: Called with each member once its job has ended, and its state then.
    """
    waiting = dict(jobs)
    cancelled = 0
    while waiting:
        if stop.times > cancelled:
            cancelled = stop.times
            for job in waiting.values():
                job.cancel()
        for member in _ended(waiting):
            job = waiting.pop(member)
            _wait_for_process(member, stop)
            on_end(member, _outcome(member, job, stop))
        time.sleep(POLL_SECONDS)


def _ended(jobs: Mapping[Member, Submitted]) -> Sequence[Member]:
    return [member for member, job in jobs.items() if job.done()]


def _wait_for_process(member: Member, stop: Stop) -> None:
    """A cancelled job may be gone before the process that it had started; asked twice, stop waiting."""
    while stop.times == 1 and is_at_work(member):
        time.sleep(POLL_SECONDS)


def _outcome(member: Member, job: Submitted, stop: Stop) -> Standing:
    """The member's state; a job that ended while its run did not has failed, and the log has the reason."""
    state = member.state()
    if state in ("done", "another", "failed") or stop.asked:
        return state
    why = " ".join(job.failure().split()) or NO_MESSAGE
    member.log.parent.mkdir(parents=True, exist_ok=True)
    with member.log.open("a", encoding="utf-8") as log:
        log.write(f"its {job.described()} ended before its run: {why}\n")
    return "failed"
