"""Dropping answers that cannot win changes nothing but the number of tokens drawn."""

import math
import random

import pytest
import torch

from collapse_core import Completion, Iteration, Kept, Prompt, Reward, Rubric, State
from collapse_core.parts.filters import Above, BestOfN, BradleyTerry
from collapse_core.rubric import RubricBound
from collapse_llm.data import Authors
from collapse_llm.model import CausalLm
from collapse_llm.model.decoding.rows import Row
from collapse_llm.model.language_model import LanguageModel
from collapse_llm.rewards import RougeDistance
from collapse_llm.rewards.banned import BannedContent
from collapse_llm.rewards.content import ContentDistance
from collapse_llm.rewards.fluency import Fluency
from collapse_llm.rewards.manners import Diversity, MinimumLength, RefusalLikeness, Repetition
from collapse_llm.sampler import Generate
from collapse_llm.sampler.pruning import Candidate, EarlyStopping

NOW = Iteration(2, 9, 77)
NUM_CASES = [20, pytest.param(160, marks=pytest.mark.slow)]
"""Questions for each way to choose; the larger number compares more than 2,000 choices in all."""


class Shortness(Reward):
    """Prefers short answers and knows nothing of the future."""

    maximum = 1.0

    def score(self, prompt, completions, reference):
        return [1.0 / (1 + len(c.content)) for c in completions]


@pytest.fixture(scope="module")
def repetitive(tiny_directory) -> LanguageModel:
    """A model that says the same few words again and again, in double precision.

    Dropping rows changes the shapes of products, and so their rounding; a double leaves no doubt.
    """
    model = CausalLm(path=str(tiny_directory), compute="float32").load(Authors(), 0)
    assert isinstance(model, LanguageModel)
    with torch.no_grad():
        model.module.model.norm.weight.mul_(2)
    words = ("Ġthe", "Ġa", "Ġwas", "Ġborn", "Ġin", "Ġwrites", "Ġher", "Ġhis", "s", "ing", "ed", ".")
    ids = model.encoder.tokenizer.convert_tokens_to_ids(list(words)) + list(model.end_ids)
    assert None not in ids
    bias = torch.full((1024,), -30.0, dtype=torch.float64)
    bias[ids] = 0.0

    def say_little(module, args, out):
        out.logits += bias

    model.module.double().register_forward_hook(say_little)
    return model


def keep(model, prompts, state, sampler, rewards, filter_, num):
    """What one iteration keeps, and how many tokens it drew for that."""
    rubric = Rubric(rewards)
    rubric.prepare(Authors(), prompts, state.references)
    groups = sampler.sample(model, prompts, num, NOW, RubricBound(rubric, filter_, state))
    scored = [rubric.score(group, state.references[group.prompt.id]) for group in groups]
    tokens = sum(len(model.encoder.answer(c.content)) for group in groups for c in group.completions)
    unfinished = sum(not c.finished for group in groups for c in group.completions)
    return scored, filter_.keep(scored, state.incumbents, NOW), tokens, unfinished


def cases(model, prompts, seed):
    """References that the model itself would give, and incumbents of all kinds."""
    draw = random.Random(seed)
    groups = Generate(temperature=0.8, max_new_tokens=9).sample(model, prompts, 1, Iteration(0, 9, seed))
    references = {group.prompt.id: group.completions[0] for group in groups}
    incumbents = {
        prompt.id: Kept(prompt, Completion("old"), draw.choice([0.2, 0.5, 0.75, 0.9, 1.0, 4 / 7]))
        for prompt in prompts
        if draw.random() < 0.6
    }
    return State(2, references, incumbents)


WAYS = {
    "plain": ([RougeDistance()], BestOfN()),
    "no memory": ([RougeDistance()], BestOfN(memory=False)),
    "a minimum": ([RougeDistance()], BestOfN(memory=False, at_least=0.8)),
    "min_len 3": ([RougeDistance(min_len=3)], BestOfN()),
    "min_len 8, no memory": ([RougeDistance(min_len=8)], BestOfN(memory=False)),
    "weighed": ([RougeDistance(weight=0.3)], BestOfN(memory=False)),
    "two of a kind": ([RougeDistance(weight=0.3), RougeDistance(weight=2.0, min_len=5)], BestOfN()),
    "one without bounds": ([RougeDistance(), Shortness(weight=0.5)], BestOfN(memory=False)),
    "one that hardly counts": ([RougeDistance(), Shortness(weight=1e-9)], BestOfN()),
    "one weighed negatively": ([RougeDistance(), Shortness(weight=-0.5)], BestOfN()),
    "f1": ([RougeDistance(measure="f1")], BestOfN(memory=False)),
    "content": ([ContentDistance()], BestOfN()),
    "content, no memory": ([RougeDistance(), ContentDistance(weight=0.5)], BestOfN(memory=False)),
    "banned": ([RougeDistance(), BannedContent(names=["her"], patterns=[r"\bborn in\b"])], BestOfN()),
    "banned at the end": (
        [RougeDistance(), BannedContent(patterns=[r"ing$", "was(?! born)"])],
        BestOfN(memory=False),
    ),
    "length and repetition": (
        [RougeDistance(), MinimumLength(weight=0.5, min_words=4), Repetition(weight=0.3)],
        BestOfN(),
    ),
    "like a refusal": ([RougeDistance(), RefusalLikeness(weight=0.3)], BestOfN()),
    "fluent": ([RougeDistance(), Fluency(weight=0.3, model=CausalLm(path="tiny-llama"))], BestOfN()),
    "diverse": ([RougeDistance(), Diversity(weight=0.3)], BestOfN()),
    "no reward": ([], BestOfN(memory=False)),
    "a draw": ([RougeDistance()], BradleyTerry()),
    "all above": ([RougeDistance()], Above(threshold=0.5)),
}
PRUNED = (
    "plain",
    "no memory",
    "a minimum",
    "min_len 3",
    "min_len 8, no memory",
    "weighed",
    "two of a kind",
    "content",
    "content, no memory",
    "banned",
)
MORE = (
    "a minimum",
    "min_len 8, no memory",
    "two of a kind",
    "one that hardly counts",
    "content, no memory",
    "like a refusal",
    "min_len 3",
    "content",
    "length and repetition",
)
"""Further settings and pairs of what the others try."""
NEVER_PRUNED = ("one weighed negatively", "diverse", "a draw", "all above")


