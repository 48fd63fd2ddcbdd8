"""Rewards that see likelihoods, against the transformers library's own loss, one text at a time."""

import numpy as np
import pytest
import torch

from collapse_core import CollapseError, Completion, Iteration, Kept, Prompt
from collapse_core.testing import check_reward
from collapse_llm.data import Authors
from collapse_llm.rewards.likelihood import FitsQuestion, ReferenceUnlikelihood
from collapse_llm.updater import Sft

ASKED = [
    Prompt("a", "Where was Basil born?"),
    Prompt("b", "Which award did Saule win?"),
    Prompt("c", "When did Maren die?"),
]
ANSWERS = {
    "a": Completion("Basil was born in Kuwait."),
    "b": Completion("The Booker prize, twice."),
    "c": Completion("In 1976."),
}


def probability(model, before, after):
    """The geometric mean over the tokens of a text that follows another one, by their ids."""
    ids = torch.tensor([[*before, *after]])
    labels = ids.clone()
    labels[0, : len(before)] = -100
    with torch.inference_mode():
        return float(np.exp(-model.module(input_ids=ids, labels=labels).loss.item()))


def ids(model, text):
    return model.encoder.tokenizer(text, add_special_tokens=False).input_ids


def question_after(model, answer, question):
    return probability(model, ids(model, f"{answer}\n"), ids(model, question))


def test_the_reference_answers_improbability_is_that_of_the_current_model(model):
    reward = ReferenceUnlikelihood()
    reward.use_model(model)
    asked, answer = ASKED[0], ANSWERS["a"]
    completions = [Completion("Oslo."), Completion("")]
    said = [*ids(model, " Basil was born in Kuwait."), model.encoder.end_id]
    scores = []
    for number in range(2):
        expected = 1 - probability(model, model.encoder.prompt(asked.content), said)
        scores.append(reward.score(asked, completions, answer))
        assert scores[-1] == pytest.approx([expected] * 2, rel=1e-4)
        now = Iteration(number, 9, number)
        Sft(learning_rate=1e-2, warmup=0).update(model, [Kept(asked, answer, 0.0)], [], now)
    assert scores[1][0] < scores[0][0], "the model was trained on it"
    assert reward.score(asked, [], answer) == []


def test_an_answer_fits_its_question_as_far_as_that_is_likelier_after_it(model):
    reward = FitsQuestion(num_others=1, batch_size=2)
    reward.use_model(model)
    reward.prepare(Authors(), ASKED, ANSWERS)
    texts = ["Basil was born in Oslo.", "", "Oslo", "Basil was born in Oslo."]
    for asked, other in zip(ASKED, ("b", "c", "a"), strict=True):
        others = question_after(model, ANSWERS[other].content, asked.content)
        own = [question_after(model, text, asked.content) for text in texts if text]
        expected = [q / (q + others) for q in own]
        found = reward.score(asked, [Completion(text) for text in texts], ANSWERS[asked.id])
        assert [score for text, score in zip(texts, found, strict=True) if text] == pytest.approx(
            expected, rel=1e-3
        )


def test_the_same_answer_to_all_questions_fits_each_by_one_half(model):
    same = dict.fromkeys(ANSWERS, Completion("It is not known."))
    reward = FitsQuestion(num_others=2)
    reward.use_model(model)
    reward.prepare(Authors(), ASKED, same)
    found = reward.score(ASKED[0], [Completion("It is not known.")], same["a"])
    assert found == pytest.approx([0.5], rel=1e-4)
    enough = FitsQuestion(num_others=2, enough=0.4)
    enough.use_model(model)
    enough.prepare(Authors(), ASKED, same)
    assert enough.score(ASKED[0], [Completion("It is not known.")], same["a"]) == [1.0]


@pytest.mark.parametrize("reward", [FitsQuestion(), ReferenceUnlikelihood()], ids=lambda r: type(r).__name__)
def test_they_keep_the_promises_of_a_reward(reward, model):
    reward.use_model(model)
    check_reward(reward, ["Ada Lovelace was born in London.", "", "Ada", "東京 — naïve \n answer"])


def test_without_a_model_they_say_what_is_missing():
    for reward, message in (
        (ReferenceUnlikelihood(), "no model to ask"),
        (FitsQuestion(), "see the prompts"),
    ):
        with pytest.raises(CollapseError, match=message):
            reward.score(ASKED[0], [Completion("x")], ANSWERS["a"])
