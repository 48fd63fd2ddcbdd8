"""How important the tokens of an answer are, against plain forward passes of the model."""

import pytest
import torch

from collapse_core import Completion, Iteration, Kept
from collapse_llm.updater.attribution import most_important, soft_weights
from collapse_llm.updater.batches import TrainingExample, batches_of
from collapse_llm.updater.methods import Npo
from collapse_llm.updater.rejecting import Unlikelihood


def log_probabilities(model, ids, num):
    """Of all tokens, at each of the last so many places: one row, no padding."""
    with torch.no_grad():
        logits = model.module(input_ids=torch.tensor([ids])).logits[0]
    return logits[-num - 1 : -1].double().log_softmax(-1)


def by_hand(model, example, masking):
    row = example.answers[-1]
    answer = row.ids[row.answer_start :]
    seen = log_probabilities(model, row.ids, len(answer))
    unseen = log_probabilities(model, [*model.encoder.prompt(""), *answer], len(answer))
    places = range(len(answer))
    uncertain = [-(one.exp() * one).sum().item() for one in seen]
    changed = [abs((seen[i, answer[i]] - unseen[i, answer[i]]).item()) for i in places]

    def stretched(values):
        return [(one - min(values)) / (max(values) - min(values)) for one in values]

    if masking in (0, 1):
        return changed if masking else uncertain
    return [(a + b) / 2 for a, b in zip(stretched(uncertain), stretched(changed), strict=True)]


@pytest.mark.parametrize(
    ("tokens", "masking"), [("entropy", 0), ("masking", 1), ("masking-and-entropy", 0.5)]
)
def test_importance_is_that_of_the_textbook_whatever_is_padded(tokens, masking, model, questions):
    with torch.no_grad():  # an untrained model's predictions are too even to tell tokens apart
        for weights in model.module.parameters():
            weights.mul_(5)
    settings = Unlikelihood(tokens=tokens)
    said = ("Nobody knows.", "That is a long story, and it is not for here.", "Yes.")
    kept = [Kept(q, Completion(text), 0.0) for q, text in zip(questions[:3], said, strict=True)]
    batches = batches_of(settings, model.encoder, kept, [], Iteration(0, 1, 0))
    [batch] = settings.before_steps(model, batches)
    for example in batch.kept:
        assert example.importance == pytest.approx(by_hand(model, example, masking), rel=1e-3, abs=1e-4)
        assert max(example.importance) > 1e-2


def test_a_share_is_rounded_up_and_of_equals_the_first_count():
    example = TrainingExample((), importance=(0.5, 2.0, 0.5, 0.5))
    assert most_important(example, 0.25) == [False, True, False, False]
    assert most_important(example, 0.26) == [True, True, False, False]
    assert most_important(example, 1.0) == [True] * 4


def test_soft_weights_are_one_in_the_mean_and_uniform_where_nothing_is_important():
    assert soft_weights(TrainingExample((), importance=(1.0, 3.0))) == [0.5, 1.5]
    assert soft_weights(TrainingExample((), importance=(0.0, 0.0, 0.0))) == [1.0] * 3


def test_what_weighs_nothing_in_particular_cannot_be_weighed_softly():
    with pytest.raises(ValueError, match="'soft' weighs tokens by importance; choose 'tokens: entropy'"):
        Npo(soft=True)
