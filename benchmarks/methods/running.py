"""Carrying out runs and measuring their models, several at a time, and taking up what is missing."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.methods import FLAGSHIP, Method
from collapse_core import files
from collapse_core.results.redefined import rename_metrics
from collapse_core.results.results import Results, load_results
from collapse_core.sweep.local import Stop, carry_out
from collapse_core.sweep.members import Member, members

HERE = Path(__file__).parent
ONCE = ("evaluate.with=[]", "evaluate.every=0", "checkpoint={every: 1000, keep: 1}")
"""Models are measured, and saved, only once their runs have ended."""
ALWAYS = ("evaluate.with=[likelihood]", "evaluate.every=1", ONCE[-1])
"""The losses of true answers are measured after each iteration as well, which changes nothing else."""
WATCHED = (
    "evaluate.with=[unlearn-quality, {use: responses, judge_model: {use: causal-lm, path: "
    "smollm2-135m-instruct, prompt: {chat: false}}}]",
    *ALWAYS[1:],
)
"""What answers are like is measured after each iteration, and nothing in the end."""
NO_BASELINES = "evaluate.baselines={}"
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
Say = Callable[[str], None]


@dataclass(frozen=True)
class Job:
    """A run with what its model is measured by."""

    member: Member
    measures: str | None
    """The file in this folder that names the evaluators; None for a run that was watched."""
    called: str = "after"
    """What its model is called: "before" that of a run of no iterations, "during" where it was watched."""
    baselines: bool = False
    """Whether the baselines are measured as well."""

    @property
    def rows(self) -> Path:
        """Where the measurements are; the file is there once all are."""
        return self.member.directory / "measured.jsonl"

    @property
    def is_done(self) -> bool:
        """Whether the run has ended and its model has been measured."""
        return self.member.state() == "done" and (self.measures is None or self.rows.exists())

    def results(self) -> Results:
        """The run, with what was measured once it had ended."""
        run = load_results(self.member.directory)
        if self.measures is None:
            return run
        rows = [
            row | ({"model": self.called} if row["model"] == "after" else {})
            for row in files.read_lines(self.rows)
        ]
        rename_metrics(rows, run.recipe)
        return replace(run, evaluations=[*run.evaluations, *rows])


def computing_in(precision: str) -> tuple[str, str]:
    """Settings of the precision of all models, baselines too: the pretrained one, and one taught all else."""
    pretrained = f"use: causal-lm, path: smollm2-135m-instruct, compute: {precision}, prompt: {{chat: false}}"
    teach = "{split: retain, epochs: 6, learning_rate: 2e-4, batch_size: 16, warmup: 0.5}"
    beside = f"retrained: {{{pretrained}, teach: {teach}}}, never trained on it: {{{pretrained}}}"
    return f"model.compute={precision}", f"evaluate.baselines={{{beside}}}"


def jobs(methods: Sequence[Method], to: Path, measures: str | None, *settings: str) -> list[Job]:
    """A run of each method with each combination of values."""
    found = [member for method in methods for member in members([method.recipe], last_of_each(settings), to)]
    return [Job(member, measures) for member in found]


def tuning(methods: Sequence[Method], to: Path, measures: str, *more: str) -> list[Job]:
    """Each method with each of its settings, on the validation split."""
    return [
        job
        for method in methods
        if method.choices
        for job in jobs(
            [method], to, measures, *more, *ONCE, "data.validation=true", NO_BASELINES, method.choices
        )
    ]


def measuring(methods: Sequence[Method], seed: int, to: Path, measures: str, *settings: str) -> list[Job]:
    """Each method as its recipe has it."""
    return jobs(methods, to / f"{seed}", measures, *settings, f"seed={seed}")


def watching(methods: Sequence[Method], seed: int, to: Path, *more: str) -> list[Job]:
    """Each method as its recipe has it, looked at after each iteration."""
    settings = (*WATCHED, NO_BASELINES, f"seed={seed}", *more)
    return [replace(job, called="during") for job in jobs(methods, to / f"{seed}", None, *settings)]


def standard(seed: int, to: Path, measures: str, *settings: str, baselines: bool) -> list[Job]:
    """What methods are held against: the reference model and the baselines."""
    to /= f"standard-{seed}"
    given = (*ONCE, "iterations=0", *settings, f"seed={seed}")
    found = members([FLAGSHIP], last_of_each(given), to)
    return [Job(member, measures, "before", baselines) for member in found]


def last_of_each(settings: Sequence[str]) -> list[str]:
    """The settings without those that a later one of the same key replaces."""
    return list({setting.partition("=")[0]: setting for setting in settings}.values())


def carry_all_out(todo: Sequence[Job], num_at_once: int, say: Say) -> int:
    """Bring all jobs to their end; returns how many failed."""
    stop = Stop()

    def work(job: Job) -> bool:
        failed = _carry_out(job, stop)
        say(f"{job.member.name}: {'FAILED' if failed else 'measured'}")
        return failed

    with ThreadPoolExecutor(num_at_once) as pool:
        return sum(pool.map(work, [job for job in todo if not job.is_done]))


def _carry_out(job: Job, stop: Stop) -> bool:
    """Run, measure, and throw away the weights, which take two gigabytes a run; True if that failed."""
    if carry_out(job.member, stop, ONE_THREAD) != "done":
        return True
    if job.measures is not None and not _measure(job, job.measures):
        return True
    for weights in ("checkpoints", "model"):
        shutil.rmtree(job.member.directory / weights, ignore_errors=True)
    return False


def _measure(job: Job, measures: str) -> bool:
    """Measure the model of a finished run, in a process of its own; whether that went well."""
    draft = job.rows.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    command = [sys.executable, "-m", "collapse_core.cli", "eval", str(job.member.directory)]
    command += ["--with", str(HERE / measures), "--output", str(draft)]
    command += ["--baselines"] if job.baselines else []
    with job.member.log.open("ab") as log:
        done = subprocess.run(
            command, stdout=log, stderr=subprocess.STDOUT, env=os.environ | ONE_THREAD, check=False
        )
    if done.returncode == 0:
        draft.rename(job.rows)
    return job.rows.exists()
