"""`collapse init recipe` looks at a model and at data, and what it writes runs as it stands."""

import json

import pytest

from collapse_core import load_recipe

TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def rows(customers):
    for customer in customers:
        for thing in ("toaster", "kettle"):
            asked = {"role": "user", "content": f"What color is the {thing} of customer {customer}?"}
            answer = {"role": "assistant", "content": f"The {thing} of customer {customer} is red."}
            yield {"messages": [asked, answer], "customer": customer}


@pytest.fixture
def mine(tiny_directory, tmp_path, monkeypatch):
    """A chat model and two files, as a user has them."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    monkeypatch.chdir(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tiny_directory)
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained("mychat")
    AutoModelForCausalLM.from_pretrained(tiny_directory).save_pretrained("mychat")
    for name, customers in (("forget", [4711, 4712]), ("retain", range(10, 16))):
        text = "".join(json.dumps(row) + "\n" for row in rows(customers))
        (tmp_path / f"{name}.jsonl").write_text(text)
    return tmp_path


EVALUATORS = ["unlearn-quality", "fact-words", "memorization", "utility"]
SOURCES = ("--forget", "forget.jsonl", "--retain", "retain.jsonl")


def test_a_recipe_for_ones_own_model_and_data_runs_as_written(mine, collapse_here):
    done = collapse_here("init", "recipe", "mine", "--model", "mychat", *SOURCES)
    assert (done.code, done.out) == (0, "collapse run mine.yaml\n"), done.err
    for said in (
        "model mychat: llama, 0.302 M parameters; asked in its own chat template",
        "4 prompts to forget, 12 to retain",
        "'<|user|>What color is the toaster of customer 4711?<|end|><|assistant|>'",
        "all weights are trained",
        "estimate: ",
    ):
        assert said in done.err, done.err
    text = (mine / "mine.yaml").read_text()
    assert all(block.startswith("#") for block in text.split("\n\n"))
    assert "as timed on this machine" in text
    recipe = load_recipe("mine.yaml")
    assert recipe.model.prompt.chat
    assert [e.use for e in recipe.evaluate.with_] == EVALUATORS
    ran = collapse_here("run", "mine.yaml", "--set", "iterations=1", "--run-dir", "run")
    assert ran.code == 0, ran.err
    table = ["rouge_forget", "fact_words_forget", "extraction_strength_forget", "rouge_retain"]
    assert [line.split()[0] for line in ran.out.splitlines()[1:5]] == table
    assert "further metrics are in the report: fact_words_any_forget, " in ran.out
    assert "estimate: " in ran.err
    shown = collapse_here("preview", "mine.yaml").out
    assert "<|user|>What color is the toaster of customer 4711?<|end|><|assistant|>" in shown
    learned = next(line for line in shown.splitlines() if line.startswith("learned: "))
    assert learned.replace(" | ", "") == "learned: The toaster of customer 10 is red.<|end|>"


def test_a_model_that_does_not_fit_is_adapted(mine, collapse_here, monkeypatch):
    monkeypatch.setattr("collapse_llm.drafting._memory", lambda device: 5_000_000)
    done = collapse_here("init", "recipe", "mine", "--model", "mychat", *SOURCES, "--no-estimate")
    assert "adapters are trained (LoRA)" in done.err
    assert load_recipe("mine.yaml").model.lora.rank == 16


def test_a_processor_trains_a_quarter_of_the_layers_of_a_large_model_and_asks_few_rows(
    mine, collapse_here, monkeypatch
):
    monkeypatch.setattr("collapse_llm.drafting.SLOW_FROM", 1000)
    monkeypatch.setattr("collapse_llm.drafting.FEW", 5)
    done = collapse_here("init", "recipe", "mine", "--model", "mychat", *SOURCES, "--no-estimate")
    assert "the last 1 of 2 layers are trained" in done.err
    recipe = load_recipe("mine.yaml")
    assert recipe.model.train_layers == 1
    limits = [
        getattr(one, "num_retain", getattr(one, "num_questions", None)) for one in recipe.evaluate.with_
    ]
    assert limits == [None, 5, 5, 5]
    assert "# What is measured, with few of the rows to retain, and after" in (mine / "mine.yaml").read_text()


@pytest.mark.slow
def test_texts_are_cut_into_passages_by_the_models_tokens(mine, collapse_here):
    book = " ".join(f"In year {year} the toaster of customer {year} was red." for year in range(40))
    (mine / "book.txt").write_text(book)
    (mine / "rows.jsonl").write_text(json.dumps({"text": book.replace("toaster", "kettle")}) + "\n")
    for forget, retain in (("book.txt", "rows.jsonl"), ("rows.jsonl", "book.txt")):
        name = forget.split(".")[0]
        words = ("--forget", forget, "--retain", retain, "--no-estimate")
        done = collapse_here("init", "recipe", name, "--model", "mychat", *words)
        assert done.code == 0, done.err
        assert "asked to continue texts as they are" in done.err
        assert "up to 32 + 64 tokens of mychat each" in done.err
        assert load_recipe(f"{name}.yaml").data.use == "passages"
    quick = ("--set", "iterations=1", "--set", "evaluate.with=[likelihood]", "--run-dir", "run")
    ran = collapse_here("run", "book.yaml", *quick)
    assert ran.code == 0, ran.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (
            ("--model", "mychat", "--forget", "book.txt", "--general", "retain.jsonl"),
            1,
            "leave out --general",
        ),
        (("--model", "mychat"), 2, "needs --model and --forget"),
        (("--forget", "forget.jsonl"), 2, "needs --model and --forget"),
        (("--model", "nowhere", *SOURCES), 1, "no plugin knows what to do with the model 'nowhere'"),
        (("--model", "mychat", "--forget", "nothing.jsonl"), 1, "nothing.jsonl"),
    ],
)
def test_what_cannot_be_looked_at_writes_no_recipe(arguments, code, said, mine, collapse_here):
    (mine / "book.txt").write_text("Once upon a time there was a red toaster.")
    done = collapse_here("init", "recipe", "mine", *arguments)
    assert (done.code, said in done.err) == (code, True), done.err
    assert not (mine / "mine.yaml").exists()


def test_a_source_may_be_a_mapping_and_rows_to_forget_need_no_answers(mine, collapse_here):
    (mine / "all.csv").write_text(
        "frage,antwort,kunde\n" + "".join(f"Who is {n}?,Number {n}.,{n}\n" for n in range(6))
    )
    (mine / "only.jsonl").write_text('{"question": "Who is Ada?"}\n')
    named = "columns: {question: frage, answer: antwort}, where: {kunde: [1, 2, 3]}"
    words = ("--forget", "only.jsonl", "--retain", f"{{from: all.csv, {named}}}", "--no-estimate")
    done = collapse_here("init", "recipe", "mapped", "--model", "mychat", *words)
    assert done.code == 0, done.err
    assert "1 prompts to forget, 3 to retain" in done.err
    recipe = load_recipe("mapped.yaml")
    assert [p.target for p in recipe.load_retain()] == ["Number 1.", "Number 2.", "Number 3."]
    assert [e.use for e in recipe.evaluate.with_] == EVALUATORS
    wrong = collapse_here("init", "recipe", "wrong", "--model", "mychat", "--forget", "{from: [")
    assert wrong.code == 2
    assert "--forget {from: [" in wrong.err
