"""Joining the other processes of a run, where a launcher has started several."""

from collapse_core import errors
from collapse_core.runtime.processes import Processes, current, num_launched


def join() -> Processes:
    """The processes that work on the run; alone, this one, without loading torch.

    Raises:
        CollapseError: There are several, and torch or accelerate is not installed.
    """
    if num_launched() > 1:
        try:
            from collapse_core.torch import processes
        except ModuleNotFoundError as error:
            raise errors.missing_extra(str(error.name), "torch", "a run on several processes") from None
        processes.join()
    return current()
