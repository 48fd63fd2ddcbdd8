"""`compute: auto` takes the faster precision, and a run keeps to it."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from collapse_core import collapse, create_run, load_recipe, open_run
from collapse_core.evaluation.afterwards import examine, examined_recipe
from collapse_core.recipe.stored import load_stored
from collapse_core.runtime import decisions
from collapse_llm.data import Authors
from collapse_llm.model import CausalLm, precision

LONGER = """
import json, time, torch
from collapse_llm.model.precision import MARGIN, _decision, time_products

torch.set_num_threads(1)
chosen = _decision(time_products(576, 1536)).value

def least(dtype):
    layers = [torch.nn.Linear(576, 1536), torch.nn.GELU(), torch.nn.Linear(1536, 576)]
    network = torch.nn.Sequential(*layers).to(dtype)
    rows, took = torch.randn(256, 576, dtype=dtype), []
    for _ in range(5):
        began = time.perf_counter()
        network(rows).float().square().mean().backward()
        took.append(time.perf_counter() - began)
    return min(took[1:])

print(json.dumps([chosen, MARGIN, least(torch.float32), least(torch.bfloat16)]))
"""
"""A longer timing that shares nothing with the one that decides: a network, trained."""

PROCESSORS = {
    "AVX2": ({"avx2"}, "AVX2", "avx2"),
    "AVX512_CORE": ({"avx512f", "avx512bw", "avx512dq", "avx512vl"}, "AVX512", "avx512"),
    "AVX512_CORE_BF16": ({"avx512_bf16"}, "AVX512", "avx512"),
    "AVX512_CORE_AMX": ({"amx_bf16"}, "AVX512", "avx512"),
}
"""What the processor must offer, and how MKL and ATen call it, by the name of oneDNN."""

RECIPE = """\
version: 1
name: small
data: {{use: authors, forget: 0.1}}
model: {{use: causal-lm, path: {path}, teach: {{epochs: 1, learning_rate: 1e-3}}}}
sampler: {{use: generate, max_new_tokens: 4}}
rewards: [{{use: rouge-distance}}]
filter: best-of-n
updater: {{use: sft, learning_rate: 1e-4}}
iterations: 2
prompts_per_iteration: 2
completions_per_prompt: 2
retain_per_iteration: 0
evaluate: {{with: [{{use: memorization, num_questions: 3}}]}}
"""


def offered() -> set[str]:
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    return set(next((line for line in text.splitlines() if line.startswith("flags")), "").split())


@pytest.mark.parametrize("name", PROCESSORS)
@pytest.mark.slow
def test_the_choice_is_the_one_of_a_longer_timing(name):
    needed, mkl, aten = PROCESSORS[name]
    if missing := needed - offered():
        pytest.skip(f"this processor has no {', '.join(sorted(missing))}")
    limits = {"ONEDNN_MAX_CPU_ISA": name, "MKL_ENABLE_INSTRUCTIONS": mkl, "ATEN_CPU_CAPABILITY": aten}
    environment = os.environ | limits | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", LONGER], env=environment, capture_output=True, check=True)
    chosen, margin, float32, bfloat16 = json.loads(done.stdout)
    share = bfloat16 / float32
    if share < 0.75 * margin:
        assert chosen == "bfloat16", share
    elif share > 1.25 * margin:
        assert chosen == "float32", share
    else:
        pytest.skip(f"near a tie here: bfloat16 takes {share:.2f} of float32's time")


@pytest.fixture
def timed(monkeypatch):
    """Has the timing say what the test wants; counts how often it is asked."""
    asked = []

    def says(float32: float, bfloat16: float) -> list[tuple[int, int]]:
        def time_products(width: int, inner: int) -> dict[str, float]:
            asked.append((width, inner))
            return {"float32": float32, "bfloat16": bfloat16}

        monkeypatch.setattr(precision, "time_products", time_products)
        monkeypatch.setattr(decisions, "_measured", {})
        return asked

    return says


@pytest.mark.parametrize(
    ("bfloat16", "chosen"),
    [(0.5, torch.bfloat16), (0.85, torch.float32), (0.99, torch.float32), (4.0, torch.float32)],
)
def test_bfloat16_must_be_clearly_faster(bfloat16, chosen, tiny_directory, timed):
    asked = timed(float32=1.0, bfloat16=bfloat16)
    assert CausalLm(path=str(tiny_directory)).load(Authors(), 0).compute == chosen
    assert asked == [(96, 256)], "the model's own shape"


def test_a_recipe_that_names_a_precision_is_not_timed(tiny_directory, timed):
    asked = timed(float32=1.0, bfloat16=0.1)
    model = CausalLm(path=str(tiny_directory), compute="float32").load(Authors(), 0)
    assert (model.compute, asked) == (torch.float32, [])


def test_the_timing_is_short_for_a_large_layer_too(tiny_directory):
    from transformers import AutoConfig

    assert precision.layer_shape(AutoConfig.from_pretrained(tiny_directory)) == (96, 256)
    began = time.process_time()
    seconds = precision.time_products(4096, 11008)
    assert time.process_time() - began < 5 * torch.get_num_threads()
    assert set(seconds) == {"float32", "bfloat16"}
    assert all(0 < took < 1 for took in seconds.values())


def test_where_bfloat16_is_hopeless_a_small_product_suffices(monkeypatch):
    timed = []

    def much_slower(*shape: int) -> dict[str, float]:
        timed.append(shape)
        return {"float32": 1.0, "bfloat16": 3.1}

    monkeypatch.setattr(precision, "_time", much_slower)
    precision.time_products(4096, 11008)
    assert timed == [precision.PROBE]


@pytest.mark.slow
def test_a_model_taught_in_one_precision_is_not_taken_for_the_other(
    tiny_directory, timed, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    taught = tmp_path / "collapse" / "taught"

    def load(**fields: object) -> int:
        CausalLm(path=str(tiny_directory), teach={"epochs": 1}, **fields).load(Authors(), 0)
        return len(list(taught.iterdir()))

    timed(float32=1.0, bfloat16=4.0)
    assert load() == 1
    assert load(compute="float32") == 1, "the same precision, however it was chosen"
    timed(float32=1.0, bfloat16=0.1)
    assert load() == 2


def test_a_resumed_run_and_its_evaluation_keep_to_what_the_run_began_with(
    tiny_directory, timed, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "small.yaml"
    path.write_text(RECIPE.format(path=tiny_directory))
    recipe, directory = load_recipe(path), tmp_path / "run"

    timed(float32=1.0, bfloat16=0.1)
    run = create_run(recipe, path.read_text(), {}, directory)
    run.interrupted = True
    assert collapse(recipe, run).compute == torch.bfloat16
    run.close()

    asked = timed(float32=1.0, bfloat16=4.0)
    stored = load_stored(directory)
    run = open_run(directory, stored)
    assert collapse(stored, run).compute == torch.bfloat16
    run.close()
    before = (directory / "environment.json").read_bytes()
    examine(str(directory), examined_recipe(str(directory), None, (), ()))
    assert len(asked) == 1, "measured once, when the run began"
    assert len(list((tmp_path / "cache" / "collapse" / "taught").iterdir())) == 1
    assert (directory / "environment.json").read_bytes() == before
    [decision] = json.loads(before)["decisions"].values()
    assert decision == {"value": "bfloat16", "measured": {"float32 ms": 1000.0, "bfloat16 ms": 100.0}}
