"""Starting the processes of a run, through accelerate's launcher, and exiting as they do.

The launcher turns every exit code into 1, and after a signal gives its processes half a minute. So each of
them leaves its id and its exit code in a directory of the one that started them, which signals them directly.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from ruamel.yaml.error import YAMLError

from collapse_core import errors
from collapse_core.errors import CollapseError
from collapse_core.recipe.reading import load_yaml
from collapse_core.recipe.recipe import Launch
from collapse_core.runtime import files
from collapse_core.runtime.signals import when_asked_to_stop

INTERRUPTED = 130
EXCHANGE_DIRECTORY = "COLLAPSE_EXIT_CODES"
"""The environment variable that names the directory; only processes started here have it."""


def launch(settings: Launch) -> None:
    """Do this command on several processes instead, if the recipe asks for it, and exit as they do."""
    wanted = settings.processes > 1 or settings.config is not None
    if not wanted or "WORLD_SIZE" in os.environ:
        return
    if find_spec("accelerate") is None:
        raise errors.missing_extra("accelerate", "torch", "a run on several processes")
    with TemporaryDirectory(prefix="collapse-") as exchange:
        process = subprocess.Popen(
            _command(settings),
            env=_environment(settings) | {EXCHANGE_DIRECTORY: exchange},
            start_new_session=True,  # a Ctrl-C at the terminal must not reach the launcher itself
        )
        with _passing_signals_on(process, Path(exchange)):
            code = process.wait()
        click.get_current_context().exit(_verdict(code, Path(exchange)))


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
        settings = load_yaml(config.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise errors.unreadable(config, error) from None
    except YAMLError as error:
        raise _no_settings(config, str(error).split("\n")[0]) from None
    if not isinstance(settings, dict):
        raise _no_settings(config, "it is not a mapping")
    return str(settings.get("distributed_type", "NO")) not in ("NO", "MULTI_CPU")


def _no_settings(config: Path, why: str) -> CollapseError:
    return CollapseError(f"{config} holds no settings for accelerate: {why}; 'accelerate config' writes one")


def _environment(settings: Launch) -> dict[str, str]:
    """This environment; cores are divided among the processes unless it sets how many threads each has."""
    threads = max(1, (os.cpu_count() or 1) // settings.processes)
    return {"OMP_NUM_THREADS": str(threads)} | os.environ


@contextmanager
def _passing_signals_on(process: subprocess.Popen[bytes], exchange: Path) -> Iterator[None]:
    """Give SIGINT and SIGTERM to each of the processes; to the launcher while there is none."""

    def pass_on(number: int) -> None:
        workers = [int(path.stem) for path in exchange.glob("*.began")]
        for worker in workers or [process.pid]:
            with suppress(ProcessLookupError):
                os.kill(worker, number)

    with when_asked_to_stop(pass_on):
        yield


def _verdict(code: int, exchange: Path) -> int:
    """The exit code of the run: a failure's, else an interruption's, else the launcher's."""
    codes = [int(path.read_text(encoding="utf-8")) for path in exchange.glob("*.ended")]
    failures = [one for one in codes if one not in (0, INTERRUPTED)]
    if failures:
        return max(failures)
    return INTERRUPTED if INTERRUPTED in codes else code


# --- in each of the processes ----------------------------------------------------------------------


def announce() -> None:
    """Report this process's id to the process that started it."""
    if exchange := os.environ.get(EXCHANGE_DIRECTORY):
        (Path(exchange) / f"{os.getpid()}.began").touch()


def report(code: int, *, gently: bool) -> int:
    """Report this process's exit code to the process that started it; gives the one for the launcher.

    A process that has stopped as agreed gives the launcher 0, which would call all else a failure.
    """
    exchange = os.environ.get(EXCHANGE_DIRECTORY)
    if not exchange:
        return code
    with suppress(OSError):
        files.write_text(Path(exchange) / f"{os.getpid()}.ended", str(code))
    return 0 if gently else code
