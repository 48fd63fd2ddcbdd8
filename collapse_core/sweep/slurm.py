"""Submitting the members of a sweep to Slurm, or to processes of this machine, through submitit."""

import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from collapse_core import errors
from collapse_core.errors import CollapseError
from collapse_core.sweep.local import OnEnd, Stop, carry_out
from collapse_core.sweep.members import Member, Standing
from collapse_core.sweep.submitted import wait_for_all

TIMEOUT_MINUTES = 240
"""How long a job may take before it makes a checkpoint and queues again, by default."""
REFUSALS = (AssertionError, NameError, TypeError, ValueError, RuntimeError, FileNotFoundError)
"""What submitit raises for a cluster or a parameter that it does not know, or a value of the wrong type."""


class Job:
    """What runs on the node: one member, from its last checkpoint on if there is one."""

    def __init__(self, member: Member) -> None:
        """Take the member; nodes share the disk, so paths are made absolute."""
        self.member = member.absolute()
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
    wait_for_all({member: _Submitted(job) for member, job in jobs.items()}, stop, on_end)


class _Submitted:
    """A job of submitit's, as `wait_for_all` asks it."""

    def __init__(self, job: Any) -> None:
        self.job = job

    def done(self) -> bool:
        return bool(self.job.done())

    def cancel(self) -> None:
        self.job.cancel(check=False)

    def described(self) -> str:
        return f"job {self.job.job_id}"

    def failure(self) -> str:
        return str(self.job.exception() or "")


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
    """Submitit without its logging, which takes standard output and closes all other handlers."""
    os.environ["SUBMITIT_LOG_LEVEL"] = "NOCONFIG"
    try:
        import submitit
    except ImportError:
        raise errors.missing_extra("submitit", "slurm", "submitting a sweep to Slurm") from None
    finally:
        del os.environ["SUBMITIT_LOG_LEVEL"]
    return submitit
