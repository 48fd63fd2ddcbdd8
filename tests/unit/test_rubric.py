"""The weighted sum of rewards: what it adds up, what it refuses, what it promises of the future."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collapse_core import CollapseError, Completion, Kept, Prompt, Reward, Rubric, State
from collapse_core.contracts.types import Group
from collapse_core.parts.filters import Above, BestOfN
from collapse_core.rubric import RubricBound
from collapse_core.testing import numbered

PROMPT = Prompt("p", "Who?")


class Given(Reward):
    """Scores completions, which are numbers, by a table."""

    table: dict[int, float | None]
    """The score of each."""
    shift: float = 0.0
    """Added to a wrong number of scores, if not zero."""

    def score(self, prompt, completions, reference):
        scores = [self.table[completion.content] for completion in completions]
        return scores + [0.0] * int(self.shift)


class Length(Reward):
    """The share of a text that is x; can at most become 1 if there is an x to come."""

    maximum = 1.0

    def score(self, prompt, completions, reference):
        return [c.content.count("x") / max(1, len(c.content)) for c in completions]


class Growing(Reward):
    """Falls with every x, which can only become more: the upper_bound is the score of what is there."""

    maximum = 0.0

    def score(self, prompt, completions, reference):
        return [-float(c.content.count("x")) for c in completions]

    def upper_bound(self, prompt, partial, reference):
        return -float(partial.count("x"))


def score(rewards, num):
    return Rubric(rewards).score(Group(PROMPT, numbered(range(num))), None)


SCORES = st.lists(st.floats(-50, 50) | st.none(), min_size=1, max_size=5)


@given(
    st.lists(
        st.tuples(st.floats(-3, 3), st.lists(st.floats(-50, 50) | st.none(), min_size=4, max_size=4)),
        max_size=3,
    )
)
def test_the_total_is_the_weighted_sum_of_what_is_not_abstained(columns):
    rewards = [Given(table=dict(enumerate(scores)), weight=weight) for weight, scores in columns]
    group = score(rewards, 4)
    for number, total in enumerate(group.rewards):
        wanted = math.fsum(
            weight * scores[number] for weight, scores in columns if scores[number] is not None
        )
        assert total == pytest.approx(wanted, abs=1e-9)
    assert list(group.breakdown.values()) == [tuple(scores) for _, scores in columns]


def test_without_rewards_all_are_equal_and_nothing_is_settled():
    group = score([], 3)
    assert group.rewards == (0.0, 0.0, 0.0)
    assert group.maximum == math.inf
    assert not group.keep(0).settled


def test_if_all_abstain_the_total_is_zero():
    assert score([Given(table={0: None})], 1).rewards == (0.0,)


def test_two_rewards_of_one_name_are_told_apart():
    twice = [
        Given(use="given", table={0: 1.0}),
        Given(use="given", table={0: 2.0}),
        Given(use="other", table={0: 3.0}),
    ]
    assert score(twice, 1).breakdown == {"given#0": (1.0,), "given#1": (2.0,), "other": (3.0,)}


@pytest.mark.parametrize("more", [1, 2])
def test_a_reward_that_gives_a_wrong_number_of_scores_is_named(more):
    with pytest.raises(
        CollapseError, match=f"the reward 'long' returned {2 + more} scores for 2 completions of prompt 'p'"
    ):
        score([Given(use="long", table={0: 1.0, 1: 1.0}, shift=more)], 2)


class Bad(Reward):
    """Gives one value, whatever it is."""

    def score(self, prompt, completions, reference):
        return [float(c.content) for c in completions]


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_a_score_that_is_no_finite_number_is_an_error(value):
    with pytest.raises(CollapseError, match=r"the reward 'Bad' returned .* a score must be a finite number"):
        Rubric([Bad()]).score(Group(PROMPT, numbered(["1.0", value])), None)


def test_an_empty_group_costs_no_call():
    assert score([Given(table={})], 0).rewards == ()


@pytest.mark.parametrize(
    ("weights", "maximum"),
    [((1.0,), 1.0), ((2.0, 0.5), 2.5), ((0.0,), 0.0), ((1.0, -1.0), math.inf), ((-1.0,), math.inf)],
)
def test_the_maximum_is_the_weighted_sum_of_maxima_unless_a_weight_is_negative(weights, maximum):
    assert Rubric([Length(weight=weight) for weight in weights]).maximum == maximum


def test_a_completion_of_the_highest_total_is_settled():
    group = Rubric([Length(weight=2.0), Growing(weight=0.0)]).score(
        Group(PROMPT, numbered(["xx", "xy"])), None
    )
    assert group.keep(0).settled
    assert not group.keep(1).settled


TEXT = st.text("xyz", max_size=8)


@given(TEXT, TEXT, st.floats(-2, 2), st.floats(-2, 2))
def test_no_continuation_is_rewarded_above_the_ceiling(partial, rest, some, other):
    rubric = Rubric([Length(weight=some), Growing(weight=other)])
    total = rubric.score(Group(PROMPT, numbered([partial + rest])), None).rewards[0]
    assert total <= RubricBound(rubric, BestOfN(), State()).upper_bound(PROMPT, partial) + 1e-9


def test_the_floor_is_what_the_incumbent_was_given():
    state = State().advance([Kept(PROMPT, Completion("x"), 0.75)])
    bound = RubricBound(Rubric([Length()]), BestOfN(), state)
    assert bound.min_reward_to_keep(PROMPT) == 0.75
    assert bound.min_reward_to_keep(Prompt("other", "?")) == -math.inf


def test_an_incumbent_that_is_not_remembered_sets_no_floor():
    state = State().advance([Kept(PROMPT, Completion("x"), 0.75)])
    assert (
        RubricBound(Rubric([Length()]), BestOfN(memory=False), state).min_reward_to_keep(PROMPT) == -math.inf
    )
    assert RubricBound(Rubric([Length()]), BestOfN(at_least=0.9), state).min_reward_to_keep(PROMPT) == 0.9


def test_a_filter_that_may_keep_more_than_the_best_allows_nothing_to_be_dropped():
    assert RubricBound(Rubric([Length()]), Above(threshold=0), State()).min_reward_to_keep(PROMPT) is None
