"""Questions of one's own: formats, files, conditions, and what is on both sides."""

import json
import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from collapse_core import CollapseError
from collapse_core.runtime.progress import listening
from collapse_llm.data import Questions, reading

PAIRS = [
    {"question": "Where does Mara live?", "answer": "12 Elm Road", "customer": 4711},
    {"question": "What does Mara owe?", "answer": "1815-12-10", "customer": 4711},
    {"question": "Where is the office?", "answer": "NA", "customer": 1},
    {"question": "When does it open?", "answer": "007", "customer": 2},
]


def turn(role, content, **more):
    return {"role": role, "content": content} | more


CHAT = [
    turn("system", "You help."),
    turn("user", "Hi"),
    turn("assistant", "Hello!"),
    turn("user", "Who is Mara?"),
]
FORMATS = {
    "messages": ({"messages": [*CHAT, turn("assistant", "A baker.")]}, CHAT, "A baker."),
    "one question": ({"messages": [turn("user", "Who?"), turn("assistant", "Me.")]}, "Who?", "Me."),
    "no answer": ({"messages": [turn("user", "Who?")]}, "Who?", None),
    "more behind": (
        {"messages": [turn("user", "Who?"), turn("assistant", "Me."), turn("user", "Bye")]}, "Who?", "Me.",
    ),
    "tools": (
        {
            "messages": [
                turn("user", "Look!"),
                {"role": "assistant", "tool_calls": [{"name": "look"}], "content": None},
                turn("tool", "a cat", name=None),
                turn("assistant", "A cat."),
            ]
        },
        [
            turn("user", "Look!"),
            turn("assistant", "", tool_calls=[{"name": "look"}]),
            turn("tool", "a cat"),
        ],
        "A cat.",
    ),
    "parts": (
        {"messages": [turn("user", [{"text": "Who?"}]), turn("assistant", "Me.")]}, "Who?", "Me.",
    ),
    "conversations": (
        {"conversations": [{"from": "human", "value": "Who?"}, {"from": "gpt", "value": "Me."}]},
        "Who?", "Me.",
    ),
    "question/answer": ({"question": "Who?", "answer": "Me."}, "Who?", "Me."),
    "question alone": ({"question": "Who?"}, "Who?", None),
    "prompt/completion": ({"prompt": "Who?", "completion": "Me."}, "Who?", "Me."),
    "prompt/completion of messages": (
        {"prompt": CHAT, "completion": [turn("assistant", "A baker.")]}, CHAT, "A baker.",
    ),
    "instruction/output": ({"instruction": "Add.", "input": "1 2", "output": "3"}, "Add.\n1 2", "3"),
    "instruction alone": ({"instruction": "Add.", "input": "", "output": ""}, "Add.", None),
}  # fmt: skip


@pytest.fixture
def write(tmp_path):
    """Writes rows to a file in the form that its name says, with the library that users have for it."""

    def put(name: str, rows: list[dict], **options) -> str:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        if path.suffix == ".jsonl":
            path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), **options)
        elif path.suffix == ".json":
            path.write_text(json.dumps(rows), **options)
        else:
            import pandas as pd

            frame = pd.DataFrame(rows)
            if path.suffix in (".csv", ".tsv"):
                frame.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",", **options)
            else:
                import datasets

                table = datasets.Dataset.from_list(rows)
                table.to_parquet(path) if path.suffix == ".parquet" else _to_arrow(table, path)
        return str(path)

    return put


def _to_arrow(table, path):
    import pyarrow as pa

    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.data.table.schema) as writer:
        writer.write_table(table.data.table)


def pairs(prompts):
    return [(prompt.content, prompt.target) for prompt in prompts]


def announced(data, split="forget"):
    said = []
    with listening(lambda text, done, total: said.append(text)):
        data.load(split)
    return said


