"""Submitting the members of a sweep to Slurm, or to processes of this machine, through submitit."""

import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from collapse_core import errors
from collapse_core.errors import CollapseError
from collapse_core.sweep.local import OnEnd, Stop, carry_out, is_at_work
from collapse_core.sweep.members import SAID_NOTHING, Member, Standing

POLL_SECONDS = 0.2
TIMEOUT_MINUTES = 240
"""How long a job may take before it makes a checkpoint and queues again, unless the settings say."""
REFUSALS = (AssertionError, NameError, TypeError, ValueError, RuntimeError, FileNotFoundError)
"""What submitit raises for a cluster or a parameter that it does not know, or a value of the wrong type."""


class Job:
    """What runs on the node: one member, from its last checkpoint on if there is one."""

    def __init__(self, member: Member) -> None:
        """Take the member; nodes share the disk, so paths are made absolute."""
        self.member = replace(member, recipe=member.recipe.resolve(), sweep=member.sweep.resolve())
        self.stop: Stop | None = None

    def __call__(self) -> Standing:
        """Carry the member out; a job that is cancelled, however often, stops it after its iteration."""
        self.stop = stop = Stop()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, frame: None if stop.asked else stop.ask())
        return carry_out(self.member, stop)

    def checkpoint(self) -> Any:
        """Called before the job is preempted or its time is up: stop after the iteration, and queue again."""
        from submitit.helpers import DelayedSubmission

        if self.stop:
            self.stop.ask()
            self.stop.wait()
        return DelayedSubmission(Job(self.member))


def submit(
    todo: Sequence[Member], folder: Path, settings: Mapping[str, Any], stop: Stop, on_end: OnEnd
) -> None:
    """Submit members as one job array, and wait for them; asked to stop, the jobs are cancelled.

    Args:
        todo: The members.
        folder: Where submitit keeps its files; nodes must see it.
        settings: `cluster`, "slurm" or "local", by default what there is; else parameters of submitit's
            AutoExecutor, such as timeout_min, gpus_per_node, slurm_partition, slurm_array_parallelism.
        stop: Asks for an end.
        on_end: Called with each member once its job has ended.

    Raises:
        CollapseError: submitit is not installed, or refuses the settings.
    """
    jobs = _submit(todo, folder, dict(settings))
    cancelled = 0
    while jobs:
        if stop.times > cancelled:
            cancelled = stop.times
            for job in jobs.values():
                job.cancel(check=False)
        for member in [member for member, job in jobs.items() if job.done()]:
            job = jobs.pop(member)
            _wait_for_process(member, stop)
            on_end(member, _outcome(member, job, stop))
        time.sleep(POLL_SECONDS)


def _submit(todo: Sequence[Member], folder: Path, settings: dict[str, Any]) -> dict[Member, Any]:
    submitit = _import_submitit()
    try:
        executor = submitit.AutoExecutor(folder=folder, cluster=settings.pop("cluster", None))
        executor.update_parameters(**({"name": "collapse", "timeout_min": TIMEOUT_MINUTES} | settings))
        with executor.batch():
            return {member: executor.submit(Job(member)) for member in todo}
    except REFUSALS as error:
        what = " ".join(str(error).split()) or type(error).__name__
        raise CollapseError(f"submitit refuses: {what}; change --launcher-set") from error


def _import_submitit() -> Any:
    """Without its logging, which takes standard output and closes the handlers of everybody else."""
    os.environ["SUBMITIT_LOG_LEVEL"] = "NOCONFIG"
    try:
        import submitit
    except ImportError:
        raise errors.missing_extra("submitit", "slurm", "handing a sweep to Slurm") from None
    finally:
        del os.environ["SUBMITIT_LOG_LEVEL"]
    return submitit


def _wait_for_process(member: Member, stop: Stop) -> None:
    """A cancelled job may be gone before the process that it had started; asked twice, nobody waits."""
    while stop.times == 1 and is_at_work(member):
        time.sleep(POLL_SECONDS)


def _outcome(member: Member, job: Any, stop: Stop) -> Standing:
    """How the member stands; a job that ended while its run did not has failed, and the log says why."""
    state = member.state()
    if state in ("done", "another", "failed") or stop.asked:
        return state
    why = " ".join(str(job.exception() or "").split()) or SAID_NOTHING
    member.log.parent.mkdir(parents=True, exist_ok=True)
    with member.log.open("a", encoding="utf-8") as log:
        log.write(f"its job {job.job_id} ended before its run: {why}\n")
    return "failed"
