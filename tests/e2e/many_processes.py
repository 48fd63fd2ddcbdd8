"""Works on runs with several processes, forks of one warm one, as a launcher would start them.

Reads a line of JSON for each directory and its jobs, a list of `{"processes": 2, "argv": ["run", ...]}`,
with `"environment"` for what accelerate's settings would put there. `{"kill": 1, "when": FILE}` sends a
`"signal"`, SIGINT by default, to one of the processes once the file is there. Answers each line with one of
JSON, which has of each job the exit codes, and all that was said.
"""

import importlib
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

WARM = (
    "accelerate",
    "torch.distributed.tensor",
    "torch.distributed.fsdp",
    "matplotlib.figure",
    "matplotlib.backends.backend_svg",
    "collapse_core.cli.run",
    *(f"collapse_llm.{part}" for part in ("model.loading", "updater.fine_tuning", "sampler.answering")),
    *(f"collapse_llm.{part}" for part in ("data", "rewards", "evaluators")),
    *(f"collapse_toy.{part}" for part in ("data", "model", "sampler", "updater", "evaluators")),
    "transformers.models.llama.modeling_llama",
    "rouge_score.rouge_scorer",
)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def in_fork(job: dict, index: int, port: int, log: Path) -> int:
    child = os.fork()
    if child:
        return child
    places = {"RANK": index, "LOCAL_RANK": index, "WORLD_SIZE": job["processes"], "MASTER_PORT": port}
    if job["processes"] > 1:
        os.environ |= {key: str(value) for key, value in places.items()}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "ACCELERATE_USE_CPU": "true"}
    os.environ |= job.get("environment", {})
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    sys.argv = ["collapse", *job["argv"]]
    from collapse_core.cli.__main__ import entry

    code = 77
    try:
        entry()
    except SystemExit as stopped:
        code = int(stopped.code or 0)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def do(job: dict, number: int) -> dict:
    port = free_port()
    logs = [Path(f"job-{number}-{index}.log") for index in range(job["processes"])]
    children = [in_fork(job, index, port, log) for index, log in enumerate(logs)]
    if "kill" in job:
        while not Path(job["when"]).exists():
            time.sleep(0.005)
        os.kill(children[job["kill"]], getattr(signal, job.get("signal", "SIGINT")))
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    return {"codes": codes, "said": [log.read_text() for log in logs]}


if __name__ == "__main__":
    for module in WARM:
        importlib.import_module(module)
    import torch
    from transformers.conversion_mapping import get_checkpoint_conversion_mapping

    from collapse_core.report.drawing import Line, draw

    torch.set_num_threads(1)
    get_checkpoint_conversion_mapping("llama")  # builds a table of a thousand patterns, once
    draw((Line("", ((0, 0, 0, 0), (1, 1, 1, 1)), "black", False),), (0, 1, 0, 1), "")  # finds the fonts
    for line in sys.stdin:
        directory, jobs = json.loads(line)
        os.chdir(directory)
        os.environ["XDG_CACHE_HOME"] = str(Path(directory) / "cache")
        print(json.dumps([do(job, number) for number, job in enumerate(jobs)]), flush=True)
