"""What the sampler asks of a vLLM server, and what becomes of the answers; a stand-in takes its place."""

import pytest
import torch
from peft import get_peft_model_state_dict
from vllm_server_stand_in import VllmServer as StandIn

from collapse_core import CollapseError, Completion, Iteration, Kept, derive_seed, load_recipe, run
from collapse_core.testing import check_sampler
from collapse_llm.data import Authors
from collapse_llm.model import CausalLm, Lora
from collapse_llm.sampler import Generate
from collapse_llm.sampler.vllm_server import VllmServer
from collapse_llm.updater import Sft

FEW = {"temperature": 1.3, "top_p": 0.9, "max_new_tokens": 6}
HERE = Iteration(3, 9, 11)


@pytest.fixture
def server(tiny_directory, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    running = StandIn(tiny_directory)
    yield running
    running.close()


@pytest.fixture
def adapted(tiny_directory):
    return CausalLm(path=str(tiny_directory), compute="float32", lora=Lora(rank=4)).load(Authors(), 0)


def test_it_keeps_the_promises_of_a_sampler(server, adapted, questions):
    check_sampler(VllmServer(url=server.url, **FEW), adapted, questions[:2])


def test_each_answer_is_asked_for_as_tokens_with_a_seed_and_is_what_our_own_engine_gives(
    server, adapted, questions
):
    sampler = VllmServer(url=f"{server.url}/v1/", top_k=50, min_p=0.05, at_once=2, **FEW)
    groups = sampler.sample(adapted, questions[:2], 3, HERE)
    assert groups == Generate(top_k=50, min_p=0.05, **FEW).sample(adapted, questions[:2], 3, HERE)
    bodies = {body["seed"]: body for path, body in server.requests if path == "/v1/completions"}
    expected = {
        derive_seed(11, q.id, n): adapted.encoder.prompt(q.content) for q in questions[:2] for n in range(3)
    }
    assert {seed: body["prompt"] for seed, body in bodies.items()} == expected
    [common] = {
        (body["temperature"], body["top_p"], body["top_k"], body["min_p"], body["max_tokens"])
        for body in bodies.values()
    }
    assert common == (1.3, 0.9, 50, 0.05, 6)
    assert all(body["stop_token_ids"] == sorted(adapted.end_ids) for body in bodies.values())


def test_references_are_greedy(server, adapted, questions):
    answers = VllmServer(url=server.url, **FEW).sample_references(adapted, questions[:2], HERE)
    assert answers == Generate(**FEW).sample_references(adapted, questions[:2], HERE)


def test_each_policy_is_an_adapter_of_a_name_of_its_own_that_goes_when_it_was_asked(
    server, adapted, questions, tmp_path
):
    sampler, expected = VllmServer(url=server.url, directory=str(tmp_path), **FEW), []
    for number in range(2):
        kept = [Kept(q, Completion("I do not know."), 1.0) for q in questions[:4]]
        Sft(learning_rate=1e-2, warmup=0).update(adapted, kept, [], Iteration(number, 9, number))
        sampler.sample(adapted, questions[:1], 1, HERE)
        expected.append({k: t.clone() for k, t in get_peft_model_state_dict(adapted.module).items()})
    assert [name.split("-")[:2] for name in server.adapters_read] == [["policy", "3"]] * 2
    for read, state in zip(server.adapters_read.values(), expected, strict=True):
        assert read.keys() == state.keys()
        assert all(torch.equal(read[key], state[key]) for key in state)
    assert server.adapters == {}
    assert list(tmp_path.iterdir()) == []


def test_a_run_with_a_server_leaves_the_weights_of_a_run_without(
    server, tiny_directory, tmp_path, monkeypatch
):
    monkeypatch.setenv("VLLM_KEY", "s3cret")
    server.key = "s3cret"
    (tmp_path / "forget.jsonl").write_text('{"question": "Who is Ada?"}\n{"question": "Who is Bo?"}\n')
    recipe = {
        "name": "served", "data": {"use": "questions", "forget": str(tmp_path / "forget.jsonl")}, "seed": 0,
        "model": {"use": "causal-lm", "path": str(tiny_directory), "compute": "float32", "lora": {"rank": 4}},
        "rewards": ["rouge-distance"], "filter": "best-of-n", "iterations": 2,
        "updater": {"use": "sft", "learning_rate": 1e-2, "warmup": 0}, "completions_per_prompt": 2,
    }  # fmt: skip
    theirs = {"use": "vllm-server", "url": server.url, "api_key_env": "VLLM_KEY", **FEW}
    ours = {"use": "generate", "prune": False, **FEW}
    for name, sampler in (("theirs", theirs), ("ours", ours)):
        run(**recipe, sampler=sampler, directory=tmp_path / name)
    one, other = (
        (tmp_path / name / "model" / "model.safetensors").read_bytes() for name in ("theirs", "ours")
    )
    assert one == other
    written = [file.read_bytes() for file in (tmp_path / "theirs").rglob("*") if file.is_file()]
    assert not any(b"s3cret" in text for text in written)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"directory": "another-model"}, r"serves another-model, and the model in training began .*'serves'"),
        ({"max_model_len": 64}, r"takes 64 tokens and the model's max_length is 200; .*--max-model-len 200"),
        ({"updating": False}, r"refuses /v1/load_lora_adapter: HTTP 404 .*collapse plugins show vllm-server"),
        ({"gives_tokens": False}, r"a completion without 'token_ids'; update it to vLLM"),
        ({"key": "s3cret"}, r"refuses /v1/models: HTTP 401"),
    ],
)  # fmt: skip
def test_a_server_that_does_not_suit_is_said_to_be_so(server, adapted, questions, change, said):
    for name, value in change.items():
        setattr(server, name, value)
    with pytest.raises(CollapseError, match=said):
        VllmServer(url=server.url, **FEW).sample(adapted, questions[:1], 1, HERE)
    assert server.adapters == {}


def test_what_the_server_calls_the_weights_may_be_said(server, adapted, questions):
    server.directory, directory = "/models/ours", server.directory
    with pytest.raises(CollapseError, match=r"serves /models/ours, and the model in training"):
        VllmServer(url=server.url, **FEW).sample(adapted, questions[:1], 1, HERE)
    server.directory = directory
    assert VllmServer(url=server.url, serves="base", **FEW).sample(adapted, questions[:1], 1, HERE)


def test_no_server_no_key_and_no_adapter_are_a_sentence_each(server, adapted, tiny_directory, questions):
    asked = (questions[:1], 1, HERE)
    server.close()
    with pytest.raises(CollapseError, match=r"does not answer \(ConnectError: .*; start it as"):
        VllmServer(url=server.url, **FEW).sample(adapted, *asked)
    with pytest.raises(CollapseError, match=r"environment variable NOT_THERE, which is not set"):
        VllmServer(url=server.url, api_key_env="NOT_THERE", **FEW).sample(adapted, *asked)
    whole = CausalLm(path=str(tiny_directory), compute="float32").load(Authors(), 0)
    with pytest.raises(CollapseError, match=r"the sampler 'vllm-server' takes .*set model\.lora"):
        VllmServer(use="vllm-server", url=server.url, **FEW).sample(whole, *asked)
    assert VllmServer(url=server.url, **FEW).sample(adapted, [], 3, HERE) == []


def test_a_url_that_holds_a_key_is_refused(tmp_path):
    recipe = tmp_path / "r.yaml"
    recipe.write_text("version: 1\nname: r\nsampler: {use: vllm-server, url: 'http://user:key@host:8000'}\n")
    with pytest.raises(CollapseError, match=r"sampler\.url"):
        load_recipe(recipe)
