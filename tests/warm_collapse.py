"""The command line in processes that start at once: forks of one that has imported it. See conftest.py.

Reads a line of JSON for each command: its arguments, environment, directory, seconds, and the files for what
it prints. Answers each with its exit code, or null when the time was over. A fork is a process of its own and
ends as any interpreter does.
"""

import importlib
import json
import os
import signal
import sys
import time

WARM = (
    "numpy",
    "matplotlib.figure",
    "matplotlib.backends.backend_svg",
    "jinja2",
    "collapse_core.cli.run",
    "collapse_core.parts.rewards",
    *(f"collapse_toy.{part}" for part in ("data", "model", "sampler", "updater", "rewards", "evaluators")),
)


def become(command: dict) -> None:
    """Makes this process what a shell would have started."""
    os.environ.clear()
    os.environ.update(command["environment"])
    if added := os.environ.get("PYTHONPATH"):
        sys.path[1:1] = added.split(os.pathsep)
    os.chdir(command["directory"])
    for number, place in enumerate([os.devnull, command["out"], command["err"]]):
        file = os.open(place, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
        os.close(file)
    sys.argv = ["collapse", *command["arguments"]]


def exit_code(child: int, seconds: float) -> int | None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def serve() -> None:
    """Returns in a fork, which is to run its command; never in the first process but at its end."""
    answers = os.fdopen(os.dup(1), "w")
    while line := sys.stdin.readline():
        command = json.loads(line)
        if not (child := os.fork()):
            answers.close()
            return become(command)
        print(json.dumps(exit_code(child, command["seconds"])), file=answers, flush=True)
    sys.exit()


if __name__ == "__main__":
    for module in WARM:
        importlib.import_module(module)
    from collapse_core.cli.__main__ import entry
    from collapse_core.report.drawing import Line, draw

    draw((Line("", ((0, 0, 0, 0), (1, 1, 1, 1)), "black", False),), (0, 1, 0, 1), "")  # finds the fonts
    serve()
    entry()