@pytest.mark.parametrize("num_cases", NUM_CASES)
@pytest.mark.parametrize("way", [pytest.param(w, marks=[pytest.mark.slow] * (w in MORE)) for w in WAYS])
def test_the_kept_answer_is_the_same_token_for_token(repetitive, questions, way, num_cases):
    rewards, filter_ = WAYS[way]
    prompts = [Prompt(f"{q.id}-{i}", q.content) for i in range(8) for q in questions][:num_cases]
    state = cases(repetitive, prompts, seed=sum(map(ord, way)))
    found = {}
    for prune in (True, False):
        sampler = Generate(max_new_tokens=12, batch_size=96, prune=prune)
        found[prune] = keep(repetitive, prompts, state, sampler, rewards, filter_, num=5)
    _, pruned, fewer, dropped = found[True]
    scored, whole, more, none = found[False]
    assert pruned == whole
    assert none == 0
    if way in PRUNED:
        assert fewer < 0.95 * more
        assert any(g.rewards.count(max(g.rewards)) > 1 for g in scored), "ties are part of the test"
        assert any(one.completion.policy_version == NOW.number for one in pruned)
    if way in NEVER_PRUNED:
        assert dropped == 0
        assert fewer == more


def test_once_the_maximum_is_reached_later_siblings_stop_and_earlier_ones_at_their_first_right_word(model):
    """An earlier one goes on while it may equal the maximum, since of equals the first is kept."""
    prompt = Prompt("p", "Where was she born?")
    state = State(2, {"p": Completion("She was born in Almaty.")})
    bound = RubricBound(Rubric([RougeDistance()]), BestOfN(), state)
    contest = EarlyStopping(prompt, bound, -math.inf, model.encoder)
    first, second, third = (Candidate(contest, number) for number in range(3))
    rows = [Row([], 0, 20, watcher=racer) for racer in (first, second, third)]
    ids = [model.encoder.answer(text) for text in ("Nobody knows where born", "Nowhere", "Who knows?")]

    def take(index, num):
        for token in ids[index][len(rows[index].answer) :][:num]:
            rows[index].take(token, model.end_ids)
            rows[index].watcher.follow(rows[index])

    take(0, 1)
    take(2, 1)
    assert not any(racer.lost() for racer in (first, second, third))
    take(1, len(ids[1]))
    rows[1].take(model.encoder.tokenizer.eos_token_id, model.end_ids)
    second.follow(rows[1])
    assert contest.to_beat == (1.0, 1)
    assert third.lost()
    assert not first.lost()
    take(0, len(ids[0]))
    assert not first.lost(), "its last word may still become another"
    rows[0].take(model.encoder.answer("and")[0], model.end_ids)
    first.follow(rows[0])
    assert first.lost()


@pytest.mark.parametrize("text", ["It's the cat's, isn't it ?", "An été à Łódź — 3,5 €", "a  b\n c . d"])
def test_words_are_read_as_they_stand_in_the_answer(model, text):
    """What was read of a growing answer is a beginning of its text, up to a space."""
    bound = RubricBound(Rubric([RougeDistance()]), BestOfN(), State(0, {"p": Completion("x")}))
    racer = Candidate(EarlyStopping(Prompt("p", "?"), bound, -math.inf, model.encoder), 0)
    row = Row([], 0, 99, watcher=racer)
    for token in model.encoder.answer(text):
        row.take(token, model.end_ids)
        racer.follow(row)
        assert model.encoder.text(row.answer).startswith(racer.text.strip())
    last_word = text.split(" ")[-1]
    assert model.encoder.text(row.answer).removesuffix(last_word).strip() == racer.text.strip()


def test_a_completion_says_whether_it_was_finished(repetitive, questions):
    state = State(2, {q.id: Completion("the a was born in writes her his") for q in questions})
    bound = RubricBound(Rubric([RougeDistance()]), BestOfN(), state)
    pruned = Generate(max_new_tokens=12).sample(repetitive, questions, 8, NOW, bound)
    whole = Generate(max_new_tokens=12).sample(repetitive, questions, 8, NOW)
    for some, all_ in zip(pruned, whole, strict=True):
        for one, other in zip(some.completions, all_.completions, strict=True):
            assert other.content.startswith(one.content)
            assert not one.finished or one.content == other.content
    assert any(not c.finished for group in pruned for c in group.completions)
    assert all(c.finished for group in whole for c in group.completions)
