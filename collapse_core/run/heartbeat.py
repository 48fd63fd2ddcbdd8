"""status.json: what a run does right now, and that it is still alive."""

import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from collapse_core.runtime import files, progress

INTERVAL = 5.0
"""Seconds between two signs of life while nothing else is reported."""


class Heartbeat:
    """The writer of a run's status.json; a thread renews it while `beating`."""

    def __init__(self, path: Path) -> None:
        """Take the file."""
        self.path = path
        self._lock = threading.Lock()
        self._status: dict[str, Any] = {}
        self._progress: tuple[str, int, int] | None = None

    def show(self, status: Mapping[str, Any]) -> None:
        """Replace the file by `status`, the process's id and the time."""
        with self._lock:
            self._status, self._progress = dict(status), None
            self._write(self._status)

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Renew the file every few seconds while the block runs and the status is "running"; never later."""
        done = threading.Event()
        thread = threading.Thread(target=self._beat, args=(done,), name="heartbeat", daemon=True)
        thread.start()
        try:
            with progress.listening(self._note):
                yield
        finally:
            done.set()
            thread.join()

    def _note(self, label: str, done: int, total: int) -> None:
        self._progress = (label, done, total)

    def _beat(self, done: threading.Event) -> None:
        while not done.wait(INTERVAL):
            # Where the disk is full, the run itself fails at its next write, and says so.
            with self._lock, suppress(OSError):
                if self._status.get("status") == "running":
                    self._write(self._status | self._within_phase())

    def _within_phase(self) -> dict[str, Any]:
        """What the phase is busy with, where it reports its progress."""
        if self._progress is None:
            return {}
        label, done, total = self._progress
        phase = self._status.get("phase", label)
        named = {"phase": phase if phase == label else f"{phase}: {label}"}
        return named | ({"done": done, "total": total} if total else {})

    def _write(self, status: Mapping[str, Any]) -> None:
        heartbeat = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        files.write_json(self.path, {**status, "pid": os.getpid(), "heartbeat": heartbeat})
