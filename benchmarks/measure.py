"""One column of one cell, measured in a process of its own."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from benchmarks.cells import Job, write_result
from benchmarks.columns import Column, Draws
from benchmarks.material import Material, load_material
from benchmarks.meter import Measured, Meter, measured
from benchmarks.named_columns import make_column
from collapse_core import Kept, Prompt

PACKAGES = ("torch", "transformers", "accelerate", "trl")


def measure(job: Job, folder: Path) -> None:
    """Measure sampling and scoring, and the update unless its result is there; write what was found."""
    material = load_material(job)
    column = make_column(job.column, material)
    num = job.cell.num_completions
    column.score(column.sample(material.prompts[:2], 2))  # warm up
    sampled, draws = measure_sampling(column, material, num)
    scored, kept = measure_scoring(column, material, draws)
    common = {
        "job": asdict(job),
        "environment": describe(material),
        "measured": datetime.now(UTC).isoformat(sep=" ", timespec="minutes"),
    }
    if not (folder / f"{job.update_name}.json").exists():
        updated = measure_update(column, material, kept)
        write_result(folder, job.update_name, {"kind": "update", **common, "update": updated})
    write_result(folder, job.name, {"kind": "iteration", **common, "sample": sampled, "score": scored})


def measure_sampling(column: Column, material: Material, num: int) -> tuple[dict[str, Any], list[Draws]]:
    """Draw all completions.

    Tokens: `useful` are those of answers up to their ends; `decoded` those that were chosen, one for
    each row and step; `fed` those of them that the model was given again; `prefilled` those of prompts as
    read; `prompt` those of the prompts, each once.
    """
    meter = Meter()
    with column.running() as module, meter.watching(module), measured(material.model.device) as took:
        draws = column.sample(material.prompts, num)
    num_rows = sum(len(one.num_tokens) for one in draws)
    tokens = {
        "useful": sum(sum(one.num_tokens) for one in draws),
        "decoded": num_rows + meter.decoded,
        "fed": meter.decoded,
        "prompt": sum(len(material.model.encoder.prompt(p.content)) for p in material.prompts),
        "prefilled": meter.prefilled,
        "projected": meter.projected,
    }
    unfinished = sum(not c.finished for one in draws for c in one.group.completions)
    return _result(took, tokens) | {"num_rows": num_rows, "num_unfinished": unfinished}, draws


def measure_scoring(
    column: Column, material: Material, draws: Sequence[Draws]
) -> tuple[dict[str, Any], list[Kept]]:
    """Score all completions and keep the best of each prompt."""
    with measured(material.model.device) as took:
        kept = column.score(draws)
    tokens = {"useful": sum(sum(one.num_tokens) for one in draws)}
    overlap = sum(1 - one.reward for one in kept) / max(len(kept), 1)
    return _result(took, tokens) | {"mean_kept_overlap": overlap}, kept


def measure_update(column: Column, material: Material, kept: Sequence[Kept]) -> dict[str, Any]:
    """Train on what was kept.

    Tokens: `useful` are those learned; `examples` those of questions and answers, each once;
    `processed` those given to the model, `derived` those of them that gradients are computed for;
    `projected` positions multiplied by the vocabulary matrix.
    """
    kept = [Kept(_with_target(one.prompt, material), one.completion, one.reward) for one in kept]
    warm = material.batch_size
    column.prepare(kept[:warm], material.retain[:warm])
    column.update(kept[:warm], material.retain[:warm])
    column.prepare(kept, material.retain)
    meter = Meter()
    with column.running() as module, meter.watching(module), measured(material.model.device) as took:
        column.update(kept, material.retain)
    pairs = [(k.prompt.content, k.completion.content) for k in kept]
    pairs += [(p.content, p.target) for p in material.retain]
    examples = [material.model.encoder.example(question, answer) for question, answer in pairs]
    tokens = {
        "useful": sum(example.num_labels for example in examples),
        "examples": sum(len(example.ids) for example in examples),
        "processed": meter.prefilled + meter.decoded,
        "derived": meter.derived,
        "projected": meter.projected,
    }
    return _result(took, tokens) | {"num_rows": len(examples)}


def _with_target(prompt: Prompt, material: Material) -> Prompt:
    return next(p for p in material.prompts if p.id == prompt.id)


def _result(took: Measured, tokens: Mapping[str, int]) -> dict[str, Any]:
    return {**asdict(took), "tokens": dict(tokens)}


def describe(material: Material) -> dict[str, Any]:
    """What the numbers depend on besides the code."""
    device = material.model.device
    on_gpu = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if on_gpu else _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "computes_in": str(material.model.compute).removeprefix("torch."),
        "num_parameters": sum(p.numel() for p in material.model.module.parameters()),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return "unknown processor"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
