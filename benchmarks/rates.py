"""How much slower a token is decoded than read, on this machine: what no engine can change."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from transformers import DynamicCache

from benchmarks.cells import Job, write_result
from benchmarks.material import Material, load_material
from benchmarks.measure import describe
from benchmarks.meter import measured

NUM_ROWS = (20, 80, 160)
PROMPT_LENGTH = 32
NUM_STEPS = 16


def measure_rates(job: Job, folder: Path) -> None:
    """Write the rates of the job's model in its precision."""
    material = load_material(job)
    with material.model.for_inference() as module:
        _rates(material, module, 2)  # warm up
        rows = [{"num_rows": num} | _rates(material, module, num) for num in NUM_ROWS]
    result = {"kind": "rates", "job": asdict(job), "environment": describe(material), "rates": rows}
    write_result(folder, f"{job.cell.model}-rates-{job.compute}", result)


def _rates(material: Material, module: Any, num_rows: int) -> dict[str, float]:
    """Tokens a second in reading prompts and in decoding after them, nothing chosen or padded."""
    device = material.model.device
    # Any text will do, since the work does not depend on it.
    text = [token for prompt in material.prompts for token in material.model.encoder.prompt(prompt.content)]
    text = text * (num_rows * PROMPT_LENGTH // len(text) + 1)
    ids = torch.tensor(text[: num_rows * PROMPT_LENGTH], device=device).view(num_rows, PROMPT_LENGTH)
    cache = DynamicCache()
    last = torch.tensor([-1], device=device)
    with measured(device) as prefill:
        module(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=last)
    with measured(device) as decode:
        for step in range(NUM_STEPS):
            module(input_ids=ids[:, step : step + 1], past_key_values=cache, use_cache=True)
    return {
        "prefill": num_rows * PROMPT_LENGTH / prefill.seconds,
        "decode": num_rows * NUM_STEPS / decode.seconds,
    }
