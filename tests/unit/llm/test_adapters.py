"""Adapters merged to sample and to score: the same model, and no weight below them changed."""

import copy

import pytest
import torch

from collapse_core import Iteration
from collapse_llm.data import Authors
from collapse_llm.model import CausalLm, Lora
from collapse_llm.model.adapters import MergedAdapters, can_merge, is_peft
from collapse_llm.updater import Sft

IDS = torch.tensor([[5, 6, 7, 8, 9]])


def adapted(path, seed=1, **fields):
    """A model whose adapters do something: fresh ones are zero."""
    model = CausalLm(path=str(path), **({"compute": "float32", "lora": Lora(rank=4)} | fields)).load(
        Authors(), 0
    )
    noise = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.trainable().values():
            weight.copy_(0.1 * torch.randn(weight.shape, generator=noise))
    return model


def logits(module):
    with torch.inference_mode():
        return module(IDS, use_cache=False).logits.float()


def test_the_merged_module_computes_what_the_adapters_add_by_hand(tiny_directory):
    model = adapted(tiny_directory)
    layer = model.module.get_base_model().model.layers[0].self_attn.q_proj
    low_rank = layer.lora_B["default"].weight @ layer.lora_A["default"].weight
    by_hand = layer.base_layer.weight + 32 / 4 * low_rank
    with model.for_inference() as module:
        assert not is_peft(module)
        torch.testing.assert_close(module.model.layers[0].self_attn.q_proj.weight, by_hand)
        merged = logits(module)
    torch.testing.assert_close(merged, logits(model.module.eval()), rtol=1e-4, atol=1e-5)


def test_weights_below_adapters_stay_bit_for_bit_and_untouched_ones_are_shared(tiny_directory):
    model = adapted(tiny_directory)
    before = copy.deepcopy(model.module.state_dict())
    with model.for_inference() as module:
        embeddings = module.get_input_embeddings().weight
        assert embeddings.data_ptr() == model.module.get_input_embeddings().weight.data_ptr()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.module.state_dict().items())


def test_copies_are_made_anew_where_adapters_changed_and_dropped_to_train(tiny_directory):
    model = adapted(tiny_directory)
    with model.for_inference() as first, model.for_inference() as second:
        assert first is second
        before = logits(first)
    with model.for_training():
        assert model._merged._merged is None
    prompts = list(Authors().load("retain"))[:2]
    Sft(learning_rate=1e-2, warmup=0).update(model, [], prompts, Iteration(0, 1, 0))
    with model.for_inference() as third:
        assert (logits(third) - before).abs().max() > 1e-3
        torch.testing.assert_close(logits(third), logits(model.module.eval()), rtol=1e-4, atol=1e-5)


def test_restored_adapters_are_those_that_are_asked(tiny_directory, tmp_path):
    model, other = adapted(tiny_directory), adapted(tiny_directory, seed=2)
    with model.for_inference() as module:
        before = logits(module)
    other.save(tmp_path)
    model.restore(tmp_path)
    with model.for_inference() as mine, other.for_inference() as its:
        assert torch.equal(logits(mine), logits(its))
        assert not torch.equal(logits(mine), before)


def test_the_reference_model_has_no_adapters(tiny_directory):
    model = adapted(tiny_directory)
    plain = CausalLm(path=str(tiny_directory), compute="float32").load(Authors(), 0)
    with model.reference() as frozen, frozen.for_inference() as module:
        torch.testing.assert_close(logits(module), logits(plain.module.eval()))


def test_half_precision_is_what_is_sampled_from(tiny_directory):
    model = adapted(tiny_directory, compute="bfloat16")
    with model.for_inference() as module:
        assert {weight.dtype for weight in module.parameters()} == {torch.bfloat16}
        merged = logits(module)
    torch.testing.assert_close(merged, logits(model.module.eval()), rtol=0.1, atol=0.05)


@pytest.mark.slow
def test_weights_of_few_bits_are_not_merged(tiny_directory):
    pytest.importorskip("bitsandbytes")
    model = adapted(tiny_directory, lora=Lora(rank=4, bits=8))
    assert not can_merge(model.module)
    with model.for_inference() as module:
        assert is_peft(module)


def test_copies_of_a_model_merge_their_own_adapters(tiny_directory):
    model = adapted(tiny_directory)
    other = copy.deepcopy(model)
    assert isinstance(other._merged, MergedAdapters)
    with torch.no_grad():
        for weight in other.trainable().values():
            weight.zero_()
    with model.for_inference() as mine, other.for_inference() as its:
        assert not torch.equal(logits(mine), logits(its))
