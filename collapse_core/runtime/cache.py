"""Things that are costly to make and fully determined by a digest, kept between runs."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from collapse_core.runtime import files, processes, progress


def cache_root() -> Path:
    """Where cached things live: `$XDG_CACHE_HOME/collapse`, by default `~/.cache/collapse`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "collapse"


def cached(kind: str, key: str, make: Callable[[Path], None]) -> Path:
    """The directory that `make` fills, made at most once for a key.

    Of the processes of a run the main one makes it, and the others wait. Of two runs that need the same
    thing at once, one makes it, and the other waits and reports that. A process that dies while making
    leaves nothing that counts, and blocks no other; the next use removes it. A directory that is no longer
    what was sealed is made anew, which is reported.

    Args:
        kind: What sort of thing it is, such as "taught".
        key: A digest of everything that determines the content.
        make: Called with an empty directory to fill, when there is no such thing yet.

    Returns:
        The finished directory; it must not be changed.
    """
    processes.current().on_main(lambda: _ensure(kind, key, make))
    with processes.alone():
        _ensure(kind, key, make)  # on another machine, which has a cache of its own
    return cache_root() / kind / key


def _ensure(kind: str, key: str, make: Callable[[Path], None]) -> None:
    home = cache_root() / kind / key
    _drop_dead_drafts(home.parent, kind)
    if files.is_sealed(home) and not files.damaged(home):
        return
    with _locked(_lock_file(kind, key), f"waiting for another run, which makes {kind}/{key}"):
        if files.is_sealed(home):
            if not (names := files.damaged(home)):
                return
            progress.announce(f"{home} is damaged ({', '.join(names)}); it is made anew")
        _make(home, make)


def _lock_file(kind: str, key: str) -> Path:
    return cache_root() / "locks" / kind / key


def _drop_dead_drafts(folder: Path, kind: str) -> None:
    """Remove the drafts whose lock nobody holds: their process was killed."""
    from filelock import FileLock, Timeout

    for draft in folder.glob(f"*{files.DRAFT}"):
        path = _lock_file(kind, draft.name.removesuffix(files.DRAFT))
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(Timeout), FileLock(path, blocking=False):
            shutil.rmtree(draft, ignore_errors=True)


def _make(home: Path, make: Callable[[Path], None]) -> None:
    draft = files.fresh_directory(home.with_name(home.name + files.DRAFT))
    try:
        make(draft)
        files.seal(draft)
        files.remove(home)
        draft.rename(home)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


@contextmanager
def _locked(path: Path, waiting: str) -> Iterator[None]:
    """Hold a lock, which the operating system releases when its process ends; reports if it has to wait."""
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        progress.announce(waiting)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