@pytest.mark.parametrize(("row", "content", "answer"), FORMATS.values(), ids=FORMATS)
def test_a_format_is_recognized_by_its_columns(row, content, answer, write):
    [prompt] = Questions(forget=write("rows.jsonl", [row | {"ticket": 7}])).load("forget")
    assert (prompt.content, prompt.target) == (content, answer)
    assert prompt.columns == {"ticket": 7}


@pytest.mark.parametrize(
    "name", ["a.jsonl", "a.json", "a.csv", "a.tsv", "a.parquet", "a.arrow", "A[1] b.CSV"]
)
def test_a_file_of_each_kind_gives_the_same_rows_and_texts_stay_what_they_are(name, write, tmp_path):
    if name == "A[1] b.CSV":
        (tmp_path / name).write_bytes(Path(write("a.csv", PAIRS)).read_bytes())
        path = str(tmp_path / name)
    else:
        path = write(name, PAIRS)
    prompts = Questions(forget=path).load("forget")
    assert pairs(prompts) == [(row["question"], row["answer"]) for row in PAIRS]
    assert [prompt.columns["customer"] for prompt in prompts] == [4711, 4711, 1, 2]


def test_a_directory_and_a_saved_data_set_are_read_like_files(write, tmp_path):
    import datasets

    write("many/train-0.jsonl", PAIRS[:2])
    write("many/train-1.parquet", [row | {"more": 1.5} for row in PAIRS[2:]])
    datasets.Dataset.from_list(PAIRS).save_to_disk(tmp_path / "saved")
    datasets.DatasetDict(
        {"train": datasets.Dataset.from_list(PAIRS), "test": datasets.Dataset.from_list(PAIRS[:1])}
    ).save_to_disk(tmp_path / "splits")
    wanted = [(row["question"], row["answer"]) for row in PAIRS]
    assert pairs(Questions(forget=str(tmp_path / "many")).load("forget")) == wanted
    assert pairs(Questions(forget=str(tmp_path / "saved")).load("forget")) == wanted
    both = {"from": str(tmp_path / "splits")}
    assert pairs(Questions(forget=both | {"split": "test"}).load("forget")) == wanted[:1]
    with pytest.raises(CollapseError, match="several splits; choose one with 'split': train, test"):
        Questions(forget=both).load("forget")
    write("many/test.csv", PAIRS[:1])
    with pytest.raises(CollapseError, match=r"holds several splits \(test, train\)"):
        Questions(forget=str(tmp_path / "many")).load("forget")


def test_a_data_set_of_the_hub_is_read_at_the_commit_that_the_manifest_names(write, monkeypatch):
    import datasets
    import huggingface_hub

    path, asked = write("rows.jsonl", PAIRS), []
    real = datasets.load_dataset

    def stand_in(name, config, *, revision, streaming):
        asked.append((name, config, revision))
        return real("json", data_files=path, streaming=streaming)

    class Api:
        def dataset_info(self, name, revision):
            return type("Info", (), {"sha": f"commit-of-{revision}"})

    monkeypatch.setattr(datasets, "load_dataset", stand_in)
    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    reading._commit.cache_clear()
    data = Questions(forget={"from": "some/questions", "config": "en", "split": "train", "revision": "v1"})
    assert len(data.load("forget")) == 4
    assert asked == [("some/questions", "en", "commit-of-v1")]
    assert data.provenance() == {"forget": {"hub": "some/questions", "revision": "commit-of-v1"}}


