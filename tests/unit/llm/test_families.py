"""Each family of language models, as a tiny random one in a directory, from sampling to the export."""

import copy
from pathlib import Path

import pytest
import torch
import transformers
from chat_templates import CHATS, Chat

from collapse_core import CollapseError, Completion, Iteration, Kept, Prompt
from collapse_llm.data import Authors
from collapse_llm.model import CausalLm, PromptFormat
from collapse_llm.model.language_model import LanguageModel
from collapse_llm.model.marks import decoding_of, reads_unpadded
from collapse_llm.model.training import answer_losses
from collapse_llm.sampler import Generate
from collapse_llm.sampler.answering import greedy_answers
from collapse_llm.updater import Sft

BASE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
GROUPED = BASE | {"intermediate_size": 64, "num_key_value_heads": 2}
EXPERTS = {"num_experts_per_tok": 2, "moe_intermediate_size": 32}
FAST = {
    "Llama": GROUPED,
    "Gemma3Text": GROUPED | {"head_dim": 8, "sliding_window": 8},
    "Mamba": {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 4},
}
"""A plain one, one whose window slides, and one whose state the engine cannot hold."""
HYBRID = ("recurrent", "attention")
MAMBA = {"mamba_d_state": 4, "mamba_n_heads": 4, "mamba_d_head": 16, "mamba_n_groups": 1}
LATENT = {
    "intermediate_size": 64, "moe_intermediate_size": 32, "num_key_value_heads": 4, "n_routed_experts": 4,
    "num_experts_per_tok": 2, "n_group": 1, "topk_group": 1, "first_k_dense_replace": 1, "q_lora_rank": 16,
    "kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 8,
}  # fmt: skip
"""Attention in a space of few dimensions, and experts."""
FURTHER = {
    "Qwen2": GROUPED,
    "Qwen3": GROUPED | {"head_dim": 8},
    "Gemma2": GROUPED | {"head_dim": 8, "sliding_window": 8},
    "Phi3": GROUPED,
    "Mistral": GROUPED | {"sliding_window": 8},
    "GPT2": {"n_embd": 32, "n_layer": 2, "n_head": 4},
    "GPTNeoX": BASE | {"intermediate_size": 64},
    "OPT": BASE | {"ffn_dim": 64, "word_embed_proj_dim": 32},
    "Falcon": BASE,
    "FalconAlibi": BASE | {"alibi": True},
    "Mixtral": GROUPED | {"num_local_experts": 4, "num_experts_per_tok": 2},
    "Qwen3Moe": GROUPED | EXPERTS | {"num_experts": 4, "head_dim": 8},
    "Lfm2": GROUPED | {"layer_types": ["conv", "full_attention"]},
    "Mamba2": {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 4, "num_heads": 4, "head_dim": 16}
    | {"n_groups": 2},
    "Rwkv": {"hidden_size": 32, "num_hidden_layers": 2, "attention_hidden_size": 32},
    "Bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 4},
    "Cohere2": GROUPED | {"sliding_window": 8},
    "Olmo2": GROUPED,
    "SmolLM3": GROUPED,
    "GptOss": GROUPED
    | {"num_local_experts": 4, "num_experts_per_tok": 2, "head_dim": 8, "sliding_window": 8},
    "Llama4Text": GROUPED | {"num_local_experts": 4, "head_dim": 8, "intermediate_size_mlp": 64},
    "DeepseekV3": BASE | LATENT,
    "RecurrentGemma": GROUPED | {"lru_width": 32, "attention_window_size": 8, "block_types": HYBRID},
    "FalconH1": GROUPED | MAMBA | {"mamba_d_ssm": 64},
    "Bamba": GROUPED | MAMBA | {"attn_layer_indices": [1]},
    "Jamba": GROUPED
    | {"attn_layer_offset": 1, "attn_layer_period": 2, "use_mamba_kernels": False}
    | {"mamba_d_state": 4, "num_experts": 2},
    "Qwen3Next": GROUPED
    | EXPERTS
    | {"num_experts": 4, "head_dim": 8, "shared_expert_intermediate_size": 32}
    | {"linear_num_value_heads": 4, "linear_num_key_heads": 2, "linear_key_head_dim": 8}
    | {"linear_value_head_dim": 8, "layer_types": ["linear_attention", "full_attention"]},
}
REFUSED = {
    "T5": ({"d_model": 32, "num_layers": 1, "num_heads": 2, "d_kv": 8}, "encoder and a decoder"),
    "Gemma3": ({}, "also reads images"),
}


def written(family: str, fields: dict, tokenizer, directory: Path) -> Path:
    """Write a random model of a family, whose likeliest tokens are clear."""
    name = family.removesuffix("Alibi")
    config = getattr(transformers, f"{name}Config")(
        **{"vocab_size": 1040, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 1} | fields
    )
    torch.manual_seed(0)
    module = transformers.AutoModelForCausalLM.from_config(config).float()
    with torch.no_grad():
        module.get_output_embeddings().weight.mul_(25)
    module.save_pretrained(directory)
    if chat := CHATS.get(family):
        tokenizer = copy.deepcopy(tokenizer)
        tokenizer.add_special_tokens({"additional_special_tokens": list(chat.marks)})
        tokenizer.chat_template = chat.template
    tokenizer.save_pretrained(directory)
    (directory / "LICENSE").write_text("As you like.")
    return directory


