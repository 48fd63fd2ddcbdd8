"""The loss over the vocabulary: chunks give the plain gradients, and no position is projected in vain."""

import pytest
import torch
import transformers
from plain_loss import assert_gradients_are_plain, plain_loss

from collapse_llm.data import Authors
from collapse_llm.model import CausalLm, vocabulary
from collapse_llm.model.marks import head_comes_last
from collapse_llm.model.training import token_losses, vocabulary_size
from collapse_llm.model.upper import freeze_below


@pytest.mark.parametrize("train_layers", [None, 1])
def test_the_vocabulary_loss_in_chunks_has_the_plain_gradients(model, examples, monkeypatch, train_layers):
    size = vocabulary_size(model.module)
    monkeypatch.setattr(vocabulary, "MOST_LOGITS", 10 * size)
    if train_layers:
        freeze_below(model.module, train_layers)
        model.train_layers = train_layers
    held = []
    with model.for_training() as module:
        module.get_output_embeddings().register_forward_hook(lambda *of: held.append(len(of[2])))
        losses = torch.cat(token_losses(module, examples, model.device))
        num_labels = sum(example.num_labels for example in examples)
        assert sum(held) == len(losses) == num_labels > 10 * len(examples) / 2
        losses.mean().backward()
    assert max(held) <= 10
    assert_gradients_are_plain(model.module, examples)


@pytest.mark.parametrize("most_labels", [10, 1000])
def test_logits_that_are_capped_after_the_head_are_not_taken_from_it(
    model, examples, tmp_path, monkeypatch, most_labels
):
    config = transformers.Gemma2Config(
        vocab_size=len(model.encoder.tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        final_logit_softcapping=0.05,
    )
    transformers.Gemma2ForCausalLM(config).save_pretrained(tmp_path)
    model.encoder.tokenizer.save_pretrained(tmp_path)
    loader = CausalLm.model_validate({"path": str(tmp_path), "prompt": {"chat": False}})
    capped = loader.load(Authors(), seed=0)
    assert head_comes_last(model.module)
    assert not head_comes_last(capped.module)
    monkeypatch.setattr(vocabulary, "MOST_LOGITS", most_labels * vocabulary_size(capped.module))
    ours = torch.cat(token_losses(capped.module.eval(), examples, capped.device)).mean()
    assert ours.item() == pytest.approx(plain_loss(capped.module, examples).item(), abs=1e-5)
    ours.backward()
    assert_gradients_are_plain(capped.module, examples)
