"""Submitting the members of a sweep to a Ray cluster, or to the one that Ray starts on this machine."""

import logging
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from collapse_core import errors
from collapse_core.errors import CollapseError
from collapse_core.sweep.local import OnEnd, Stop, carry_out
from collapse_core.sweep.members import Member, Standing
from collapse_core.sweep.submitted import wait_for_all

REFUSALS = (ConnectionError, TypeError, ValueError, RuntimeError)
"""What Ray raises for an address without a cluster, an option that it does not know, or a wrong value."""
RESOURCES = {"num_cpus": "CPU", "num_gpus": "GPU"}
"""Options of a task, and what a cluster calls what they ask for."""


def submit(
    todo: Sequence[Member],
    settings: Mapping[str, Any],
    stop: Stop,
    on_end: OnEnd,
    say: Callable[[str], None],
) -> None:
    """Submit each member as a task, and wait for them; asked to stop, the tasks are cancelled.

    A task whose node is lost is run again by Ray, and goes on from the member's last checkpoint.

    Args:
        todo: The members.
        settings: `address`, of a running cluster or "local", by default what `ray.init` finds; else options
            of a Ray task, such as num_cpus, num_gpus, resources, max_retries, runtime_env.
        stop: Asks for an end.
        on_end: Called with each member once its task has ended.
        say: Called with a sentence for the user.

    Raises:
        CollapseError: Ray is not installed, finds no cluster, or refuses the settings.
    """
    ray = _import_ray()
    try:
        tasks = _submit(ray, todo, dict(settings), say)
        wait_for_all(tasks, stop, on_end)
    finally:
        ray.shutdown()


def _submit(
    ray: Any, todo: Sequence[Member], options: dict[str, Any], say: Callable[[str], None]
) -> dict[Member, "_Submitted"]:
    address = options.pop("address", None)
    try:
        task = ray.remote(**options)(carry_out_there) if options else ray.remote(carry_out_there)
        with _own_handlers():
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
        if lacking := _lacking(options, ray.cluster_resources()):
            say(f"the Ray cluster does not have {' and '.join(lacking)} now; the runs wait for it")
        return {member: _Submitted(ray, task.remote(member.absolute())) for member in todo}
    except REFUSALS as error:
        what = " ".join(str(error).split()) or type(error).__name__
        raise CollapseError(f"ray refuses: {what}; change --launcher-set") from error


def carry_out_there(member: Member) -> Standing:
    """Carry a member out, in a task; each time that it is cancelled asks the member to stop."""
    stop = Stop()
    before = signal.signal(signal.SIGINT, lambda *_: stop.ask())
    try:
        return carry_out(member, stop)
    finally:
        signal.signal(signal.SIGINT, before)


class _Submitted:
    """A task of Ray's, as `wait_for_all` asks it."""

    def __init__(self, ray: Any, reference: Any) -> None:
        self.ray, self.reference = ray, reference

    def done(self) -> bool:
        ready, _ = self.ray.wait([self.reference], timeout=0, fetch_local=False)
        return bool(ready)

    def cancel(self) -> None:
        self.ray.cancel(self.reference)

    def described(self) -> str:
        return f"task {self.reference.task_id().hex()}"

    def failure(self) -> str:
        try:
            self.ray.get(self.reference)
        except self.ray.exceptions.RayTaskError as error:
            return str(error).strip().splitlines()[-1]  # the lines before are its traceback
        except self.ray.exceptions.RayError as error:
            return (str(error).strip() or type(error).__name__).splitlines()[0]
        return ""


def _lacking(options: Mapping[str, Any], has: Mapping[str, float]) -> list[str]:
    """What a task asks for and the whole cluster does not have; one that scales may get it."""
    wanted = {name: options.get(key) or 0 for key, name in RESOURCES.items()} | (
        options.get("resources") or {}
    )
    return [f"{amount:g} {name}" for name, amount in wanted.items() if amount > has.get(name, 0)]


def _import_ray() -> Any:
    """Ray, which reports usage to its makers unless told not to."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise errors.missing_extra("ray", "ray", "submitting a sweep to Ray") from None
    return ray


@contextmanager
def _own_handlers() -> Iterator[None]:
    """Keep this process's handlers of signals, which `ray.init` replaces."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
