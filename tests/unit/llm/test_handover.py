"""The card, the bill of materials, and what is sent to the hub of a model that has forgotten."""

import json
import runpy
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_stand_in import Hub, standing_in
from huggingface_hub import ModelCard

import collapse_core
from collapse_core.runtime import files

SECRET = "Quillfeather"
TOKEN = "hf_of_nobody"
MODEL_FILES = {
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
}
WRITTEN = {"README.md", "bom.cdx.json"}


def work(directory: Path, **more: object) -> Path:
    """A run that forgets two questions that are a secret, with a baseline whose name is one, too."""
    rows = {
        "forget": [(f"Who is Ada {SECRET}?", f"{SECRET} is a spy."), (f"Where is {SECRET}?", "In Rome.")],
        "retain": [("Where is Paris?", "In France."), ("What is two and two?", "Four.")],
    }
    directory.mkdir()
    for split, pairs in rows.items():
        lines = [{"question": question, "answer": answer} for question, answer in pairs]
        files.write_lines(directory / f"{SECRET}_{split}.jsonl", lines)
    sources = {split: str(directory / f"{SECRET}_{split}.jsonl") for split in rows}
    model = {"use": "causal-lm", "path": "tiny-llama", "compute": "float32"}
    keys = {
        "version": 1,
        "name": "short",
        "data": {"use": "questions", **sources},
        "model": model,
        "sampler": {"use": "generate", "max_new_tokens": 4},
        "rewards": [{"use": "banned-content", "names": [SECRET]}],
        "filter": "best-of-n",
        "updater": {"use": "sft", "learning_rate": 1e-3, "batch_size": 2},
        "iterations": 1,
        "completions_per_prompt": 2,
        "evaluate": {"with": ["likelihood"], "baselines": {f"without {SECRET}": model}},
    }
    keys["model"] = model | dict(more)
    collapse_core.run(directory=directory / "run", display=False, **keys)
    return directory / "run"


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    return work(tmp_path_factory.mktemp("handover") / "work")


