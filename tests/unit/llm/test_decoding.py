"""The engine draws what it should: on every architecture, whatever the batch, with every option."""

import gc

import numpy as np
import pytest
import torch
import transformers
from scipy.stats import chisquare

from collapse_core import Iteration, Prompt
from collapse_llm.model.decoding.choosing import Nucleus
from collapse_llm.model.decoding.engine import _BlockCache, decode
from collapse_llm.model.decoding.rows import Row
from collapse_llm.sampler import Generate
from collapse_llm.sampler.answering import greedy_answers

SMALL = {"vocab_size": 1024, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
KINDS = {
    "Llama": {"intermediate_size": 64, "num_key_value_heads": 2},
    "Qwen2": {"intermediate_size": 64, "num_key_value_heads": 2},
    "Gemma2": {"intermediate_size": 64, "num_key_value_heads": 2, "head_dim": 8, "sliding_window": 8},
    "Gemma3Text": {"intermediate_size": 64, "num_key_value_heads": 2, "head_dim": 8, "sliding_window": 8},
    "Mistral": {"intermediate_size": 64, "num_key_value_heads": 2, "sliding_window": 8},
    "Phi": {"intermediate_size": 64},
    "GPT2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 1024},
    "GPTNeoX": {"intermediate_size": 64},
}


def random_model(kind: str) -> torch.nn.Module:
    torch.manual_seed(0)
    name = {"GPT2": "GPT2LMHeadModel", "Gemma3Text": "Gemma3ForCausalLM"}.get(kind, f"{kind}ForCausalLM")
    fields = KINDS[kind] if kind == "GPT2" else SMALL | KINDS[kind]
    config = getattr(transformers, f"{kind}Config")(**fields, bos_token_id=0, eos_token_id=0, pad_token_id=1)
    module = getattr(transformers, name)(config).eval()
    with torch.no_grad():  # random weights choose nearly uniformly; sharpen them, so that orders are clear
        module.get_output_embeddings().weight.mul_(25)
    return module


@pytest.mark.parametrize("kind", KINDS)
def test_greedy_answers_are_those_of_generate(kind, make_model, questions):
    """One row at a time through transformers' own generate, all rows at once through ours."""
    module = random_model(kind)
    model = make_model(module)
    ours = greedy_answers(model, questions[:6], max_new_tokens=20, batch_size=3)
    for prompt, answer in zip(questions[:6], ours, strict=True):
        ids = torch.tensor([model.encoder.prompt(prompt.content)])
        with torch.no_grad():
            out = module.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=20, do_sample=False, pad_token_id=1
            )
        assert answer == model.encoder.text(out[0, ids.shape[1] :])


def sample(model, prompts, **fields):
    sampler = Generate(**({"temperature": 1.3, "top_p": 0.95, "max_new_tokens": 24} | fields))
    groups = sampler.sample(model, prompts, 4, Iteration(3, 9, 11))
    return {group.prompt.id: [c.content for c in group.completions] for group in groups}


def test_a_draw_depends_neither_on_the_batch_nor_on_the_order_of_the_prompts(model, questions):
    short = {"max_new_tokens": 12}
    whole = sample(model, questions, **short)
    assert sample(model, questions, batch_size=5, **short) == whole
    assert sample(model, questions[::-1], **short) == whole
    assert sample(model, questions[7:9], **short) == {q.id: whole[q.id] for q in questions[7:9]}
    assert len({text for texts in whole.values() for text in texts}) > 60


def test_groups_come_back_in_the_order_of_the_prompts(model, questions):
    groups = Generate(max_new_tokens=2).sample(model, questions[::-1], 2, Iteration(3, 9, 11))
    assert [group.prompt.id for group in groups] == [question.id for question in questions[::-1]]
    assert {c.policy_version for group in groups for c in group.completions} == {3}
    assert [c.number for c in groups[0].completions] == [0, 1]


def test_another_iteration_draws_other_answers(model, questions):
    first, second = (
        Generate(max_new_tokens=8).sample(model, questions[:1], 3, Iteration(0, 9, seed)) for seed in (1, 2)
    )
    assert first[0].completions != second[0].completions


def test_the_models_own_generation_settings_change_nothing(model, questions):
    before = sample(model, questions[:3])
    model.module.generation_config.update(
        do_sample=False, temperature=0.01, top_k=1, top_p=0.1, max_length=3, repetition_penalty=5.0
    )
    assert sample(model, questions[:3]) == before


def test_an_answer_stops_at_its_end_and_never_grows_past_its_room(model, questions):
    answers = sample(model, questions, max_new_tokens=5)
    lengths = [len(model.encoder.answer(text)) for texts in answers.values() for text in texts]
    rows = [[Row(model.encoder.prompt("Who?"), seed, 5) for seed in range(40)]]
    decode(model.module, rows, Nucleus(), frozenset(range(0, 1024, 4)), 8)
    assert all(len(row.answer) <= 5 for row in rows[0])
    assert any(len(row.answer) < 5 for row in rows[0])
    assert not any(token % 4 == 0 for row in rows[0] for token in row.answer)
    assert lengths


