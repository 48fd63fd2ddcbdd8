"""The estimate of a run of a small but real language model is kept."""

import json

import pytest
import torch
import transformers

from collapse_core import collapse, create_run, load_recipe, load_results
from collapse_core.runtime import waiting
from collapse_core.session.estimate import time_costs
from collapse_llm.data import Authors

RECIPE = """\
version: 1
name: small
data: {use: questions, forget: forget.jsonl, retain: retain.jsonl}
model: {use: causal-lm, path: ./small, max_length: 96, teach: {split: forget, epochs: 2, batch_size: 8}}
sampler: {use: generate, max_new_tokens: 32}
completions_per_prompt: 8
rewards: [rouge-distance]
filter: best-of-n
updater: {use: sft, batch_size: 4}
retain_per_iteration: 24
iterations: 4
evaluate:
  every: 2
  with: [unlearn-quality, utility, likelihood]
  baselines:
    retained:
      {use: causal-lm, path: ./small, max_length: 96, teach: {split: retain, epochs: 2, batch_size: 8}}
checkpoint: {every: 2, keep: 1}
"""


@pytest.fixture
def small(tokenizer, tmp_path, monkeypatch):
    """A random model of four layers, 256 wide, and 12 questions to forget."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=256, intermediate_size=768, num_hidden_layers=4,
        num_attention_heads=8, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.LlamaForCausalLM(config).save_pretrained("small")
    tokenizer.save_pretrained("small")
    for split, num in (("forget", 12), ("retain", 24)):
        rows = [{"question": p.content, "answer": p.target} for p in list(Authors().load(split))[:num]]
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "small.yaml").write_text(RECIPE)
    return tmp_path / "small.yaml"


@pytest.mark.slow
def test_a_run_of_a_small_model_takes_what_was_estimated_within_a_factor_of_two(small, capsys):
    recipe = load_recipe(small)
    costs = time_costs(recipe)
    estimated, began = costs.seconds(recipe), waiting.clock()
    run = create_run(recipe, directory=small.parent / "run")
    collapse(recipe, run)
    took = waiting.clock() - began
    with capsys.disabled():
        print(f"\n{costs}\nestimated {estimated:.1f} s, took {took:.1f} s alone, slowdown "
              f"{waiting.slowdown():.1f}\n{load_results(run.directory).seconds()}")  # fmt: skip
    assert costs.teach > costs.load
    assert estimated / 2 < took < 2 * estimated
