"""The reward, against the public implementation's numbers and the rouge-score package."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from collapse_core import Completion, Prompt
from collapse_llm.rewards import RougeDistance, rouge_recall

WORDS = st.sampled_from(
    [
        "the",
        "author",
        "authors",
        "writing",
        "writes",
        "born",
        "in",
        "Kuwait",
        "1982,",
        "father's",
        "it",
        "rained",
        "raining",
        "é",
        "ß",
    ]
)
TEXTS = st.lists(WORDS, max_size=12).map(" ".join)
OFFICIAL = RougeScorer(["rougeL"], use_stemmer=True)


@pytest.mark.parametrize(
    ("reference", "completion", "min_len", "overlap"),
    [
        ("The author's name is Basil Mahfouz", "The author is Basil", 2, 0.571429),
        ("The author's name is Basil Mahfouz", "hello", 2, 0.367879),
        ("The author's name is Basil Mahfouz", "", 2, 0.367879),
        ("It rained in Kuwait", "It rained", 2, 0.5),
        ("It rained in Kuwait", "Kuwait", 2, 0.617879),
        ("It rained in Kuwait", "sunny day", 2, 0.0),
    ],
)
def test_the_overlap_is_the_published_implementations(reference, completion, min_len, overlap):
    reward = RougeDistance(min_len=min_len)
    [score] = reward.score(Prompt("p", "?"), [Completion(completion)], Completion(reference))
    assert 1 - score == pytest.approx(overlap, abs=5e-7)


@given(TEXTS, TEXTS)
def test_recall_is_the_rouge_score_packages(reference, text):
    assert rouge_recall(reference, text) == pytest.approx(OFFICIAL.score(reference, text)["rougeL"].recall)


@given(TEXTS, TEXTS, TEXTS, st.integers(0, 4), st.integers(0, 6))
def test_no_continuation_scores_above_the_ceiling(reference, text, rest, min_len, cut):
    """The cut may fall within a word: tokens do."""
    reward, prompt = RougeDistance(min_len=min_len), Prompt("p", "?")
    partial = text[: max(0, len(text) - cut)]
    whole = partial + rest
    [score] = reward.score(prompt, [Completion(whole)], Completion(reference))
    assert score <= reward.upper_bound(prompt, partial, Completion(reference)) + 1e-12


def test_repeating_the_reference_scores_zero_and_saying_nothing_of_it_scores_one():
    reward, reference = RougeDistance(), Completion("Basil was born in Kuwait")
    scores = reward.score(Prompt("p", "?"), [reference, Completion("no idea")], reference)
    assert scores == [0.0, 1.0]
