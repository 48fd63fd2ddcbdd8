"""What the sampler asks of vLLM, and what becomes of the answers.

vLLM needs a GPU, so it is not among what the tests install; a stand-in takes its place.
"""

import gc
import importlib.machinery
import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch
from peft import get_peft_model_state_dict
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from vllm_stand_in import LLM, LoRARequest, SamplingParams

from collapse_core import CollapseError, Completion, Iteration, Kept, create_run, derive_seed, load_recipe
from collapse_core import collapse as run_loop
from collapse_core.testing import check_sampler
from collapse_llm.data import Authors
from collapse_llm.model import CausalLm, Lora, Teach
from collapse_llm.sampler import Generate
from collapse_llm.sampler.vllm import Vllm
from collapse_llm.sampler.vllm_engine import _engines
from collapse_llm.updater import Sft


@pytest.fixture
def vllm(monkeypatch):
    """vLLM as it would be imported; what is made with it is in `made`."""
    modules = {name: ModuleType(name) for name in ("vllm", "vllm.lora", "vllm.lora.request")}
    for name, module in modules.items():
        module.__spec__ = importlib.machinery.ModuleSpec(name, None)
        monkeypatch.setitem(sys.modules, name, module)
    modules["vllm"].LLM, modules["vllm"].SamplingParams = LLM, SamplingParams
    modules["vllm.lora.request"].LoRARequest = LoRARequest
    monkeypatch.setattr(LLM, "made", [])
    return LLM


@pytest.fixture
def load(tiny_directory):
    """Loads the small model with adapters."""

    def load(**fields):
        settings = {"path": str(tiny_directory), "compute": "float32", "lora": Lora(rank=4)} | fields
        return CausalLm(**settings).load(Authors(), 0)

    return load


@pytest.fixture
def adapted(load):
    return load()


FEW = {"temperature": 1.3, "top_p": 0.9, "max_new_tokens": 8}
HERE = Iteration(3, 9, 11)


def train(model, questions, number=0):
    kept = [Kept(q, Completion("I do not know."), 1.0) for q in questions[:4]]
    Sft(learning_rate=1e-2, warmup=0).update(model, kept, [], Iteration(number, 9, number))


# --- what is asked ---------------------------------------------------------------------------------


def test_it_keeps_the_promises_of_a_sampler(vllm, adapted, questions):
    check_sampler(Vllm(**FEW), adapted, questions[:3])
    assert len(vllm.made) == 1


def test_each_completion_is_a_request_of_tokens_with_a_seed_of_its_own(vllm, adapted, questions):
    sampler = Vllm(temperature=1.3, top_p=0.9, top_k=50, min_p=0.05, max_new_tokens=8)
    sampler.sample(adapted, questions[:3], 4, HERE)
    [call] = vllm.made[0].generated
    expected = [adapted.encoder.prompt(q.content) for q in questions[:3] for _ in range(4)]
    assert call.prompts == [{"prompt_token_ids": ids} for ids in expected]
    assert [p.seed for p in call.params] == [
        derive_seed(11, q.id, n) for q in questions[:3] for n in range(4)
    ]
    ends = sorted(adapted.end_ids)
    alike = SamplingParams(1.3, 0.9, 50, 0.05, None, ends, max_tokens=8, detokenize=False)
    assert [replace(p, seed=None) for p in call.params] == [alike] * 12


def test_top_k_left_out_is_the_number_that_vllm_takes_for_all(vllm, adapted, questions):
    Vllm(max_new_tokens=2).sample(adapted, questions[:1], 1, HERE)
    assert vllm.made[0].generated[0].params[0].top_k == 0


def test_references_are_greedy(vllm, adapted, questions):
    answers = Vllm(**FEW).sample_references(adapted, questions[:3], HERE)
    [call] = vllm.made[0].generated
    assert [p.temperature for p in call.params] == [0.0] * 3
    assert answers == Generate(**FEW).sample_references(adapted, questions[:3], HERE)


def test_what_ended_an_answer_is_no_part_of_it(vllm, adapted, questions):
    """Even where it is an ordinary word."""
    adapted.end_ids = frozenset(range(0, 1024, 4))
    groups = Vllm(**FEW).sample(adapted, questions[:3], 4, HERE)
    assert groups == Generate(**FEW).sample(adapted, questions[:3], 4, HERE)
    assert any(len(adapted.encoder.answer(c.content)) < 7 for group in groups for c in group.completions)


def test_prompt_and_answer_together_stay_within_the_models_longest(vllm, load, questions):
    long = max(len(load().encoder.prompt(q.content)) for q in questions)
    adapted = load(max_length=long + 3)
    Vllm(max_new_tokens=30).sample(adapted, questions, 1, HERE)
    call, lengths = vllm.made[0].generated[0], []
    for prompt, params in zip(call.prompts, call.params, strict=True):
        lengths.append(len(prompt["prompt_token_ids"]) + params.max_tokens)
    assert max(lengths) == long + 3 == vllm.made[0].arguments["max_model_len"]


