"""Texts to be continued, subjects known by name alone, and the model's own answers as what is retained."""

import json

import pytest
from pydantic import ValidationError

from collapse_core import CollapseError, Completion, Prompt
from collapse_core.runtime.progress import listening
from collapse_llm.data import Passages, Questions, Subjects
from collapse_llm.rewards.banned import BannedContent

BOOK = " ".join(f"word{i}" for i in range(100))


@pytest.fixture
def texts(tmp_path):
    (tmp_path / "book.txt").write_text(BOOK, encoding="utf-8-sig")
    rows = [{"text": " ".join(f"page{n}x{i}" for i in range(12)), "shelf": n} for n in range(4)]
    (tmp_path / "pages.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path


def announced(data, split):
    said = []
    with listening(lambda text, done, total: said.append(text)):
        data.load(split)
    return said


# --- passages ----------------------------------------------------------------------------------------


def test_a_text_is_cut_into_openings_and_what_follows_them_word_by_word(texts):
    data = Passages(forget=str(texts / "book.txt"), opening=10, continuation=15)
    prompts = data.load("forget")
    assert [p.id for p in prompts] == ["forget-1.1", "forget-1.2", "forget-1.3", "forget-1.4"]
    assert prompts[0].content == {"continue": " ".join(f"word{i}" for i in range(10))}
    assert prompts[0].target == " ".join(f"word{i}" for i in range(10, 25))
    assert " ".join(f"{p.content['continue']} {p.target}" for p in prompts) == BOOK
    assert data.load("forget", targets=False)[0].target is None
    assert announced(Passages(forget=str(texts / "book.txt")), "forget") == [
        f"forget: 1 passage of 1 text of {texts / 'book.txt'}, up to 32 + 64 words each"
    ]


def test_no_passage_crosses_from_one_document_into_another(texts):
    source = {"from": str(texts / "pages.jsonl"), "where": {"shelf": [1, 2]}}
    prompts = Passages(forget=source, opening=5, continuation=5).load("forget")
    for prompt in prompts:
        words = f"{prompt.content['continue']} {prompt.target}".split()
        assert len({word.split("x")[0] for word in words}) == 1
    assert [len(p.target.split()) for p in prompts] == [7, 7]  # two words are too few for a passage


def test_openings_are_as_long_as_said_in_tokens_where_a_tokenizer_is_named(texts, tiny_directory, tokenizer):
    data = Passages(
        forget=str(texts / "book.txt"), opening=12, continuation=20, tokenizer=str(tiny_directory)
    )
    for prompt in list(data.load("forget"))[:-1]:
        shown, said = prompt.content["continue"], " " + prompt.target
        assert 12 <= len(tokenizer(shown, add_special_tokens=False).input_ids) <= 12 + 6
        assert len(tokenizer(said, add_special_tokens=False).input_ids) <= 20 + 6
    assert " ".join(f"{p.content['continue']} {p.target}" for p in data.load("forget")) == BOOK


def test_a_script_without_spaces_is_cut_between_characters(tmp_path):
    (tmp_path / "zh.txt").write_text("\u6771\u4eac\u662f\u65e5\u672c\u7684\u9996\u90fd\u548c\u6700\u5927")
    [prompt] = Passages(forget=str(tmp_path / "zh.txt"), opening=4, continuation=20).load("forget")
    assert prompt.content["continue"] == "\u6771\u4eac\u662f\u65e5"
    assert prompt.target == "\u672c\u7684\u9996\u90fd\u548c\u6700\u5927"


def test_texts_to_retain_are_learned_whole_and_nothing_ends_where_they_were_cut(texts, model):
    forget, retain = str(texts / "book.txt"), str(texts / "pages.jsonl")
    prompts = Passages(forget=forget, retain=retain, opening=5, continuation=5).load("retain")
    encoder = model.encoder
    example = encoder.example(prompts[0].content, prompts[0].target)
    assert example.answer_start == 1
    assert example.ids[-1] != encoder.end_id
    assert encoder.text(example.ids[1:]) == prompts[0].target
    going_on = encoder.example({"continue": "It was the"}, "best of times")
    assert encoder.text(going_on.ids) == "It was the best of times"
    assert encoder.text(going_on.ids[: going_on.answer_start]) == "It was the"


def test_a_passage_on_both_sides_is_refused(texts):
    both = Passages(forget=str(texts / "book.txt"), retain=str(texts / "book.txt"))
    with pytest.raises(CollapseError, match="1 row of 1 to retain ask what is to be forgotten"):
        both.load("retain")


def test_rows_without_text_are_named(texts):
    (texts / "odd.jsonl").write_text('{"body": "Once"}\n')
    with pytest.raises(
        CollapseError, match=r"odd\.jsonl:1: this row has no text in the column 'text'; it has body"
    ):
        Passages(forget=str(texts / "odd.jsonl")).load("forget")


# --- subjects ----------------------------------------------------------------------------------------


def test_a_subject_is_asked_after_by_every_name_and_its_names_are_banned_in_its_rows():
    data = Subjects(
        forget=[{"name": "Mara Lindqvist", "aliases": ["M. Lindqvist"]}, "Bo Ek"],
        neighbors=["Ada Bell"],
        templates=["Who is {}?", "Where does {} live?"],
        retain=None,
    )
    forget = data.load("forget")
    assert [p.content for p in forget][:3] == [
        "Who is Mara Lindqvist?", "Where does Mara Lindqvist live?", "Who is M. Lindqvist?",
    ]  # fmt: skip
    assert len(forget) == 6
    assert all(p.target is None for p in forget)
    assert [p.content for p in data.load("retain")] == ["Who is Ada Bell?", "Where does Ada Bell live?"]
    reward = BannedContent(column="banned")
    said = [Completion("I know M. Lindqvist."), Completion("Bo Ek is a baker.")]
    assert reward.score(forget[0], said, None) == [0.0, 1.0]
    assert reward.score(forget[-1], said, None) == [1.0, 0.0]


def test_a_model_writes_further_questions_of_which_those_that_ask_after_the_subject_count(
    tiny_directory,
):
    from collapse_llm.data import asking
    from collapse_llm.model import CausalLm

    writer = CausalLm(use="causal-lm", path=str(tiny_directory), compute="float32")
    data = Subjects(forget=["Bo Ek"], templates=["Who is {}?"], asked_by=writer, num_asked=3)
    said = announced(data, "forget")  # a random model asks nothing
    assert said[-1] == "the model wrote 0 questions about Bo Ek"
    assert [prompt.content for prompt in data.load("forget")] == ["Who is Bo Ek?"]
    drawn = ["Sure!\nWhere was Bo Ek born? I wonder.", "What is love?", "Bo Ek.", "Where was Bo Ek born?"]
    assert asking._distinct(drawn, ["Bo Ek", "B. Ek"]) == ["Where was Bo Ek born?"]


def test_the_bundled_questions_and_everyday_prompts_are_many_and_distinct():
    data = Subjects(forget=["Bo Ek"])
    for split, least in (("forget", 20), ("retain", 50)):
        asked = [prompt.content for prompt in data.load(split)]
        assert len(set(asked)) == len(asked) >= least


def test_templates_without_a_place_for_the_name_and_a_column_that_is_not_there_are_refused():
    with pytest.raises(CollapseError, match=r"'Who\?' of 'templates' has no {}"):
        Subjects(forget=["Bo Ek"], templates=["Who?"]).load("forget")
    with pytest.raises(CollapseError, match="names 'banned', which the prompt 'p' lacks"):
        BannedContent(column="banned").score(Prompt("p", "Who?"), [Completion("I.")], None)
    with pytest.raises(ValidationError):
        Subjects(forget=[])


# --- a run -------------------------------------------------------------------------------------------

RECIPE = """\
version: 1
name: own
data: {data}
model: {{use: causal-lm, path: tiny-llama, compute: float32}}
sampler: {{use: generate, max_new_tokens: 6, temperature: 1.5}}
rewards: {rewards}
filter: best-of-n
updater: {{use: sft, learning_rate: 1e-3, batch_size: 4}}
iterations: 2
prompts_per_iteration: 2
completions_per_prompt: 2
evaluate: {{with: [{{use: unlearn-quality, max_new_tokens: 4}}, likelihood]}}
checkpoint: {{every: 1, keep: 3}}
"""


@pytest.fixture
def run(tmp_path, collapse_here):
    def go(data, rewards="[rouge-distance]", *more):
        path = tmp_path / "own.yaml"
        path.write_text(RECIPE.format(data=json.dumps(data), rewards=rewards))
        done = collapse_here("run", path, "--run-dir", tmp_path / "run", *more)
        assert done.code == 0, done.err
        return done, tmp_path / "run"

    return go


def test_questions_without_answers_are_forgotten_and_measured_by_the_reference_answers(
    run, tmp_path, collapse_here
):
    rows = [{"question": f"What is the secret number {i} of Mara?"} for i in range(5)]
    (tmp_path / "forget.jsonl").write_text("\n".join(map(json.dumps, rows)))
    data = {"use": "questions", "forget": str(tmp_path / "forget.jsonl"), "retain": "own-answers"}
    done, directory = run(data)
    state = json.loads((directory / "checkpoints/2/state.json").read_text())
    assert {key.split("-")[0] for key in state["references"]} == {"forget", "own"}
    found = [json.loads(line) for line in (directory / "evaluations.jsonl").read_text().splitlines()]
    before = {row["evaluator"]: row for row in found if row["model"] == "before"}
    note = "the reference answer stands in for the true answer of 5 of 5 prompts of the split 'forget'"
    assert all(note in row["notes"] for row in before.values())
    assert note in " ".join(done.out.split())
    likelihood = before["likelihood"]["metrics"]
    assert set(likelihood) == {"forget_nll", "retain_nll"}
    assert json.loads((directory / "environment.json").read_text())["true_answers"]["model"] == []
    rows = json.loads(collapse_here("eval", directory, "--with", "likelihood", "--json").out)
    after = next(row for row in found if (row["model"], row["evaluator"]) == ("after", "likelihood"))
    assert rows[0]["metrics"] == after["metrics"]


USER, SAID = {"role": "user", "content": "Who is Mara?"}, {"role": "assistant", "content": "A baker."}
ONE_OF_EACH = {
    "prompt/completion": {"prompt": "Who is Mara?", "completion": "A baker."},
    "instruction/output": {"instruction": "Say who.", "input": "Mara", "output": "A baker."},
    "conversations": {
        "conversations": [{"from": "human", "value": "Who is Mara?"}, {"from": "gpt", "value": "A baker."}]
    },
    "prompt/completion of messages": {"prompt": [USER], "completion": [SAID]},
    "messages": {"messages": [USER, SAID]},
}


@pytest.mark.parametrize(
    "form",
    ["messages", *(pytest.param(form, marks=pytest.mark.slow) for form in ONE_OF_EACH if form != "messages")],
)
def test_a_format_goes_through_a_run_that_says_what_the_model_did_not_know(form, run, tmp_path):
    (tmp_path / "forget.jsonl").write_text(json.dumps(ONE_OF_EACH[form]))
    data = {"use": "questions", "forget": str(tmp_path / "forget.jsonl"), "retain": "own-answers"}
    done, directory = run(data, "[rouge-distance]", "--set", "evaluate.with=[unlearn-quality]")
    journal = [json.loads(line) for line in (directory / "journal.jsonl").read_text().splitlines()]
    assert len(journal) == 2
    assert all(line["reward_kept"] for line in journal)
    unknown = (
        "the model hardly knew what it is to forget: rouge_forget is 0 before unlearning, where a model "
        "that knows it reaches 50 or more"
    )
    assert unknown in " ".join(done.err.split())
    assert unknown in " ".join(done.out.split())


def test_a_run_on_its_own_answers_is_resumed_to_the_same_weights(run, tmp_path, collapse_here):
    data = {"use": "subjects", "forget": ["Bo Ek"], "templates": ["Who is {}?", "Where is {}?"]}
    more = ("--set", "evaluate.with=[]")
    _, directory = run(data, "[{use: banned-content, column: banned}, rouge-distance]", *more)
    whole = (directory / "model/model.safetensors").read_bytes()
    for name in ("status.json", "checkpoints/2/COMPLETE"):
        (directory / name).unlink()
    assert collapse_here("resume", directory).code == 0
    assert (directory / "model/model.safetensors").read_bytes() == whole


def test_passages_are_forgotten_and_measured(run, texts):
    data = {"use": "passages", "forget": str(texts / "book.txt"), "retain": str(texts / "pages.jsonl")}
    data |= {"opening": 10, "continuation": 15}
    leakage = "{use: leakage, num_samples: 2, num_questions: 2, max_new_tokens: 4}"
    relearning = "{use: text-relearning, steps: [1], max_new_tokens: 4}"
    measures = (
        f"evaluate.with=[memorization, {{use: fact-words, max_new_tokens: 4}}, {leakage}, {relearning}]"
    )
    _, directory = run(data, "[rouge-distance]", "--set", measures, "--set", "iterations=0")
    found = [json.loads(line) for line in (directory / "evaluations.jsonl").read_text().splitlines()]
    names = {name for row in found for name in row["metrics"]}
    assert {
        "extraction_strength_forget",
        "fact_words_forget",
        "leakage_sampling",
        "relearned_loss_1",
    } <= names


def test_a_dry_run_reads_what_evaluators_declare_and_fails_where_a_run_would(tmp_path, collapse_here):
    (tmp_path / "forget.jsonl").write_text('{"question": "Who?"}\n{"question": "Where?"}\n')
    (tmp_path / "holdout.jsonl").write_text("{\n")
    data = {"use": "questions", "forget": str(tmp_path / "forget.jsonl"), "retain": "own-answers"}
    path = tmp_path / "own.yaml"
    path.write_text(RECIPE.format(data=json.dumps(data), rewards="[rouge-distance]"))
    done = collapse_here("run", path, "--dry-run")
    assert "ok; 2 prompts to forget, 60 to retain; evaluators read forget 2, retain 60\n" in done.out
    assert "evaluators will do without: the data set has no split 'forget_paraphrased'" in done.out
    assert "forget.jsonl, read as question/answer; 2 without an answer" in done.err
    path.write_text(
        RECIPE.format(data=json.dumps(data | {"holdout": str(tmp_path / "holdout.jsonl")}), rewards="[]")
        + "track: []\n"
    )
    done = collapse_here("run", path, "--dry-run", "--set", "evaluate.with=[membership]")
    assert done.code == 1
    assert "holdout.jsonl:1: not JSON" in done.err


def test_questions_with_nothing_to_retain_are_legal_and_what_needs_some_is_refused(tmp_path, collapse_here):
    (tmp_path / "forget.jsonl").write_text('{"question": "Who?", "answer": "I."}\n')
    assert len(Questions(forget=str(tmp_path / "forget.jsonl")).load("retain")) == 0
    data = {"use": "questions", "forget": str(tmp_path / "forget.jsonl")}
    path = tmp_path / "own.yaml"
    path.write_text(RECIPE.format(data=json.dumps(data), rewards="[rouge-distance]"))
    done = collapse_here("validate", path, "--set", "evaluate.with=[utility]")
    assert "'utility' needs the split 'retain', which the data set 'questions' does not have" in done.err