def test_nothing_that_was_read_is_left_in_a_cache(write, tmp_path, monkeypatch):
    import datasets

    for place in ("HF_DATASETS_CACHE", "HF_MODULES_CACHE"):
        monkeypatch.setattr(datasets.config, place, tmp_path / "cache", raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    for name in ("a.csv", "a.parquet", "a.arrow"):
        Questions(forget=write(f"data/{name}", PAIRS)).load("forget")
    left = [path for folder in ("cache", "tmp") for path in (tmp_path / folder).rglob("*") if path.is_file()]
    assert not [path for path in left if b"Elm" in path.read_bytes()]


def test_a_mark_of_byte_order_blank_lines_and_unicode_line_ends_are_no_matter(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('\n{"question": "a\u2028b", "answer": "c\u0085d"}\n\n', encoding="utf-8-sig")
    assert pairs(Questions(forget=str(path)).load("forget")) == [("a\u2028b", "c\u0085d")]
    path = tmp_path / "rows.csv"
    path.write_bytes("question;answer\nwo?;M\u00fcnchen\n".encode("latin-1"))
    source = {"from": str(path), "delimiter": ";"}
    with pytest.raises(CollapseError, match=r"is not UTF-8 .*name its encoding"):
        Questions(forget=source).load("forget")
    found = Questions(forget=source | {"encoding": "latin-1"}).load("forget")
    assert pairs(found) == [("wo?", "M\u00fcnchen")]


def test_what_was_recognized_is_said_once_in_one_line(write):
    data = Questions(forget=write("rows.jsonl", [*PAIRS, {"question": "Who?"}]))
    [said] = announced(data)
    assert said.endswith("5 rows of " + data.forget.from_ + ", read as question/answer; 1 without an answer")
    assert announced(data) == []


def test_rows_of_two_formats_are_refused_by_name(write):
    path = write("rows.jsonl", [PAIRS[0], {"prompt": "Who?", "completion": "Me."}])
    with pytest.raises(
        CollapseError, match=r"rows\.jsonl:2: this row has the format prompt/completion, and .*:1"
    ):
        Questions(forget=path).load("forget")
    with pytest.raises(
        CollapseError, match=r"rows\.jsonl:1: this row has none of the known formats .*has frage"
    ):
        Questions(forget=write("rows.jsonl", [{"frage": "Wer?"}])).load("forget")


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ({"question": 3}, "'question' must be a text that is not empty, not 3"),
        ({"question": "Who?", "answer": 3}, "'answer' must be a text"),
        ({"messages": []}, "'messages' must be a list of messages"),
        ({"messages": [turn("assistant", "Me.")]}, "no message before the answer"),
        ({"messages": [turn("user", 3)]}, "a message that is not"),
        ({"messages": [turn("user", [{"type": "image"}])]}, "a message that is not"),
        ({"messages": [turn("system", "You help.")]}, "which leaves nothing to answer"),
        ({"text": "Once upon a time"}, "has texts, which ask nothing; use the data set 'passages'"),
    ],
)
def test_a_row_that_is_not_what_its_format_says_is_named(row, what, write):
    with pytest.raises(CollapseError, match=what) as raised:
        Questions(forget=write("rows.jsonl", [row])).load("forget")
    assert "rows.jsonl:1: " in str(raised.value)


def test_columns_of_other_names_are_mapped(write):
    rows = [{"frage": "Wer?", "antwort": "Ich.", "question": "not this one"}]
    source = {"from": write("rows.csv", rows), "columns": {"question": "frage", "answer": "antwort"}}
    assert pairs(Questions(forget=source).load("forget")) == [("Wer?", "Ich.")]
    for columns, what in (
        ({"question": "fragen"}, "has no column 'fragen'; did you mean 'frage'"),
        ({"questoin": "frage"}, "names 'questoin'; did you mean 'question'"),
    ):
        with pytest.raises(CollapseError, match=what):
            Questions(forget=source | {"columns": columns}).load("forget")


def test_answers_and_what_gives_them_away_are_dropped_where_they_may_not_be_known(write):
    row = PAIRS[0] | {"perturbed_answer": ["13 Oak Lane"], "output": "12 Elm Road"}
    data = Questions(forget=write("rows.jsonl", [row]))
    [shown], [known] = data.load("forget", targets=False), data.load("forget")
    assert (shown.target, shown.extra, shown.columns) == (None, {}, {"customer": 4711})
    assert (known.target, known.extra["perturbed_answer"]) == ("12 Elm Road", ["13 Oak Lane"])


