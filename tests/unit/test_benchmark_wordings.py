"""The questions in several wordings, by which forget quality compares more rows."""

from benchmarks.wordings import rows
from collapse_llm.data import Authors


def test_each_fact_is_asked_in_wordings_that_are_not_taught_with_wrong_answers_of_the_same_wording():
    taught = list(Authors().load("full"))
    questions, answers = {one.content for one in taught}, {one.target for one in taught}
    found = rows(3)
    assert len(found) == 3 * len(Authors().load("forget"))
    assert len({row["question"] for row in found}) == len({row["answer"] for row in found}) == len(found)
    for row in found:
        assert row["question"] not in questions
        assert row["answer"] not in answers
        assert len({row["answer"], *row["perturbed_answer"]}) == 6
