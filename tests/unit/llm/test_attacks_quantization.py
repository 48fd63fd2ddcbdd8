"""Weights are rounded as the formats say, in a copy, and the layers alone."""

from statistics import fmean

import numpy as np
import pytest
import torch

from collapse_core import CollapseError
from collapse_core.testing import check_evaluator
from collapse_llm.data import Authors
from collapse_llm.evaluators.attacks import Quantization
from collapse_llm.evaluators.attacks.quantization import round_weights, rounded_to
from collapse_llm.model.training import answer_losses


def one_by_one(row: list[float], bits: int) -> list[float]:
    """A row of weights rounded as the format is described, one number after another."""
    found = []
    for start in range(0, len(row), 32):
        block = row[start : start + 32]
        largest = max(block, key=abs)
        scale = np.float32(abs(largest) / 127 if bits == 8 else largest / -8)
        kept = float(np.float16(scale))
        for weight in block:
            places = float(np.float32(weight) / scale) if scale else 0.0
            if bits == 8:
                found.append(kept * int(np.floor(abs(places) + 0.5)) * (1 if places >= 0 else -1))
            else:
                found.append(kept * (min(15, int(np.floor(places + 8.5))) - 8))
    return found


@pytest.mark.parametrize("bits", [8, 4])
def test_weights_are_rounded_as_the_format_says(bits):
    matrix = torch.randn(16, 96, generator=torch.Generator().manual_seed(0))
    matrix[3, :32] = 0.0
    expected = np.array([one_by_one(row, bits) for row in matrix.tolist()], dtype=np.float32)
    found = rounded_to(matrix, bits).numpy()
    # The reciprocal of the scale is rounded too, so a weight halfway between two levels may go to either.
    step = np.abs(matrix.numpy()).reshape(16, 3, 32).max(-1) / (127 if bits == 8 else 8)
    apart = np.abs(found - expected) / np.maximum(np.repeat(step, 32, axis=1), 1e-9)
    assert (apart < 1e-3).mean() > 0.999
    assert apart.max() < 1.01
    assert len(np.unique(found[0, :32])) <= 2**bits
    assert not found[3, :32].any()


def test_rounding_twice_to_eight_bits_changes_nothing_more():
    matrix = torch.randn(8, 64, generator=torch.Generator().manual_seed(1))
    once = rounded_to(matrix, 8)
    assert (rounded_to(once, 8) - once).abs().max() <= 1e-3 * once.abs().max()


def test_the_layers_are_rounded_and_the_rest_is_not(model):
    before = {name: tensor.clone() for name, tensor in model.module.state_dict().items()}
    round_weights(model.module, 4)
    after = model.module.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if name.endswith("_proj.weight")}
    for name in changed:
        assert torch.equal(after[name], rounded_to(before[name], 4))


@pytest.mark.slow
def test_fewer_bits_leave_less_of_what_was_known_by_heart(knowing, questions):
    whole = fmean(fmean(losses) for losses in answer_losses(knowing, questions, 32))
    found = Quantization().evaluate(knowing, Authors(), 0).metrics
    assert found["quantized_loss_forget_8"].value == pytest.approx(whole, abs=0.05)
    assert found["quantized_loss_forget_4"].value > found["quantized_loss_forget_8"].value
    assert found["quantized_rouge_forget_8"].value > 90
    assert found["quantized_strength_forget_8"].value > 0.9
    assert found["quantized_strength_retain_8"].direction == "up"
    assert found["quantized_strength_forget_8"].direction == "down"


def test_a_model_that_cannot_be_cut_into_blocks_is_named(make_model):
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

    odd = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=64, hidden_size=40, intermediate_size=80, num_hidden_layers=1, num_attention_heads=2
        )
    )
    with pytest.raises(CollapseError, match="rows of 40 weights"):
        round_weights(odd, 8)
    with pytest.raises(CollapseError, match="has none"):
        round_weights(GPT2LMHeadModel(GPT2Config(vocab_size=64, n_embd=32, n_layer=1, n_head=2)), 8)


def test_measuring_with_fewer_bits_leaves_the_model_alone(model):
    check_evaluator(Quantization(bits=[4], max_new_tokens=4), model, Authors())
