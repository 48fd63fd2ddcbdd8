"""What a language model is opened from, and what its export holds."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from collapse_core import CollapseError, Completion, Iteration, Kept
from collapse_llm.data import Authors
from collapse_llm.model import CausalLm, Lora
from collapse_llm.model.language_model import LanguageModel
from collapse_llm.model.training import answer_losses
from collapse_llm.updater import Sft

RETAIN = list(Authors().load("retain"))[:2]
KEPT = [Kept(prompt, Completion("Nobody knows."), 1.0) for prompt in RETAIN]


def opened(path: Path, **fields: object) -> LanguageModel:
    model = CausalLm(path=str(path), **({"compute": "float32"} | fields)).load(Authors(), 0)
    assert isinstance(model, LanguageModel)
    return model


def trained(path: Path, **fields: object) -> LanguageModel:
    model = opened(path, **fields)
    Sft(learning_rate=1e-2, warmup=0).update(model, KEPT, RETAIN, Iteration(0, 1, 0))
    return model


def losses(model: LanguageModel) -> list[float]:
    return [loss for answer in answer_losses(model, RETAIN, 2) for loss in answer]


def dtypes(directory: Path) -> set[torch.dtype]:
    return {weight.dtype for weight in load_file(directory / "model.safetensors").values()}


@pytest.fixture
def in_half(tiny_directory, tokenizer, tmp_path) -> Path:
    directory = tmp_path / "half"
    AutoModelForCausalLM.from_pretrained(tiny_directory, dtype=torch.bfloat16).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


@pytest.mark.parametrize("save", ["merged", "adapter", "both"])
def test_adapters_are_exported_as_the_recipe_says_and_opened_again(save, tiny_directory, tmp_path):
    model = trained(tiny_directory, lora=Lora(rank=4, save=save))
    assert losses(model) != pytest.approx(losses(opened(tiny_directory)), abs=1e-3)
    model.export(tmp_path / "out")
    assert (tmp_path / "out" / "model.safetensors").exists() == (save != "adapter")
    assert (tmp_path / "out" / "adapter_config.json").exists() == (save == "adapter")
    assert (tmp_path / "out" / "adapter").exists() == (save == "both")
    for directory in (tmp_path / "out", tmp_path / "out" / "adapter"):
        if directory.exists():
            assert losses(opened(directory)) == pytest.approx(losses(model), abs=1e-4)


def test_an_export_stops_where_the_chat_template_ends_a_turn(tiny_directory, tokenizer, tmp_path):
    """Its tokenizer and settings name another end, and the settings stay what they were else."""
    directory = tmp_path / "chatty"
    module = AutoModelForCausalLM.from_pretrained(tiny_directory)
    module.generation_config.update(eos_token_id=0, do_sample=True, temperature=0.7)
    module.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    (directory / "chat_template.jinja").write_text(
        "{% for message in messages %}{{ message.content }}<|pad|>{% endfor %}"
    )
    model = opened(directory)
    assert model.encoder.end_id == tokenizer.convert_tokens_to_ids("<|pad|>") != tokenizer.eos_token_id
    model.export(tmp_path / "out")
    came, left = (
        json.loads((path / "generation_config.json").read_text()) for path in (directory, tmp_path / "out")
    )
    assert left == came | {"eos_token_id": [0, model.encoder.end_id]}
    assert opened(tmp_path / "out").end_ids == model.end_ids


def test_a_model_in_half_precision_is_exported_in_it_unless_the_recipe_says_otherwise(in_half, tmp_path):
    model = trained(in_half)
    assert {weight.dtype for weight in model.module.parameters()} == {torch.float32}
    model.export(tmp_path / "out")
    assert dtypes(tmp_path / "out") == {torch.bfloat16}
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == "bfloat16"
    opened(in_half, save_as="float32").export(tmp_path / "whole")
    assert dtypes(tmp_path / "whole") == {torch.float32}


def test_frozen_weights_are_held_in_the_computing_precision_and_exported_as_they_came(
    tiny_directory, tmp_path
):
    model = trained(tiny_directory, lora=Lora(rank=4), compute="bfloat16")
    held = {weight.dtype for weight in model.module.parameters() if not weight.requires_grad}
    assert held == {torch.bfloat16}
    assert {weight.dtype for weight in model.module.parameters() if weight.requires_grad} == {torch.float32}
    model.export(tmp_path / "out")
    assert dtypes(tmp_path / "out") == {torch.float32}
    came, left = (load_file(path / "model.safetensors") for path in (tiny_directory, tmp_path / "out"))
    assert torch.equal(came["model.embed_tokens.weight"], left["model.embed_tokens.weight"])
    assert losses(opened(tmp_path / "out")) == pytest.approx(losses(model), abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("bits", [8, 4])
def test_frozen_weights_in_few_bits_are_exported_as_they_were_trained_on(bits, tiny_directory, tmp_path):
    model = trained(tiny_directory, lora=Lora(rank=4, bits=bits))
    frozen = {weight.dtype for weight in model.module.parameters() if not weight.requires_grad}
    assert frozen == {torch.float32, torch.int8 if bits == 8 else torch.uint8}
    model.save(tmp_path)
    again = opened(tiny_directory, lora=Lora(rank=4, bits=bits))
    again.restore(tmp_path)
    assert losses(again) == pytest.approx(losses(model), abs=1e-4)
    model.export(tmp_path / "out")
    assert dtypes(tmp_path / "out") == {torch.float32}
    assert losses(opened(tmp_path / "out")) == pytest.approx(losses(model), abs=0.1)


def test_adapters_on_an_output_matrix_that_is_the_input_embeddings_are_refused(
    tiny_directory, tokenizer, tmp_path
):
    tied = AutoModelForCausalLM.from_pretrained(tiny_directory)
    tied.config.tie_word_embeddings = True
    tied.tie_weights()
    tied.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(CollapseError, match="shares with its input embeddings"):
        opened(tmp_path, lora=Lora(targets=["lm_head"]))


def test_an_export_that_differs_from_the_model_in_memory_is_refused(model, tmp_path, monkeypatch):
    from collapse_llm.model import language_model

    def spoiled(module, *_):
        other = type(module)(module.config)
        return other.to(torch.float32)

    monkeypatch.setattr(language_model, "merged", spoiled)
    with pytest.raises(CollapseError, match="the exported model differs from the one in memory"):
        model.export(tmp_path / "out")