def opened(directory: Path) -> LanguageModel:
    chatting = (directory / "chat_template.jinja").exists()
    form = PromptFormat(system="Be brief.") if chatting else PromptFormat()
    model = CausalLm(path=str(directory), compute="float32", prompt=form).load(Authors(), 0)
    assert isinstance(model, LanguageModel)
    return model


def check_training_text(model: LanguageModel, chat: Chat) -> None:
    """What is learned is what the template writes, and it ends with the token that ends a turn there."""
    encoder = model.encoder
    end = chat.end or model.encoder.tokenizer.eos_token
    assert encoder.end_id == encoder.tokenizer.convert_tokens_to_ids(end)
    example = encoder.example("Who?", "Basil.")
    assert example.ids[-1] == encoder.end_id
    messages = encoder.template.messages("Who?", "Basil.")
    whole = encoder.template.render(messages, add_generation_prompt=False)
    learned = encoder.tokenizer.decode(example.ids, clean_up_tokenization_spaces=False)
    assert whole.startswith(learned)
    assert whole.removeprefix(learned).strip() in ("", encoder.tokenizer.eos_token)
    assert "Be brief." in learned


def check_family(family: str, fields: dict, tokenizer, questions: list[Prompt], tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    model = opened(written(family, fields, tokenizer, tmp_path / "in"))
    assert decoding_of(model.module), "found out at load"
    assert model.encoder.chat == (family in CHATS)
    if chat := CHATS.get(family):
        check_training_text(model, chat)
    asked = questions[:3]
    for prompt, answer in zip(asked, greedy_answers(model, asked, 6), strict=True):
        ids = torch.tensor([model.encoder.prompt(prompt.content)])
        with torch.no_grad():
            out = model.module.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=6, do_sample=False,
                eos_token_id=sorted(model.end_ids), pad_token_id=1,
            )  # fmt: skip
        assert answer == model.encoder.text(out[0, ids.shape[1] :])
    [group] = Generate(max_new_tokens=4).sample(model, asked[:1], 2, Iteration(0, 2, 1))
    kept = [Kept(asked[0], group.completions[0], 1.0), Kept(asked[1], Completion("Basil."), 1.0)]
    retain = list(Authors().load("retain"))[:2]
    metrics = Sft(learning_rate=1e-2).update(model, kept, retain, Iteration(0, 2, 1))
    assert metrics["collapse_loss"] > 0
    for name in ("saved", "out"):
        (tmp_path / name).mkdir()
    model.save(tmp_path / "saved")
    model.export(tmp_path / "out")
    losses = answer_losses(model, retain, 2)
    resumed = opened(tmp_path / "in")
    resumed.restore(tmp_path / "saved")
    again = opened(tmp_path / "out")
    for other in (resumed, again):
        for mine, its in zip(losses, answer_losses(other, retain, 1), strict=True):
            assert mine == pytest.approx(its, abs=2e-4)
    assert (tmp_path / "out" / "LICENSE").exists()
    assert again.encoder.chat == model.encoder.chat
    print(f"{family}: decoded {decoding_of(model.module)}, unpadded {reads_unpadded(model.module)}")


@pytest.mark.parametrize("family", FAST)
def test_a_family_is_sampled_trained_resumed_and_exported(family, tokenizer, questions, tmp_path):
    check_family(family, FAST[family], tokenizer, questions, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("family", FURTHER)
def test_a_further_family_is_sampled_trained_resumed_and_exported(family, tokenizer, questions, tmp_path):
    check_family(family, FURTHER[family], tokenizer, questions, tmp_path)


@pytest.mark.parametrize("family", REFUSED)
def test_a_model_that_is_no_causal_language_model_is_refused_in_a_sentence(family, tokenizer, tmp_path):
    fields, sentence = REFUSED[family]
    getattr(transformers, f"{family}Config")(**fields).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(CollapseError, match=sentence):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("family", "fields"),
    [
        ("Bert", BASE | {"intermediate_size": 64}),
        pytest.param(
            "XLNet", {"d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 64}, marks=pytest.mark.slow
        ),
    ],
)
def test_a_model_that_reads_ahead_is_refused_when_it_is_loaded(family, fields, tokenizer, tmp_path):
    said = f"models of the type '{family.lower()}' cannot be sampled: token by token"
    with pytest.raises(CollapseError, match=said):
        opened(written(family, fields, tokenizer, tmp_path))


def test_how_a_model_is_decoded_is_found_out_once(tokenizer, questions, tmp_path, monkeypatch):
    model = opened(written("Llama", GROUPED, tokenizer, tmp_path))
    monkeypatch.setattr("collapse_llm.model.decoding.engine.find_way", None)
    assert greedy_answers(model, questions[:1], 2)
    with model.reference() as reference:
        assert greedy_answers(reference, questions[:1], 2)
