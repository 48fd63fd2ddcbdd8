"""What all runs came to, as plain data that is small enough to be kept: measured.json in this folder."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.methods import Method
from benchmarks.methods.choosing import Tried
from benchmarks.methods.running import Job
from collapse_core import files, load_recipe
from collapse_core.results.results import Results
from collapse_core.results.rows import Row

FILE = Path(__file__).parent / "measured.json"
KEPT = (
    "unlearn_quality", "utility", "rouge_forget", "rouge_forget_paraphrased", "rouge_retain",
    "rouge_world_facts", "rouge_real_authors", "forget_nll", "retain_nll", "model_utility",
    "extraction_strength_forget", "extraction_strength_retain", "exact_memorization_forget",
    "probability_forget", "truth_ratio_forget", "forget_quality", "truth_ratio_distance",
    "fact_words_forget", "fact_words_retain", "answers_true", "answers_refusal", "answers_empty",
    "answers_gibberish", "answers_hallucination", "leakage_sampling", "leakage_prefill",
    "leak_at_32_sampling", "leak_at_32_prefill", "relearned_strength_20", "relearned_rouge_20",
    "token_shift_mean", "token_shift_spread", "token_shift_lost", "least_likely_accuracy",
    "most_likely_accuracy",
)  # fmt: skip

Metrics = dict[str, list[float | None]]
"""By name: the value, and the ends of its interval over questions."""
Curves = dict[str, list[list[float]]]
"""By metric: after each iteration, its number and the value."""


def metrics_of(run: Results, model: str) -> Metrics:
    """What was measured of one model, as far as it is kept."""
    found = {name: run.metric(name, model) for name in KEPT}
    return {name: _short(m.value, m.low, m.high) for name, m in found.items() if m is not None}


def costs_of(run: Results) -> Metrics:
    """Seconds of unlearning, and thousands of tokens drawn and trained on."""
    row = Row("", (run,))
    tokens = {f"tokens_{name}": _short(count.value / 1000) for name, count in row.tokens().items()}
    return {"seconds": _short(row.seconds().value)} | tokens


def outcomes(jobs: Iterable[Job]) -> dict[str, dict[str, Any]]:
    """What became of each run that has been measured, and of the baselines, by "name/seed"."""
    runs: dict[str, Metrics] = {}
    paths: dict[str, Curves] = {}
    standards: dict[str, Metrics] = {}
    digests: dict[str, str] = {}
    for job in jobs:
        if job.is_done:
            run = job.results()
            seed = run.recipe["seed"]
            digests[_key(job)] = job.member.digest
            if job.called == "during":
                paths[f"{job.member.recipe.stem}/{seed}"] = path_of(run)
            elif job.called == "after":
                runs[f"{job.member.recipe.stem}/{seed}"] = metrics_of(run, "after") | costs_of(run)
            else:
                standards |= {f"{model}/{seed}": metrics_of(run, model) for model in run.models()}
    return {"standards": standards, "runs": runs, "paths": paths, "digests": digests}


def is_known(job: Job) -> bool:
    """Whether this very run is among what was kept, wherever it was carried out."""
    return bool(read().get("digests", {}).get(_key(job)) == job.member.digest)


def _key(job: Job) -> str:
    key = f"{job.member.recipe.stem}/{load_recipe(job.member.recipe, job.member.overrides).seed}"
    return f"{key}/during" if job.called == "during" else key


def settings_of(candidates: Sequence[Tried], taken: Tried) -> list[dict[str, Any]]:
    """What each setting of a method came to on the validation split."""
    return [
        {
            "method": one.method.stem,
            "setting": one.setting,
            "taken": one is taken,
            "score": round(one.score, 4),
            "metrics": {name: values[0] for name, values in metrics_of(one.results, "after").items()},
        }
        for one in candidates
    ]


def dynamics_of(run: Results) -> Curves:
    """By iteration: mean and deviation of the reward of what was kept, and both true answers' losses."""
    kept = [[line["iteration"] + 1, *line["reward_kept"].values()] for line in run.journal]
    losses = {name: [[i, round(v, 4)] for i, v in run.curve(name)] for name in ("forget_nll", "retain_nll")}
    return {"reward_kept": [[round(value, 4) for value in point] for point in kept], **losses}


def path_of(run: Results) -> Curves:
    """By iteration: ROUGE forget, and the percentage of gibberish."""
    return {
        name: [[i, round(value, 2)] for i, value in run.curve(name)]
        for name in ("rouge_forget", "answers_gibberish")
    }


def write(found: Mapping[str, Mapping[str, Any]]) -> None:
    """Keep it, a line for each run, so that one can see what has changed."""
    sections = (
        f"{json.dumps(name)}: {{\n"
        + ",\n".join(f" {json.dumps(key)}: {json.dumps(value)}" for key, value in section.items())
        + "\n}"
        for name, section in found.items()
    )
    files.write_text(FILE, "{\n" + ",\n".join(sections) + "\n}\n")


def read() -> dict[str, dict[str, Any]]:
    """What was kept; nothing at first."""
    found: dict[str, dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    return found


def name_of(stem: str, methods: Sequence[Method]) -> str:
    """What a method is called in tables."""
    return next(method.name for method in methods if method.stem == stem)


def _short(*values: float | None) -> list[float | None]:
    return [None if value is None else float(f"{value:.4g}") for value in values]
