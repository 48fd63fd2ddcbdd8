"""Drawing rows, in double precision: then a row does not depend on the batch that it is drawn in."""

import copy
import random
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from collapse_core import Completion, Group, Iteration, Model, Prompt, derive_seed, require
from collapse_tabular.model.diffusion import denoise
from collapse_tabular.model.row_model import RowModel
from collapse_tabular.sampler import DrawRows


def sample_rows(
    settings: DrawRows, model: Model, prompts: Sequence[Prompt], num_completions: int, iteration: Iteration
) -> list[Group]:
    """Draw rows for each prompt, seeded by (iteration.seed, prompt.id, completion number)."""
    rows_model = require(model, RowModel, "draw-rows")
    seeds = [derive_seed(iteration.seed, p.id, n) for p in prompts for n in range(num_completions)]
    asked = [prompt.content for prompt in prompts for _ in range(num_completions)]
    contents = [
        _said(content, seed, settings.condition_dropout) for content, seed in zip(asked, seeds, strict=True)
    ]
    rows = draw(rows_model, contents, seeds, settings)
    paired_references: Sequence[Any] = [None] * len(rows)
    if settings.paired_references:
        with rows_model.reference() as reference:
            paired_references = draw(require(reference, RowModel, "draw-rows"), contents, seeds, settings)
    drawn = [
        Completion(row, place % num_completions, iteration.number, paired_reference=paired)
        for place, (row, paired) in enumerate(zip(rows, paired_references, strict=True))
    ]
    return [
        Group(prompt, tuple(drawn[place * num_completions : (place + 1) * num_completions]))
        for place, prompt in enumerate(prompts)
    ]


def _said(content: Mapping[str, Any], seed: int, condition_dropout: float) -> dict[str, Any]:
    """Return what is said of a prompt for one candidate."""
    source = random.Random(derive_seed(seed, "unsaid"))
    return {column: value for column, value in content.items() if source.random() >= condition_dropout}


def draw(
    model: RowModel, contents: Sequence[Any], seeds: Sequence[int], settings: DrawRows
) -> list[dict[str, Any]]:
    """Return a row for each content and seed.

    Args:
        model: The model.
        contents: What the prompts say.
        seeds: The seed of each row's noise.
        settings: How to draw.
    """
    steps = settings.steps or model.num_noise_levels
    worker = copy.deepcopy(model.module).double().cpu().eval()
    rows: list[dict[str, Any]] = []
    with torch.inference_mode():
        for start in range(0, len(contents), settings.batch_size):
            batch = slice(start, start + settings.batch_size)
            prompts = model.codec.prompts(contents[batch])
            noises, gumbels = _noise(model, seeds[batch], steps)
            drawn = denoise(worker, model.codec, prompts, noises, gumbels, settings.temperature)
            rows += model.codec.decode(*drawn)
    return rows


def _noise(model: RowModel, seeds: Sequence[int], steps: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Normal noise, shape (1 + steps, n, width), and Gumbel noise, (n, all categories)."""
    width, num_categories = model.codec.width, sum(model.codec.widths)
    noises = torch.empty(len(seeds), 1 + steps, width, dtype=torch.float64)
    gumbels = torch.empty(len(seeds), num_categories, dtype=torch.float64)
    for place, seed in enumerate(seeds):
        source = torch.Generator().manual_seed(seed)
        torch.randn(1 + steps, width, generator=source, dtype=torch.float64, out=noises[place])
        gumbels[place].exponential_(generator=source)
    return noises.transpose(0, 1), -gumbels.log()
