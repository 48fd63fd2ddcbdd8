"""What a run decides by measuring the machine: once, so that a resumed run does not decide otherwise."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from pathlib import Path

from collapse_core.runtime import files, processes

KEY = "decisions"
"""Where a run's environment.json records them."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided, and the figures it was decided by."""

    value: str
    measured: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class _Record:
    path: Path
    writable: bool


_record: ContextVar[_Record | None] = ContextVar("record", default=None)
_measured: dict[str, Decision] = {}
"""What this process has measured already: two runs in one process need not measure twice."""


@contextmanager
def recorded_in(path: Path, *, writable: bool) -> Iterator[None]:
    """Take what `path` (an environment.json) says is decided while the block runs.

    Args:
        path: The file; it may be missing, and then nothing is decided yet.
        writable: Whether new decisions are added to it.
    """
    token = _record.set(_Record(path, writable))
    try:
        yield
    finally:
        _record.reset(token)


def decided(question: str, measure: Callable[[], Decision]) -> str:
    """Return what is decided about `question`: as the run's record says, else by measuring now.

    The main process decides for all, and all processes call this together.

    Args:
        question: What is decided, in words; the record names the decision by it.
        measure: Measures and decides; called at most once in a process for a question.
    """
    return processes.current().on_main(lambda: _decide(question, measure))


def taken() -> dict[str, str]:
    """What the run has decided, by question; of no run, what this process has."""
    record = _record.get()
    known = files.read_json(record.path).get(KEY, {}) if record and record.path.exists() else {}
    measured = {question: one.value for question, one in _measured.items()}
    return {question: str(one["value"]) for question, one in known.items()} or measured


def _decide(question: str, measure: Callable[[], Decision]) -> str:
    record = _record.get()
    manifest = files.read_json(record.path) if record and record.path.exists() else {}
    known = manifest.get(KEY, {})
    if question in known:
        value: str = known[question]["value"]
        return value
    decision = _measured.get(question) or measure()
    _measured[question] = decision
    if record and record.writable:
        files.write_json(record.path, manifest | {KEY: known | {question: asdict(decision)}})
    return decision.value
