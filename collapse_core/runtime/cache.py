"""Things that are costly to make and fully determined by a digest, kept between runs."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from collapse_core.runtime import files, processes


def cache_root() -> Path:
    """Where cached things live: `$XDG_CACHE_HOME/collapse`, by default `~/.cache/collapse`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "collapse"


def cached(kind: str, key: str, make: Callable[[Path], None]) -> Path:
    """The directory that `make` fills, made at most once for a key.

    Of the processes of a run the main one makes it, and the others wait. A process that dies while making
    leaves nothing that counts; two runs that make the same thing at once both succeed, and one result stays.

    Args:
        kind: What sort of thing it is, such as "taught".
        key: A digest of everything that determines the content.
        make: Called with an empty directory to fill, when there is no such thing yet.

    Returns:
        The finished directory; it must not be changed.
    """
    home = cache_root() / kind / key
    processes.current().on_main(lambda: _make(home, make))
    with processes.alone():
        _make(home, make)  # on another machine, which has a cache of its own
    return home


def _make(home: Path, make: Callable[[Path], None]) -> None:
    if not files.is_sealed(home):
        draft = files.fresh_directory(home.with_name(f"{home.name}.{uuid4().hex}{files.DRAFT}"))
        try:
            make(draft)
            files.seal(draft)
            if home.exists() and not files.is_sealed(home):
                shutil.rmtree(home)
            draft.rename(home)
        except OSError:
            if not files.is_sealed(home):  # else another process was quicker
                raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)
