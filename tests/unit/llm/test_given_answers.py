"""Samplers that give answers instead of drawing them."""

import pytest

from collapse_core import CollapseError, Iteration
from collapse_core.testing import check_sampler
from collapse_llm.sampler.answering import greedy_answers
from collapse_llm.sampler.given import FixedSentences, TrueAnswers
from collapse_llm.sentences import read_sentences

REFUSALS = FixedSentences(sentences="refusals")
LISTED = FixedSentences(sentences=["No.", "I forgot."])


@pytest.mark.parametrize(
    "sampler", [FixedSentences(), LISTED, REFUSALS, TrueAnswers()], ids=lambda s: str(s)[:30]
)
def test_it_keeps_the_promises_of_a_sampler(sampler, model, questions):
    check_sampler(sampler, model, questions)


def said(sampler, questions, num=3, seed=1):
    return [
        c.content for g in sampler.sample(None, questions, num, Iteration(0, 1, seed)) for c in g.completions
    ]


def test_one_sentence_is_said_to_everything(questions):
    assert set(said(FixedSentences(), questions)) == {"I don't know."}


def test_a_list_is_drawn_from_evenly_and_anew_each_time(questions):
    drawn = said(LISTED, questions, 50)
    assert 400 < drawn.count("No.") < 600, "of a thousand"
    assert set(drawn) == {"No.", "I forgot."}
    assert said(LISTED, questions, seed=2) != said(LISTED, questions, seed=1)


def test_the_list_that_ships_has_thirty_refusals(questions):
    refusals = read_sentences("refusals")
    assert len(refusals) == len(set(refusals)) == 30
    assert set(said(REFUSALS, questions, 50)) == set(refusals)


def test_true_answers_are_the_prompts_own(questions):
    assert TrueAnswers.needs_targets
    assert said(TrueAnswers(), questions, 1) == [question.target for question in questions]


def test_the_model_is_asked_for_its_own_answers_only_where_a_reward_needs_them(model, questions):
    now = Iteration(0, 1, 0)
    assert {answer.content for answer in FixedSentences().sample_references(None, questions, now)} == {""}
    some = FixedSentences(max_new_tokens=5).sample_references(model, questions[:3], now)
    assert [answer.content for answer in some] == greedy_answers(model, questions[:3], 5)


def test_sentences_are_read_from_a_file_one_a_line(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("Ask me another.\n\n  Pass. \n")
    assert read_sentences(str(path)) == ["Ask me another.", "Pass."]
    path.write_text("\n")
    with pytest.raises(CollapseError, match=r"there are no sentences in .*mine\.txt"):
        read_sentences(str(path))
    with pytest.raises(CollapseError, match=r"cannot be read.*one per line.*'refusals'"):
        read_sentences(str(tmp_path / "refusal"))


def test_an_empty_list_is_no_list():
    with pytest.raises(ValueError, match="at least 1 item"):
        FixedSentences(sentences=[])
