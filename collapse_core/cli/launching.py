"""Starting the processes of a run, through accelerate's launcher, and speaking for them.

The launcher turns every exit code into 1, and after a signal gives its processes half a minute. So each of
them leaves its id and its exit code in a directory of the one that started them, which signals them directly.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

import click
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from collapse_core import errors
from collapse_core.errors import CollapseError
from collapse_core.recipe.recipe import Launch
from collapse_core.runtime import files

INTERRUPTED = 130
LETTERBOX = "COLLAPSE_LETTERBOX"
"""The environment variable that names the directory; only processes started here have it."""


def launch(settings: Launch) -> None:
    """Do this command on several processes instead, if the recipe asks for it, and exit as they do."""
    wanted = settings.processes > 1 or settings.config is not None
    if not wanted or "WORLD_SIZE" in os.environ:
        return
    if find_spec("accelerate") is None:
        raise errors.missing_extra("accelerate", "torch", "a run on several processes")
    with TemporaryDirectory(prefix="collapse-") as letterbox:
        process = subprocess.Popen(
            _command(settings),
            env=_environment(settings) | {LETTERBOX: letterbox},
            start_new_session=True,  # a Ctrl-C at the terminal must not reach the launcher itself
        )
        with _passing_signals_on(process, Path(letterbox)):
            code = process.wait()
        click.get_current_context().exit(_verdict(code, Path(letterbox)))


def _command(settings: Launch) -> list[str]:
    given = ["--num_processes", str(settings.processes)] if settings.processes > 1 else []
    if settings.config is None:
        given += ["--multi_gpu", "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
        given += ["--main_process_port", "0"]
    else:
        given += ["--config_file", settings.config]
        if not _is_sharding(Path(settings.config)):
            given += ["--multi_gpu"]  # which accelerate also calls several processes on CPUs
    program = ["-m", "collapse_core.cli", *sys.argv[1:]]
    return [sys.executable, "-m", "accelerate.commands.launch", *given, *program]


def _is_sharding(config: Path) -> bool:
    """Whether accelerate's config file names a way to launch beyond plain processes."""
    try:
        settings = YAML(typ="safe", pure=True).load(config)
    except OSError as error:
        raise errors.unreadable(config, error) from None
    except YAMLError as error:
        raise _no_settings(config, str(error).split("\n")[0]) from None
    if not isinstance(settings, dict):
        raise _no_settings(config, "it is not a mapping")
    return str(settings.get("distributed_type", "NO")) not in ("NO", "MULTI_CPU")


def _no_settings(config: Path, why: str) -> CollapseError:
    return CollapseError(f"{config} holds no settings for accelerate: {why}; 'accelerate config' writes one")


def _environment(settings: Launch) -> dict[str, str]:
    """This environment; cores are divided among the processes unless it says how many threads each has."""
    threads = max(1, (os.cpu_count() or 1) // settings.processes)
    return {"OMP_NUM_THREADS": str(threads)} | os.environ


@contextmanager
def _passing_signals_on(process: subprocess.Popen[bytes], letterbox: Path) -> Iterator[None]:
    """Give SIGINT and SIGTERM to each of the processes; to the launcher while there is none."""

    def pass_on(number: int, frame: FrameType | None) -> None:
        workers = [int(path.stem) for path in letterbox.glob("*.began")]
        for worker in workers or [process.pid]:
            with suppress(ProcessLookupError):
                os.kill(worker, number)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _verdict(code: int, letterbox: Path) -> int:
    """The exit code of the run: a failure's, else an interruption's, else the launcher's."""
    codes = [int(path.read_text(encoding="utf-8")) for path in letterbox.glob("*.ended")]
    failures = [one for one in codes if one not in (0, INTERRUPTED)]
    if failures:
        return max(failures)
    return INTERRUPTED if INTERRUPTED in codes else code


# --- in each of the processes ----------------------------------------------------------------------


def announce() -> None:
    """Tell whoever started this process which it is."""
    if letterbox := os.environ.get(LETTERBOX):
        (Path(letterbox) / f"{os.getpid()}.began").touch()


def report(code: int, *, gently: bool) -> int:
    """Tell whoever started this process how it ended; gives the exit code for the launcher.

    A process that has stopped as agreed tells the launcher that all is well: else it would call it a failure.
    """
    letterbox = os.environ.get(LETTERBOX)
    if not letterbox:
        return code
    with suppress(OSError):
        files.write_text(Path(letterbox) / f"{os.getpid()}.ended", str(code))
    return 0 if gently else code