def test_prompt_and_answer_together_stay_within_the_models_longest(make_model, questions):
    model, seen = make_model(random_model("Llama"), max_length=40), []
    model.module.register_forward_pre_hook(
        lambda module, args, kwargs: seen.extend(kwargs.get("position_ids", ())), with_kwargs=True
    )
    Generate(max_new_tokens=64).sample(model, questions, 3, Iteration(0, 1, 0))
    assert max(int(row.max()) for row in seen) <= 39


@pytest.mark.parametrize(
    ("num", "length", "most_flips"), [(10, 40, 1), pytest.param(40, 60, 3, marks=pytest.mark.slow)]
)
def test_many_prompts_pass_through_a_small_batch_and_the_block_is_reused(
    model, questions, num, length, most_flips
):
    """Long enough for the block to be shifted many times; a rounding may flip one draw in thousands."""
    prompts = [Prompt(f"{q.id}-{i}", q.content) for i in range(2) for q in questions][:num]
    whole = sample(model, prompts, max_new_tokens=length)
    parts = sample(model, prompts, max_new_tokens=length, batch_size=6)
    same = [a == b for key in whole for a, b in zip(whole[key], parts[key], strict=True)]
    assert len(same) == 4 * num
    assert sum(same) >= len(same) - most_flips


def test_the_keys_and_values_go_with_the_last_answer_and_wait_for_no_collector(model, questions):
    gc.collect()
    gc.disable()
    try:
        greedy_answers(model, questions[:2], max_new_tokens=4)
        assert not any(type(left) is _BlockCache for left in gc.get_objects())
    finally:
        gc.enable()


MORE_OPTIONS = [
    {"temperature": 1.7},
    {"top_k": 12, "top_p": 0.7},
    {"temperature": 2.0, "top_p": 0.9, "min_p": 0.1},
]
OPTIONS = [
    {},
    {"top_p": 0.8},
    {"top_k": 7},
    {"min_p": 0.2},
    {"temperature": 0.7, "top_k": 20, "top_p": 0.95, "min_p": 0.05},
    *(pytest.param(options, marks=pytest.mark.slow) for options in MORE_OPTIONS),
]


@pytest.mark.parametrize("num_draws", [20_000, pytest.param(100_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_tokens_are_drawn_with_their_exact_probabilities(options, num_draws):
    """Chi-squared over many draws against the distribution that transformers' warpers define."""
    torch.manual_seed(5)
    logits = torch.randn(1, 50) * 2
    exact = warped(logits, options)
    sources = [np.random.Generator(np.random.Philox(key=i)) for i in range(1000)]
    choice, counts = Nucleus(**options), np.zeros(50)
    for _ in range(num_draws // 1000):
        counts += np.bincount(choice.choose(logits.expand(1000, -1), sources).numpy(), minlength=50)
    allowed = exact > 0
    assert counts[~allowed].sum() == 0
    if allowed.sum() > 1:
        assert chisquare(counts[allowed], exact[allowed] * counts.sum()).pvalue > 1e-3


def warped(logits, options):
    from transformers.generation import logits_process as warpers

    scores = logits / options.get("temperature", 1.0)
    for key, warper in (
        ("top_k", warpers.TopKLogitsWarper),
        ("top_p", warpers.TopPLogitsWarper),
        ("min_p", warpers.MinPLogitsWarper),
    ):
        if key in options:
            scores = warper(options[key])(None, scores)
    return scores.softmax(-1)[0].double().numpy() / scores.softmax(-1)[0].double().sum().item()


def test_whole_answers_have_their_exact_probabilities(model, questions):
    """Two tokens drawn by the engine, against the product of the model's own probabilities."""
    prompt = model.encoder.prompt(questions[0].content)
    with torch.no_grad():
        model.module.model.norm.weight.mul_(3)
    num = 4000
    rows = [[Row(list(prompt), seed, 2) for seed in range(num)]]
    with torch.no_grad():
        decode(model.module, rows, Nucleus(top_k=3), frozenset(), num)
        first = model.module(torch.tensor([prompt])).logits[0, -1].topk(3)
        expected = {}
        for value, token in zip(first.values.softmax(-1).tolist(), first.indices.tolist(), strict=True):
            second = model.module(torch.tensor([[*prompt, token]])).logits[0, -1].topk(3)
            for other, next_ in zip(second.values.softmax(-1).tolist(), second.indices.tolist(), strict=True):
                expected[token, next_] = value * other
    counts = dict.fromkeys(expected, 0)
    for row in rows[0]:
        counts[tuple(row.answer)] += 1
    keys = list(expected)
    observed, wanted = np.array([counts[k] for k in keys]), np.array([expected[k] for k in keys])
    assert chisquare(observed, wanted / wanted.sum() * num).pvalue > 1e-3
