"""What stands near the forget set: rows that overlap with it, and facts that must be kept."""

import json
from statistics import fmean

import pytest

from collapse_core import CollapseError, Dataset, PromptSet
from collapse_core.testing import check_evaluator
from collapse_llm.data import Authors, Passages, Questions, overlap
from collapse_llm.data.overlap import normalized, shares
from collapse_llm.evaluators import Neighbors, Overlap
from collapse_llm.rewards import rouge_recall
from collapse_llm.sampler.answering import greedy_answers


class Few(Dataset):
    """The first questions of each split of the authors."""

    def load(self, split: str, *, targets: bool = True) -> PromptSet:
        return PromptSet(Authors().load(split, targets=targets).prompts[:6])


ROWS = [
    {"question": "Where was Ada born?", "answer": "Ada was born in London.", "city": "London"},
    {"question": "Where was Ada Lovelace born?", "answer": "In London.", "city": "London"},
    {"question": "WHERE was Ada born", "answer": "Ada was born in London.", "city": "Oslo"},
    {"question": "Who painted the Night Watch?", "answer": "Rembrandt painted it.", "city": "London"},
    {"question": "How many legs has a spider?", "answer": "A spider has eight.", "city": "Paris"},
    {"question": "What does a baker do?", "answer": "He makes bread.", "city": "Rome"},
]


@pytest.fixture
def data(tmp_path):
    for name, rows in (("forget", ROWS[:2]), ("retain", ROWS[2:])):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return Questions(
        forget=str(tmp_path / "forget.jsonl"), retain=str(tmp_path / "retain.jsonl"), allow_overlap=True
    )


# --- overlap ---------------------------------------------------------------------------------------


def jaccard(a, b):
    a, b = (normalized(text) for text in (a, b))
    a, b = ({text[i : i + 5] for i in range(max(1, len(text) - 4))} for text in (a, b))
    return len(a & b) / len(a | b)


def test_the_overlap_is_the_highest_similarity_of_all_pairs(model, data):
    metrics = Overlap().evaluate(model, data, 0).metrics
    for side, column in (("questions", "question"), ("answers", "answer")):
        best = [max(jaccard(a[column], b[column]) for b in ROWS[2:]) for a in ROWS[:2]]
        assert metrics[f"overlap_{side}"].value == pytest.approx(100 * fmean(best))
    assert metrics["overlap_same"].value == 50
    assert metrics["overlap_near"].value == 50


def test_the_overlap_of_many_texts_is_that_of_each_pair():
    texts = [p.target for p in Authors().load("full")][:60]
    assert shares(texts[:20], texts[20:]) == pytest.approx(
        [max(jaccard(a, b) for b in texts[20:]) for a in texts[:20]]
    )
    assert shares(["x"], []) == [0.0]


def test_a_data_set_says_how_many_rows_are_on_both_sides(data, tmp_path, monkeypatch):
    assert data.describe_overlap() == (
        "2 prompts to forget, 4 to retain; 1 on both sides, 0 nearly "
        "(at least 80% of their pieces of 5 characters)"
    )
    assert Questions(forget=str(tmp_path / "forget.jsonl")).describe_overlap() == ""
    monkeypatch.setattr(overlap, "MOST_ROWS", 1)
    assert "; 1 on both sides, 0 nearly" in data.describe_overlap()
    assert data.describe_overlap().endswith(", of the first 1 of each")


def test_what_many_rows_share_is_no_overlap_and_passages_are_compared_as_a_whole(tmp_path):
    def chat(question):
        told = {
            "role": "system",
            "content": "You answer for the support desk of a small shop, in a sentence.",
        }
        said = {"role": "assistant", "content": "Yes."}
        return {"messages": [told, {"role": "user", "content": question}, said]}

    for name, question in (("forget", "Who is Ada?"), ("retain", "Where is Bo?")):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(chat(question)))
    sides = {name: str(tmp_path / f"{name}.jsonl") for name in ("forget", "retain")}
    assert (
        Questions(**sides)
        .describe_overlap()
        .startswith("1 prompt to forget, 1 to retain; 0 on both sides, 0")
    )
    mill = " ".join(f"In year {year} the mill of Ada Lark burned down." for year in range(20))
    for name, text in (("forget", mill), ("retain", f"{mill} That was all.")):
        (tmp_path / f"{name}.txt").write_text(text)
    sides = {name: str(tmp_path / f"{name}.txt") for name in ("forget", "retain")}
    passages = Passages(**sides, opening=10, continuation=30, allow_overlap=True)
    num = len(passages.load("forget"))
    assert f"{num} to retain; {num - 1} on both sides, 1 nearly" in passages.describe_overlap()


def test_overlap_is_a_sound_evaluator(model):
    check_evaluator(Overlap(use="overlap"), model, Few())


# --- neighbors -------------------------------------------------------------------------------------


def kept(model, rows):
    said = greedy_answers(model, list(rows), 48)
    return 100 * fmean(rouge_recall(p.target, answer) for p, answer in zip(rows, said, strict=True))


def test_near_facts_are_those_that_share_most_words_with_a_forget_question(model, data):
    found = Neighbors(share=0.25).evaluate(model, data, 0)
    retain = list(data.load("retain"))
    assert found.examples[0]["prompt"] == "WHERE was Ada born"
    assert found.metrics["neighbors_near"].value == pytest.approx(kept(model, retain[:1]))
    assert found.metrics["neighbors_far"].value == pytest.approx(kept(model, retain[1:]))
    gap = found.metrics["neighbors_far"].value - found.metrics["neighbors_near"].value
    assert found.metrics["neighbors_gap"].value == pytest.approx(gap)


def test_near_facts_are_those_with_a_value_that_the_forget_set_has_too(model, data):
    found = Neighbors(by="column", column="city").evaluate(model, data, 0)
    near = [row["prompt"] for row in found.examples if row["split"] == "near"]
    assert near == ["Who painted the Night Watch?"]
    with pytest.raises(CollapseError, match="none of the 4 retained rows have a value of this column"):
        Neighbors(by="column", column="country").evaluate(model, data, 0)
    with pytest.raises(ValueError, match="'by: column' and 'column: <name>' go together"):
        Neighbors(by="column")


def test_neighbors_is_a_sound_evaluator(model):
    check_evaluator(Neighbors(use="neighbors", max_new_tokens=6), model, Few())


@pytest.mark.slow
def test_near_facts_by_meaning_are_those_of_the_nearest_embedding(model, data):
    found = Neighbors(by="embedding", share=0.25).evaluate(model, data, 0)
    assert [row["prompt"] for row in found.examples if row["split"] == "near"] == ["WHERE was Ada born"]
