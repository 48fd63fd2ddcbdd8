"""How a run stands, from its directory alone: whatever is missing or broken there becomes a sentence."""

import calendar
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from collapse_core import errors
from collapse_core.results.formatting import format_seconds
from collapse_core.runtime import files

SILENT_AFTER = 60.0
"""Seconds without a sign of life after which a run counts as killed; it gives one every five seconds."""

State = Literal["running", "silent", "finished", "interrupted", "failed", "not started", "broken"]


@dataclass(frozen=True)
class Standing:
    """How far a run has come, and what is to be known of it."""

    state: State
    note: str = ""
    """A sentence on what it does right now, or on what is wrong."""
    error: str = ""
    """What the run itself said when it failed."""
    done: int = 0
    of: int = 0
    within: tuple[int, int] | None = None
    """How many of how many steps of the present phase are done, where the phase counts them."""

    @property
    def share(self) -> float:
        """The percentage of iterations that are done."""
        return min(100.0, 100.0 * self.done / self.of) if self.of > 0 else 0.0


def standing(directory: Path) -> Standing:
    """How the run in a directory stands."""
    try:
        if not directory.is_dir():
            return Standing("broken", "the directory is gone")
        if not (directory / "resolved.json").exists():
            return Standing("broken", "there is no resolved.json in it: no run, or one that lost its files")
        path = directory / "status.json"
        status = files.read_json(path) if path.exists() else {"status": "not started"}
        return _read(status, directory)
    except OSError as error:
        return Standing("broken", errors.system_error(error))
    except (ValueError, TypeError, AttributeError):
        return Standing("broken", "its status.json is not what a run writes; restore it from a copy")


def _read(status: Mapping[str, Any], directory: Path) -> Standing:
    done, of = (_count(status.get(key)) for key in ("iteration", "of"))
    known = str(status.get("status"))
    resume = f"'collapse resume {shlex.quote(str(directory))}' goes on with it"
    if known == "running":
        silence = time.time() - _moment(status.get("heartbeat"))
        doing = str(status.get("phase", "at work"))
        if silence > SILENT_AFTER:
            ago = format_seconds(silence)
            return Standing("silent", f"no sign of life for {ago}, last in '{doing}'; {resume}", "", done, of)
        within = (_count(status.get("done")), _count(status["total"])) if "total" in status else None
        return Standing("running", doing, "", done, of, within)
    if known == "not started":
        return Standing("not started", "nothing has been recorded yet", "", done, of)
    if known in ("interrupted", "failed"):
        state: State = "failed" if known == "failed" else "interrupted"
        return Standing(state, resume, str(status.get("error", "")), done, of)
    if known == "finished":
        return Standing("finished", "", "", done, of)
    return Standing("broken", "its status.json names a state that no run has", "", done, of)


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value >= 0 else 0


def _moment(text: Any) -> float:
    """When a heartbeat was, in seconds since 1970."""
    return float(calendar.timegm(time.strptime(str(text), "%Y-%m-%dT%H:%M:%SZ")))
