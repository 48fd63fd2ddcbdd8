"""Things that are costly to make and fully determined by a digest, kept between runs."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from collapse_core.runtime import files, processes, progress, waiting

_listener: ContextVar[Callable[[str], None] | None] = ContextVar("listener", default=None)
_making: ContextVar[list[float] | None] = ContextVar("making", default=None)


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
    if listener := _listener.get():
        listener(f"{kind}/{key}")
    processes.current().on_main(lambda: _ensure(kind, key, make))
    with processes.alone():
        _ensure(kind, key, make)  # on another machine, which has a cache of its own
    return cache_root() / kind / key


@contextmanager
def listening(listener: Callable[[str], None]) -> Iterator[None]:
    """Call `listener` with "kind/key" of each cached thing that is asked for while the block runs."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


@contextmanager
def timing(seconds: list[float]) -> Iterator[None]:
    """Append how long each thing took that is made for the cache while the block runs."""
    token = _making.set(seconds)
    try:
        yield
    finally:
        _making.reset(token)


def cached_files(name: str) -> list[Path]:
    """The files of a cached thing, by its "kind/key"; none where it is not there."""
    home = _home(name)
    return sorted(path for path in home.rglob("*") if path.is_file()) if home else []


def drop_cached(name: str) -> None:
    """Remove a cached thing, by its "kind/key"; what needs it makes it anew."""
    if home := _home(name):
        kind, _, key = name.partition("/")
        with _locked(_lock_file(kind, key), f"waiting for another run, which makes {name}"):
            files.remove(home)


def _home(name: str) -> Path | None:
    """The directory of a cached thing; None for a name that leads out of the cache."""
    home = (cache_root() / name).resolve()
    return home if home.parent.parent == cache_root().resolve() and home.is_dir() else None


def _ensure(kind: str, key: str, make: Callable[[Path], None]) -> None:
    make_private(cache_root())
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


def make_private(root: Path) -> None:
    """Make the cache a directory that its owner alone can read; one that is there stays as it is."""
    root.parent.mkdir(parents=True, exist_ok=True)
    root.mkdir(mode=0o700, exist_ok=True)


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
    seconds, began = _making.get(), waiting.clock()
    try:
        with timing([]), files.naming(home):  # what is made for it is a part of it
            make(draft)
        files.seal(draft)
        files.remove(home)
        draft.rename(home)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        if seconds is not None:
            seconds.append(waiting.clock() - began)


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
