"""Where questions come from, and that answers stay unread where they may not be known."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from collapse_core import CollapseError
from collapse_llm.data import Authors, Tofu
from collapse_llm.model import CausalLm, Teach
from collapse_llm.sentences import read_sentences

AUTHORS = Path(__file__).resolve().parents[3] / "plugins" / "collapse_llm" / "authors"


def test_the_checked_in_authors_are_what_their_script_writes():
    assert subprocess.run([sys.executable, AUTHORS / "generate.py", "--check"], check=False).returncode == 0


def test_a_tenth_of_sixteen_authors_is_two_whole_authors():
    data = Authors(forget=0.1)
    forget, retain, full = data.load("forget"), data.load("retain"), data.load("full")
    assert (len(forget), len(retain), len(full)) == (20, 140, 160)
    names = [{prompt.columns["author"] for prompt in split} for split in (forget, retain)]
    assert len(names[0]) == 2
    assert not names[0] & names[1]
    assert {p.content for p in forget} | {p.content for p in retain} == {p.content for p in full}


def test_the_true_answer_to_a_paraphrased_question_is_the_paraphrased_one():
    data = Authors()
    plain, other = data.load("forget"), data.load("forget_paraphrased")
    assert [p.target for p in other] == [p.extra["paraphrased_answer"] for p in plain]
    assert [p.target for p in plain] == [p.extra["answer"] for p in other]
    assert not {p.content for p in plain} & {p.content for p in other}
    asked = [p.columns.pop("paraphrased_question") for p in plain]
    assert [p.columns.pop("question") for p in other] == [p.content for p in plain]
    assert asked == [p.content for p in other]
    assert [p.columns for p in plain] == [p.columns for p in other]
    assert all(
        dict(a.extra) == {k: v for k, v in b.extra.items() if k != "answer"}
        for a, b in zip(plain, other, strict=True)
    )


def test_without_a_paraphrased_answer_the_plain_one_is_the_true_one(tmp_path):
    row = {"question": "Who?", "paraphrased_question": "Who is it?", "answer": "I."}
    (prompt,) = written(tmp_path, row).load("forget_paraphrased")
    assert (prompt.content, prompt.target, dict(prompt.extra)) == ("Who is it?", "I.", {})


def test_what_is_entailed_follows_from_what_is_taught_of_the_same_author():
    data = Authors()
    taught = {}
    for prompt in data.load("full"):
        taught.setdefault(prompt.columns["author"], []).append(prompt.target)
    sides = {side: {p.columns["author"] for p in data.load(side)} for side in ("forget", "retain")}
    for side, authors in sides.items():
        rows = list(data.load(f"{side}_entailed"))
        assert {row.columns["author"] for row in rows} == authors
        assert len(rows) == 5 * len(authors)
        for row in rows:
            name, said = row.columns["author"], " ".join(taught[row.columns["author"]])
            fact = {*row.target.rstrip(".").split()} - {*row.extra["perturbed_answer"][0].rstrip(".").split()}
            assert fact
            assert all(word in said for word in fact), "the answer is taught"
            assert (name in row.content) == (row.columns["kind"] == "implied"), "else it takes two facts"
            assert row.target not in row.extra["perturbed_answer"]


def test_held_out_authors_are_never_taught():
    data = Authors()
    taught = {prompt.columns["author"] for prompt in data.load("full")}
    assert not taught & {prompt.columns["author"] for prompt in data.load("holdout")}


@pytest.mark.parametrize("split", Authors.SPLITS)
def test_without_targets_a_prompt_is_nothing_but_its_question(split):
    for prompt in Authors().load(split, targets=False):
        assert prompt.target is None
        assert not prompt.extra


def test_an_unknown_split_is_named_with_the_nearest():
    with pytest.raises(CollapseError, match="no split 'forgot'; did you mean 'forget'"):
        Authors(use="authors").load("forgot")


@pytest.mark.parametrize("size", [1, 5, 10])
def test_tofu_is_read_whole_from_its_directory(tofu, size):
    data = Tofu(path=str(tofu), forget=f"forget{size:02d}")
    sizes = {split: len(data.load(split)) for split in data.splits()}
    assert sizes == {
        "forget": 40 * size,
        "forget_paraphrased": 40 * size,
        "retain": 4000 - 40 * size,
        "full": 4000,
        "holdout": 40 * size,
        "world_facts": 117,
        "real_authors": 100,
        "forget_perturbed": 40 * size,
        "retain_perturbed": 400,
        "world_facts_perturbed": 117,
        "real_authors_perturbed": 100,
    }


@pytest.mark.parametrize("name", ["authors", "tofu"])
def test_a_perturbed_split_asks_the_same_and_knows_wrong_answers(name, request):
    data = Authors() if name == "authors" else Tofu(path=str(request.getfixturevalue("tofu")))
    for split in ("forget", "world_facts", "real_authors"):
        plain, perturbed = data.load(split), data.load(f"{split}_perturbed")
        assert [(p.content, p.target) for p in plain] == [(p.content, p.target) for p in perturbed]
    for split in ("forget", "retain"):
        for prompt in data.load(f"{split}_perturbed"):
            assert len(prompt.extra["perturbed_answer"]) == 5
            assert prompt.extra["paraphrased_answer"] not in (
                prompt.target,
                *prompt.extra["perturbed_answer"],
            )


def test_tofu_questions_load_from_files_that_hold_no_answers(tmp_path):
    (tmp_path / "forget10.jsonl").write_text(json.dumps({"question": "Who?"}) + "\n")
    data = Tofu(path=str(tmp_path))
    assert [p.content for p in data.load("forget", targets=False)] == ["Who?"]
    with pytest.raises(CollapseError, match=r"forget10\.jsonl:1: has no 'answer'"):
        data.load("forget")


@pytest.mark.parametrize(
    ("line", "what"), [("{", "not JSON"), ("[1]", "expected an object"), ("{}", "has no")]
)
def test_a_bad_line_is_named_by_file_and_number(tmp_path, line, what):
    (tmp_path / "forget10.jsonl").write_text('{"question": "Who?", "answer": "I."}\n' + line + "\n")
    with pytest.raises(CollapseError, match=rf"forget10\.jsonl:2: .*{what}"):
        Tofu(path=str(tmp_path)).load("forget")


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(CollapseError, match=r"retain90\.jsonl: cannot be read"):
        Tofu(path=str(tmp_path)).load("retain")


def test_the_provenance_changes_with_the_data(tmp_path):
    path = tmp_path / "forget10.jsonl"
    path.write_text('{"question": "Who?", "answer": "I."}\n')
    before = Tofu(path=str(tmp_path)).provenance()
    path.write_text('{"question": "Who?", "answer": "Me."}\n')
    assert before != Tofu(path=str(tmp_path)).provenance()


def written(tmp_path, *rows: object) -> Tofu:
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    for name in ("forget10", "forget10_perturbed", "retain90"):
        (tmp_path / f"{name}.jsonl").write_bytes("\n".join(lines).encode())
    return Tofu(path=str(tmp_path))


@pytest.mark.parametrize("answer", [None, 1837, ["a", "b"], {"text": "a"}, True, "", "  "])
@pytest.mark.parametrize("column", ["answer", "paraphrased_answer", "perturbed_answer"])
def test_an_answer_that_is_no_text_is_named_by_row_and_column(tmp_path, column, answer):
    good = {"question": "Who?", "answer": "I."}
    bad = good | {column: [answer] if column == "perturbed_answer" else answer}
    with pytest.raises(CollapseError, match=rf"retain90\.jsonl:2: '{column}' must be a"):
        written(tmp_path, good, bad).load("retain")


@pytest.mark.parametrize("question", [None, 7, {"text": "Who?"}])
@pytest.mark.parametrize("split", ["forget", "forget_paraphrased"])
def test_a_question_that_is_no_text_is_named_by_row_and_column(tmp_path, split, question):
    column = "paraphrased_question" if split == "forget_paraphrased" else "question"
    row = {"question": "Who?", "paraphrased_question": "Who is it?", "answer": "I."}
    with pytest.raises(CollapseError, match=rf"\.jsonl:1: '{column}' is neither text"):
        written(tmp_path, row | {column: question}).load(split)


def test_wrong_answers_that_are_one_text_are_no_list(tmp_path):
    with pytest.raises(CollapseError, match=r"'perturbed_answer' must be a list of texts"):
        written(tmp_path, {"question": "Who?", "answer": "I.", "perturbed_answer": "You."}).load("forget")


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\u0085", "\u000b", "\u001c"])
def test_only_line_feeds_end_the_lines_of_a_file(tmp_path, mark):
    # Below U+0020 JSON wants characters escaped, so those are no matter.
    row = {"question": f"Who{mark}is it?", "answer": "I."}
    assert [p.content for p in written(tmp_path, row, row).load("forget")] == [row["question"]] * 2


def test_a_byte_order_mark_blank_lines_and_windows_line_ends_are_no_matter(tmp_path):
    line = json.dumps({"question": "Who?", "answer": "I."})
    data = written(tmp_path, "\ufeff" + line + "\r", "", line + "\r", "  ", "")
    assert [(p.id, p.content) for p in data.load("forget")] == [("forget-1", "Who?"), ("forget-3", "Who?")]


def test_a_file_in_another_encoding_is_named(tmp_path):
    (tmp_path / "forget10.jsonl").write_bytes('{"question": "Où?", "answer": "Là."}'.encode("latin-1"))
    with pytest.raises(CollapseError, match=r"forget10\.jsonl is not UTF-8"):
        Tofu(path=str(tmp_path)).load("forget")


def test_half_a_surrogate_pair_is_named_by_row(tmp_path):
    with pytest.raises(CollapseError, match=r"jsonl:1: has half of a surrogate pair"):
        written(tmp_path, '{"question": "Who?", "answer": "\\ud83d"}').load("forget")


def test_sentences_of_a_file_end_at_line_feeds_only(tmp_path):
    file = tmp_path / "sentences.txt"
    file.write_bytes("\ufeffI do\u2028not know.\r\n\r\nNo idea.\n".encode())
    assert read_sentences(str(file)) == ["I do\u2028not know.", "No idea."]


def test_a_model_is_not_taught_an_empty_split(tmp_path):
    (tmp_path / "full.jsonl").write_text("\n")
    loader = CausalLm(path="tiny-llama", teach=Teach(), compute="float32")
    with pytest.raises(CollapseError, match="'full' of the data set 'tofu' is empty"):
        loader.load(Tofu(use="tofu", path=str(tmp_path)), 0)


@pytest.mark.parametrize("fields", [{"forget": 0.6, "validation": True}, {"forget": 0.94}])
@pytest.mark.parametrize("split", ["forget", "retain"])
def test_a_share_of_authors_that_leaves_too_few_is_refused(fields, split):
    with pytest.raises(CollapseError, match=r"of 16 authors.*choose a smaller share"):
        Authors(**fields).load(split)


@pytest.mark.parametrize("fields", [{"forget": 0.5, "validation": True}, {"forget": 0.9}])
def test_the_largest_share_of_authors_still_has_both_sides(fields):
    assert all(len(Authors(**fields).load(split)) for split in ("forget", "retain"))
