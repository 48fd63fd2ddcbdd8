"""Which of its settings a method takes: by what the validation split says, and by nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import harmonic_mean

from benchmarks.methods import Method
from benchmarks.methods.running import Job
from collapse_core.results.results import Results


@dataclass(frozen=True)
class Tried:
    """One setting of a method, and what came of it on the validation split."""

    method: Method
    setting: str
    results: Results
    score: float


def score(run: Results, standards: Results) -> float:
    """How well a model has forgotten and retained, in [0, 1]: the harmonic mean of three shares.

    Of what the retrained model has forgotten in words (100 - ROUGE forget) and in memory (1 - extraction
    strength), and of the reference model's utility; nothing is earned beyond these.
    """
    rouge, strength, utility = (
        _value(run, name, "after") for name in ("rouge_forget", "extraction_strength_forget", "utility")
    )
    shares = (
        (100 - rouge) / (100 - _value(standards, "rouge_forget", "retrained")),
        (1 - strength) / (1 - _value(standards, "extraction_strength_forget", "retrained")),
        utility / _value(standards, "utility", "before"),
    )
    return harmonic_mean([min(1.0, max(0.0, share)) for share in shares])


def tried(method: Method, jobs: Sequence[Job], standards: Results) -> list[Tried]:
    """What came of each setting of a method."""
    key = method.choices.partition("=")[0]
    found = []
    for job in jobs:
        setting = next(text for text in job.member.overrides if text.startswith(f"{key}="))
        run = job.results()
        found.append(Tried(method, setting, run, score(run, standards)))
    return found


def chosen(candidates: Sequence[Tried]) -> Tried:
    """The setting of the best score."""
    return max(candidates, key=lambda one: one.score)


def _value(run: Results, metric: str, model: str) -> float:
    found = run.metric(metric, model)
    assert found is not None, f"{metric} of {model} was not measured in {run.directory}"
    return found.value
