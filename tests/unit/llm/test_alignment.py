"""Which tokens of an answer are pushed down, by hand and against a longest-common-block search of its own."""

import random

import pytest

from collapse_llm.model.training import token_losses
from collapse_llm.updater.alignment import unshared
from collapse_llm.updater.batches import TrainingExample
from collapse_llm.updater.losses import Answers
from collapse_llm.updater.pushing import EVERYTHING, Selection, selected

UNSHARED = Selection("unshared")


def chosen(pushed, kept, question=""):
    """The selected characters, each taken for a token; what is left alone is a dot."""
    mask = unshared([ord(c) for c in pushed], [ord(c) for c in kept], [ord(c) for c in question])
    return "".join(c if one else "." for c, one in zip(pushed, mask, strict=True))


@pytest.mark.parametrize(
    ("pushed", "kept", "question", "expected"),
    [
        pytest.param("born in Oslo", "born in Rome", "", "........Osl.", id="the-last-letter-is-shared"),
        pytest.param("abcd", "abcd", "", "....", id="equal-answers"),
        pytest.param("abcd", "", "", "abcd", id="an-empty-kept-answer"),
        pytest.param("", "abcd", "", "", id="an-empty-pushed-answer"),
        pytest.param("abab", "ab", "", "..ab", id="a-repeat-is-shared-once"),
        pytest.param("ab", "abab", "", "..", id="a-repeat-in-the-kept-answer"),
        pytest.param("abXcd", "cdYab", "", "..Xcd", id="blocks-that-changed-places-are-not-both-shared"),
        pytest.param("abXcdZ", "ab", "XZ", "...cd.", id="tokens-of-the-question-are-spared"),
        pytest.param("東京で生まれた", "大阪で生まれた", "", "東京.....", id="japanese"),
        pytest.param("ولد في بغداد", "ولد في دمشق", "", ".......بغ.اد", id="arabic"),
        pytest.param("родился в Киеве", "родился в Твери", "", "..........Кие..", id="cyrillic"),
    ],
)
def test_what_the_kept_answer_does_not_share_is_selected(pushed, kept, question, expected):
    assert chosen(pushed, kept, question) == expected


def blocks(a, b, start_a=0, start_b=0):
    """The places of `a` in its longest common blocks with `b`, found by trying all."""
    longest = max(
        (
            (size, -i, -j)
            for i in range(len(a))
            for j in range(len(b))
            for size in range(1, min(len(a) - i, len(b) - j) + 1)
            if a[i : i + size] == b[j : j + size]
        ),
        default=None,
    )
    if longest is None:
        return set()
    size, i, j = longest[0], -longest[1], -longest[2]
    return (
        blocks(a[:i], b[:j], start_a, start_b)
        | set(range(start_a + i, start_a + i + size))
        | blocks(a[i + size :], b[j + size :], start_a + i + size, start_b + j + size)
    )


def test_it_agrees_with_trying_all_blocks():
    source = random.Random(3)
    for _ in range(300):
        a, b = ([source.randrange(4) for _ in range(source.randrange(9))] for _ in range(2))
        shared = blocks(a, b)
        assert unshared(a, b) == [place not in shared for place in range(len(a))], (a, b)


def test_an_answer_of_hundreds_of_tokens_is_aligned_like_a_short_one():
    """Frequent tokens are no junk, as difflib would have it from 200 on."""
    long = [1, 2, 3] * 100
    assert not any(unshared(long, long))
    assert sum(unshared([*long, 9], long)) == 1


def test_the_question_and_the_end_of_the_answer_are_spared(model):
    encode = model.encoder.example
    question = "When was Saule born?"
    pushed = encode(question, "Saule was born in 1976.")
    kept = encode(question, "Nobody knows.")
    mask = selected(TrainingExample((kept, pushed)), UNSHARED)
    texts = model.encoder.texts(pushed.ids[pushed.answer_start :])
    assert "".join(t for t, one in zip(texts, mask, strict=True) if one) == " in 1976"
    assert all(selected(TrainingExample((kept, pushed)), EVERYTHING))


def test_where_both_answers_are_one_all_but_the_end_and_the_question_is_pushed_and_nothing_learned(model):
    same = model.encoder.example("Where was Basil born?", "Basil was born in Hilo.", drawn=True)
    example = TrainingExample((same, same))
    asked = set(same.ids[: same.answer_start])
    said = same.ids[same.answer_start :]
    assert selected(example, UNSHARED) == [*(token not in asked for token in said[:-1]), False]
    assert any(selected(example, UNSHARED))
    losses = token_losses(model.module, [same, same], model.device)
    assert Answers([losses], [example], [example]).cross_entropy() == 0
    other = model.encoder.example("Where was Basil born?", "In Rome.", drawn=True)
    learned = TrainingExample((other, same))
    assert Answers([losses], [learned], [learned]).cross_entropy() > 0