def test_a_prompt_too_long_for_any_answer_is_an_error(vllm, load, questions):
    with pytest.raises(
        CollapseError, match=r"has \d+ tokens.*no room for an answer.*max_length.*\(it is 6\)"
    ):
        Vllm().sample(load(max_length=6), questions[:1], 1, HERE)


# --- the engine ------------------------------------------------------------------------------------


def test_the_engine_is_made_once_a_model(vllm, adapted, load, tiny_directory, questions):
    for number in range(3):
        Vllm(**FEW).sample(adapted, questions[:1], 1, Iteration(number, 9, number))
    [engine] = vllm.made
    assert engine.arguments == {
        "model": str(tiny_directory),
        "revision": None,
        "tokenizer_revision": None,
        "dtype": "float32",
        "max_model_len": 200,
        "gpu_memory_utilization": 0.3,
        "enable_lora": True,
        "max_lora_rank": 8,
        "enable_sleep_mode": True,
        "generation_config": "vllm",
    }
    Vllm(**FEW).sample(load(), questions[:1], 1, HERE)
    assert len(vllm.made) == 2, "another model has an engine of its own"


def test_the_engine_holds_what_the_model_was_taught(vllm, load, questions, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    taught = load(teach=Teach(epochs=1, learning_rate=5e-3))
    answers = Vllm(**FEW).sample_references(taught, questions[:4], HERE)
    assert answers == Generate(**FEW).sample_references(taught, questions[:4], HERE)
    assert answers != Generate(**FEW).sample_references(load(), questions[:4], HERE)


@pytest.mark.parametrize(("rank", "allowed"), [(1, 1), (9, 16), (16, 16), (300, 320)])
def test_the_engine_makes_room_for_the_rank_of_the_adapter(vllm, load, questions, rank, allowed):
    Vllm(**FEW).sample(load(lora=Lora(rank=rank, targets=["q_proj"])), questions[:1], 1, HERE)
    assert vllm.made[0].arguments["max_lora_rank"] == allowed


def test_a_model_of_the_hub_is_asked_for_in_the_revision_that_is_trained(tiny_directory, monkeypatch):
    for auto in (AutoConfig, AutoModelForCausalLM, AutoTokenizer):
        found = auto.from_pretrained
        monkeypatch.setattr(
            auto, "from_pretrained", lambda name, found=found, revision=None, **f: found(tiny_directory, **f)
        )
    model = CausalLm(path="someone/something", revision="a1b2c3").load(Authors(), 0)
    assert (model.source.path, model.source.revision) == ("someone/something", "a1b2c3")


def test_the_engine_computes_as_training_does(vllm, load, questions):
    Vllm(**FEW).sample(load(compute="bfloat16"), questions[:1], 1, HERE)
    assert vllm.made[0].arguments["dtype"] == "bfloat16"


def test_the_engine_goes_with_its_model(vllm, load, questions):
    gc.collect()
    before = len(_engines)
    adapted = load()
    Vllm(**FEW).sample(adapted, questions[:1], 1, HERE)
    assert len(_engines) == before + 1
    del adapted
    gc.collect()
    assert len(_engines) == before


def test_it_wakes_to_sample_and_sleeps_while_the_model_is_trained(vllm, adapted, questions):
    for number in range(2):
        Vllm(**FEW).sample(adapted, questions[:1], 1, Iteration(number, 9, number))
    first = ["generate", "remove_lora", "sleep"]
    assert vllm.made[0].calls == [*first, "wake_up", *first]


def test_it_stays_awake_when_told_so(vllm, adapted, questions):
    for number in range(2):
        Vllm(sleep=False, **FEW).sample(adapted, questions[:1], 1, Iteration(number, 9, number))
    assert vllm.made[0].calls == ["generate", "remove_lora"] * 2


def test_it_is_put_to_sleep_and_rid_of_the_adapter_when_it_fails(vllm, adapted, questions, monkeypatch):
    def fail(*arguments):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(vllm, "_answers", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        Vllm(**FEW).sample(adapted, questions[:1], 1, HERE)
    assert vllm.made[0].calls == ["generate", "remove_lora", "sleep"]
    assert not Path(vllm.made[0].generated[0].request.lora_path).exists()


def test_nothing_to_ask_starts_no_engine(vllm, adapted):
    assert Vllm().sample(adapted, [], 3, HERE) == []
    assert vllm.made == []


# --- adapters --------------------------------------------------------------------------------------


def test_each_policy_is_a_fresh_adapter_of_the_weights_as_they_are(vllm, adapted, questions):
    sampler, expected = Vllm(**FEW), []
    for number in range(3):
        train(adapted, questions, number)
        sampler.sample(adapted, questions[:2], 2, Iteration(number, 9, 7))
        state = get_peft_model_state_dict(adapted.module)
        expected.append({key: tensor.clone() for key, tensor in state.items()})
    calls = vllm.made[0].generated
    assert len({call.request.lora_int_id for call in calls}) == 3
    assert len({call.request.lora_name for call in calls}) == 3
    assert [call.request.lora_name.split("-")[1] for call in calls] == ["0", "1", "2"]
    for call, state in zip(calls, expected, strict=True):
        assert call.weights.keys() == state.keys()
        assert all(torch.equal(call.weights[key], state[key]) for key in state)
        assert not Path(call.request.lora_path).exists(), "the files go when they have been read"
    assert any(not torch.equal(expected[0][key], expected[1][key]) for key in expected[0])
    assert vllm.made[0].adapters == {}


def test_what_was_trained_is_what_answers_even_when_a_version_comes_again(vllm, adapted, questions):
    sampler, ours = Vllm(**FEW), Generate(**FEW)
    seen = []
    for _ in range(2):
        groups = sampler.sample(adapted, questions[:4], 3, HERE)
        assert groups == ours.sample(adapted, questions[:4], 3, HERE)
        seen.append(groups)
        train(adapted, questions)
    assert seen[0] != seen[1]


# --- whole runs ------------------------------------------------------------------------------------

RECIPE = """\
version: 1
name: with-vllm
data: {use: authors, forget: 0.1}
model: {use: causal-lm, path: PATH, compute: float32, lora: {rank: 4}}
sampler: {use: generate, temperature: 1.3, top_p: 0.9, max_new_tokens: 8}
rewards: [{use: rouge-distance}]
filter: {use: best-of-n}
updater: {use: sft, learning_rate: 1e-2, batch_size: 10, warmup: 0}
iterations: 3
prompts_per_iteration: 6
completions_per_prompt: 3
"""


@pytest.fixture
def recipe(tiny_directory, tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE.replace("PATH", str(tiny_directory)))
    return path


def run(recipe, directory, *overrides):
    loaded = load_recipe(recipe, overrides)
    started = create_run(loaded, recipe.read_text(), {}, directory)
    try:
        run_loop(loaded, started)
    finally:
        started.close()
    return [json.loads(line) for line in (directory / "journal.jsonl").read_text().splitlines()]


ASKED = "sampler={use: vllm, temperature: 1.3, top_p: 0.9, max_new_tokens: 8}"


def test_a_run_with_vllm_is_the_run_with_our_own_engine(vllm, recipe, tmp_path):
    """The stand-in draws as our engine does, so every policy must have reached it, whole and in time."""
    theirs = run(recipe, tmp_path / "theirs", ASKED)
    assert theirs == run(recipe, tmp_path / "ours", "sampler.prune=false")
    assert len(theirs) == 3
    for name in ("completions/00002.jsonl", "model/model.safetensors"):
        assert (tmp_path / "theirs" / name).read_bytes() == (tmp_path / "ours" / name).read_bytes(), name
    [engine] = vllm.made
    assert [len(call.prompts) for call in engine.generated] == [20, 18, 18, 18]
    assert engine.asleep


def test_all_weights_cannot_be_handed_over(vllm, recipe, tmp_path):
    with pytest.raises(CollapseError, match=r"trains all its weights; set model\.lora .*use: generate"):
        run(recipe, tmp_path / "run", ASKED, "model.lora=null")
    assert vllm.made == []


@pytest.fixture
def without_vllm(monkeypatch):
    """Nothing of that name is found, whatever is installed."""
    found = importlib.util.find_spec
    monkeypatch.delitem(sys.modules, "vllm", raising=False)
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "vllm" else found(name, *rest)
    )


def test_a_recipe_for_another_machine_is_valid_but_does_not_run_here(without_vllm, recipe, tmp_path):
    assert isinstance(load_recipe(recipe, [ASKED]).sampler, Vllm)
    with pytest.raises(CollapseError) as raised:
        run(recipe, tmp_path / "run", ASKED)
    assert str(raised.value) == (
        "the sampler 'vllm' needs the package 'vllm', which is not installed: pip install "
        "'collapse-unlearning[vllm]', or write 'sampler: {use: generate}', which needs nothing more"
    )


@pytest.mark.parametrize("temperature", [0.001, 2.5])
def test_a_temperature_that_vllm_would_change_or_refuse_is_refused_at_once(recipe, temperature):
    with pytest.raises(CollapseError, match=r"sampler\.temperature: expected at (least 0\.01|most 2)"):
        load_recipe(recipe, [ASKED, f"sampler.temperature={temperature}"])