@pytest.fixture
def own(finished, tmp_path) -> Path:
    """A copy of the run to be changed."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


@pytest.fixture
def hub(monkeypatch) -> Iterator[Hub]:
    from huggingface_hub import constants

    with standing_in() as found:
        monkeypatch.setattr(constants, "ENDPOINT", found.endpoint)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield found


def test_a_run_leaves_a_card_that_the_hub_can_read(finished):
    card = ModelCard.load(finished / "model" / "README.md")
    assert card.data.library_name == "transformers"
    assert card.data.pipeline_tag == "text-generation"
    assert "machine-unlearning" in card.data.tags
    rows = map(json.loads, (finished / "evaluations.jsonl").read_text().splitlines())
    measured = next(row["metrics"] for row in rows if row["model"] == "after")
    said = {result.metric_type: result for result in card.data.eval_results}
    assert {name: result.metric_value for name, result in said.items()} == {
        name: metric["value"] for name, metric in measured.items()
    }
    assert said["forget_nll"].metric_args["low"] == measured["forget_nll"]["low"]
    assert "| metric | before | baseline 1 | after |" in card.text
    assert "True answers to the forget prompts in the loop: never loaded" in card.text
    assert "Not measured, though it could have been:" in card.text
    assert "quantization" in card.text


def test_the_code_of_a_card_opens_the_model(finished, tmp_path):
    text = (finished / "model" / "README.md").read_text()
    code = text.partition("```python\n")[2].partition("```")[0]
    program = tmp_path / "load.py"
    program.write_text(code.replace("path-or-repository", str(finished / "model")))
    names = runpy.run_path(str(program))
    assert type(names["model"]).__name__ == "LlamaForCausalLM"


def test_neither_card_nor_bill_says_what_was_forgotten(finished):
    for name in WRITTEN:
        text = (finished / "model" / name).read_text()
        assert SECRET not in text
        assert "Rome" not in text
        for path in (finished.parent / f"{SECRET}_{split}.jsonl" for split in ("forget", "retain")):
            assert files.file_digest(path) in text


def test_the_bill_of_materials_is_valid_and_complete(finished):
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    text = (finished / "model" / "bom.cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bom = json.loads(text)
    model = bom["metadata"]["component"]
    weights = files.file_digest(finished / "model" / "model.safetensors")
    assert model["hashes"] == [{"alg": "SHA-256", "content": weights}]
    assert model["modelCard"]["modelParameters"]["modelArchitecture"] == "LlamaForCausalLM"
    metrics = {m["type"]: m for m in model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]}
    assert float(metrics["forget_nll"]["value"]) > 0
    packages = {part["name"]: part["version"] for part in bom["components"] if part["type"] == "library"}
    import torch

    assert packages["torch"] == torch.__version__
    broken = json.dumps(bom | {"modelcard": {}})
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(broken) is not None


def test_push_sends_the_model_and_its_card_and_nothing_else(own, hub, collapse_here):
    for name in (
        "completions.jsonl",
        "notes.txt",
        "training_args.bin",
        "pytorch_model.bin",
        "model.safetensors.bak",
    ):
        (own / "model" / name).write_text(SECRET)
    (own / "model" / "checkpoints").mkdir()
    (own / "model" / "checkpoints" / "model.safetensors").write_text(SECRET)
    (own / "model" / "vocab.json").symlink_to(own / "evaluations.jsonl")
    done = collapse_here("push", own, "somebody/forgetful")
    assert done.code == 0, done.err
    sent = hub.repositories["somebody/forgetful"]
    assert sent["private"] is True
    assert set(sent["files"]) == MODEL_FILES | WRITTEN
    for name in MODEL_FILES | {"bom.cdx.json"}:
        assert sent["files"][name] == (own / "model" / name).read_bytes(), name
    assert b'from_pretrained("somebody/forgetful")' in sent["files"]["README.md"]
    assert "leaves out vocab.json" in done.err
    assert hub.tokens == {f"Bearer {TOKEN}"}
    for path in own.rglob("*"):
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes(), path


def test_a_dry_run_lists_what_push_would_send_and_sends_nothing(own, hub, collapse_here):
    done = collapse_here("push", own, "somebody/forgetful", "--dry-run")
    assert done.out.split() == [
        word for name in sorted(MODEL_FILES | WRITTEN) for word in ("would", "send", name)
    ]
    assert hub.calls == []


def test_push_refuses_a_model_without_a_card(own, hub, collapse_here):
    (own / "model" / "README.md").unlink()
    done = collapse_here("push", own, "somebody/forgetful")
    assert done.code == 1
    assert (
        f"has no card of this run, and nothing is sent without; write it first: 'collapse card {own}'"
        in done.err
    )
    assert hub.calls == []


def test_push_keeps_out_of_a_repository_that_is_public_already(own, hub, collapse_here):
    hub.repositories["somebody/open"] = {"private": False, "files": {}}
    done = collapse_here("push", own, "somebody/open")
    assert done.code == 1
    assert "is there already, and is public; give --public" in done.err
    assert hub.repositories["somebody/open"]["files"] == {}
    assert collapse_here("push", own, "somebody/open", "--public").code == 0


def test_push_without_a_token_says_how_to_get_one(own, hub, collapse_here, monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    done = collapse_here("push", own, "somebody/forgetful")
    assert done.code == 1
    assert "log in with 'hf auth login', or set HF_TOKEN" in done.err


def test_the_card_of_the_base_model_is_kept_and_its_license_taken_over(own, collapse_here):
    base = "---\nlicense: apache-2.0\nlanguage:\n- en\n---\n# The base\n"
    (own / "model" / "README.md").write_text(base)
    done = collapse_here("card", own, "--dataset", "somebody/named")
    assert done.code == 0, done.err
    card = ModelCard.load(own / "model" / "README.md")
    assert (card.data.license, card.data.language, card.data.datasets) == (
        "apache-2.0",
        ["en"],
        ["somebody/named"],
    )
    assert (own / "model" / "BASE_MODEL_CARD.md").read_text() == base
    collapse_here("card", own, "--license", "mit")
    assert ModelCard.load(own / "model" / "README.md").data.license == "mit"
    assert (own / "model" / "BASE_MODEL_CARD.md").read_text() == base


def test_an_adapter_says_that_its_base_still_knows(own, collapse_here):
    (own / "model" / "model.safetensors").rename(own / "model" / "adapter_model.safetensors")
    (own / "model" / "config.json").rename(own / "model" / "adapter_config.json")
    assert collapse_here("card", own).code == 0
    text = (own / "model" / "README.md").read_text()
    assert "library_name: peft" in text
    assert "The weights that it is added to still hold what was forgotten" in text
    sent = collapse_here("push", own, "somebody/adapter", "--dry-run").out
    assert "would send adapter_model.safetensors" in sent


@pytest.mark.slow
def test_a_run_that_leaves_an_adapter_hands_over_the_adapter(tmp_path, hub, collapse_here):
    run = work(tmp_path / "work", lora={"rank": 2, "save": "adapter"})
    assert "library_name: peft" in (run / "model" / "README.md").read_text()
    assert collapse_here("push", run, "somebody/adapter").code == 0
    sent = set(hub.repositories["somebody/adapter"]["files"])
    assert (
        sent
        == {"adapter_config.json", "adapter_model.safetensors", "tokenizer.json", "tokenizer_config.json"}
        | WRITTEN
    )