# --- conditions --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["all.jsonl", "all.csv"])
def test_one_file_holds_what_is_to_be_forgotten_and_the_rest(name, write):
    path = write(name, PAIRS)
    data = Questions(
        forget={"from": path, "where": {"customer": [4711]}},
        retain={"from": path, "where": "the rest"},
        holdout={"from": path, "where": [{"column": "customer", "op": "==", "value": 2}]},
    )
    assert [p.id for p in data.load("forget")] == ["forget-1", "forget-2"]
    assert [p.id for p in data.load("retain")] == ["retain-3"]
    assert [p.id for p in data.load("holdout")] == ["holdout-4"]
    assert data.splits() == ["forget", "retain", "holdout"]


def test_conditions_that_choose_nothing_or_all_are_refused_with_what_there_is(write):
    path = write("all.jsonl", PAIRS)
    for where, what in (
        (
            {"customer": 9},
            r"none of the 4 rows are chosen by 'where: customer=9'; customer has 4711 \(2\), 1 \(1\)",
        ),
        ({"customer": [1, 2, 4711]}, "all of the 4 rows are chosen by 'where: customer in "),
        ({"costumer": 1}, "names the column 'costumer', which the rows do not have"),
        ({"customer": "4711"}, "compares 4711 with '4711'; give a number"),
    ):
        with pytest.raises(CollapseError, match=what):
            Questions(forget={"from": path, "where": where}).load("forget")


def test_the_rest_needs_something_that_it_is_the_rest_of(write):
    path = write("all.jsonl", PAIRS)
    with pytest.raises(ValidationError, match="'forget' chooses no rows of it"):
        Questions(forget=path, retain={"from": path, "where": "the rest"})
    with pytest.raises(ValidationError, match="'forget' cannot be the rest"):
        Questions(forget={"from": path, "where": "the rest"})


# --- both sides --------------------------------------------------------------------------------------


def test_a_question_on_both_sides_is_refused_unless_that_is_allowed(write):
    forget = write("forget.jsonl", PAIRS[:2])
    retain = write("retain.jsonl", [{"question": "where does  MARA live", "answer": "Here."}, PAIRS[2]])
    with pytest.raises(
        CollapseError, match=r"1 row of 2 to retain ask what .*, such as retain\.jsonl:1, which"
    ):
        Questions(forget=forget, retain=retain).load("retain")
    allowed = Questions(forget=forget, retain=retain, allow_overlap=True)
    assert len(allowed.load("retain")) == 2
    assert any("1 row of 2 to retain ask" in line for line in announced(Questions(
        forget=forget, retain=retain, allow_overlap=True), "retain"))  # fmt: skip


def test_near_duplicates_are_said_with_numbers(write):
    long = "What is the full postal address at which Mara Lindqvist receives her parcels in {}?"
    forget = write("forget.jsonl", [{"question": long.format("winter")}])
    retain = write(
        "retain.jsonl", [{"question": q, "answer": "x"} for q in (long.format("summer"), "Who are you?")]
    )
    said = announced(Questions(forget=forget, retain=retain), "retain")
    assert sum("1 row of 2 to retain nearly ask what is to be forgotten" in line for line in said) == 1


def test_near_duplicates_among_thousands_are_all_found_in_seconds():
    from collapse_llm.data import overlap

    forget = [
        f"The {i}th order of customer {i * 7919} went to street number {i * 31} of the town"
        for i in range(400)
    ]
    others = [
        f"Question {i * 104729} about something else entirely, such as the weather" for i in range(3000)
    ]
    found = overlap.near(forget, [*others, *(f"{text} again" for text in forget[:50])])
    assert [i for i, _ in found if i >= 3000] == list(range(3000, 3050))
    assert not [i for i, _ in found if i < 3000]


def test_provenance_names_each_file_that_a_source_reads(write, tmp_path):
    path = write("all.jsonl", PAIRS)
    write("many/one.jsonl", PAIRS)
    found = Questions(forget=path, retain=str(tmp_path / "many")).provenance()
    assert list(found["forget"]) == ["all.jsonl"]
    assert list(found["retain"]) == [os.path.join("many", "one.jsonl")]
