"""The domain-free filters, on groups of any shape."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collapse_core.contracts.state import State
from collapse_core.contracts.types import Completion, Group, Iteration, Prompt
from collapse_core.parts.filters import (
    Above,
    BestAndWorst,
    BestOfN,
    BradleyTerry,
    GroupAdvantages,
    PassingFirst,
    TopFraction,
)
from collapse_core.testing import check_filter, numbered, scored

NOW = Iteration(0, 1, 7)
NUMBERS = st.floats(-100, 100)
REWARDS = st.lists(NUMBERS, min_size=1, max_size=6)
GROUPS = st.lists(st.lists(NUMBERS, max_size=5), max_size=6).map(
    lambda groups: [scored(str(number), *rewards) for number, rewards in enumerate(groups)]
)


def kept_number(kept):
    return kept.completion.number


@given(REWARDS)
def test_best_of_n_keeps_the_highest_reward_and_of_equals_the_first(rewards):
    [kept] = BestOfN().keep([scored("a", *rewards)], {}, NOW)
    assert kept.reward == max(rewards)
    assert kept_number(kept) == rewards.index(max(rewards))


@given(REWARDS, REWARDS)
def test_an_incumbent_is_replaced_only_by_what_is_at_least_as_good(before, now):
    [incumbent] = BestOfN().keep([scored("a", *before)], {}, NOW)
    [kept] = BestOfN().keep([scored("a", *now)], {"a": incumbent}, NOW)
    assert kept.reward == max(*before, *now)
    assert (kept is incumbent) == (incumbent.reward > max(now))


@given(REWARDS, REWARDS)
def test_without_a_memory_each_iteration_stands_alone(before, now):
    forgetful = BestOfN(memory=False)
    incumbent = scored("a", *before).keep(0)
    [kept] = forgetful.keep([scored("a", *now)], {"a": incumbent}, NOW)
    assert kept.reward == max(now)
    assert not forgetful.settled(scored("a", 1.0).keep(0))


@given(GROUPS, NUMBERS)
def test_a_filter_may_keep_nothing(groups, least):
    kept = BestOfN(at_least=least).keep(groups, {}, NOW)
    good_enough = [group for group in groups if group.rewards and max(group.rewards) >= least]
    assert [one.prompt.id for one in kept] == [group.prompt.id for group in good_enough]
    assert BestOfN(at_least=101.0).keep(groups, {}, NOW) == []


def test_an_incumbent_that_is_not_good_enough_is_not_kept_either():
    incumbent = scored("a", 0.4).keep(0)
    assert BestOfN(at_least=0.5).keep([scored("a", 0.3)], {"a": incumbent}, NOW) == []


def test_a_settled_prompt_keeps_its_incumbent_without_sampling():
    highest = Group(Prompt("a", "a"), scored("a", 1.0).completions, (1.0,), maximum=1.0).keep(0)
    assert highest.settled
    assert BestOfN().settled(highest)
    assert BestOfN().keep([Group(Prompt("a", "a"))], {"a": highest}, NOW) == [highest]
    assert not BestOfN().settled(scored("a", 1.0).keep(0))


@given(GROUPS, NUMBERS)
def test_above_keeps_exactly_what_reaches_the_threshold(groups, threshold):
    kept = Above(threshold=threshold).keep(groups, {}, NOW)
    assert [(one.prompt.id, kept_number(one)) for one in kept] == [
        (group.prompt.id, number)
        for group in groups
        for number, reward in enumerate(group.rewards)
        if reward >= threshold
    ]


@given(GROUPS, st.floats(0.01, 1.0))
def test_top_fraction_keeps_the_best_of_all_together(groups, fraction):
    everything = [reward for group in groups for reward in group.rewards]
    kept = TopFraction(fraction=fraction).keep(groups, {}, NOW)
    num = min(len(everything), max(1, round(fraction * len(everything))))
    assert len(kept) == num
    assert sorted((one.reward for one in kept), reverse=True) == sorted(everything, reverse=True)[:num]
    places = [(int(one.prompt.id), kept_number(one)) for one in kept]
    assert places == sorted(places)


@given(GROUPS, NUMBERS)
def test_passing_first_keeps_what_passes_else_the_best(groups, threshold):
    kept = {one.prompt.id: one for one in PassingFirst(threshold=threshold).keep(groups, {}, NOW)}
    for group in groups:
        if not group.rewards:
            assert group.prompt.id not in kept
        elif max(group.rewards) >= threshold:
            assert kept[group.prompt.id].reward >= threshold
        else:
            assert kept[group.prompt.id].reward == max(group.rewards)


@pytest.mark.parametrize(
    ("rewards", "equals"), [((0.2, 5.0, 1.0, 0.9), (1, 2)), ((0.2, 0.9, 0.9, 0.9), (1, 2, 3))]
)
def test_passing_first_draws_evenly_among_equals_whatever_their_reward(rewards, equals):
    num = 6000
    groups = [scored(str(number), *rewards) for number in range(num)]
    counts = [0] * len(rewards)
    for kept in PassingFirst(threshold=1.0).keep(groups, {}, NOW):
        counts[kept_number(kept)] += 1
    share = 1 / len(equals)
    for number, count in enumerate(counts):
        wanted = share if number in equals else 0
        assert abs(count / num - wanted) <= 5 * math.sqrt(wanted * (1 - wanted) / num)


def test_passing_first_with_a_memory_settles_what_has_passed():
    remembering = PassingFirst(threshold=0.5, memory=True)
    passed, failed = scored("a", 0.6).keep(0), scored("a", 0.4).keep(0)
    assert remembering.settled(passed)
    assert not remembering.settled(failed)
    assert not PassingFirst(threshold=0.5).settled(passed)
    assert remembering.keep([Group(Prompt("a", "a"))], {"a": passed}, NOW) == [passed]
    assert remembering.keep([scored("a", 0.3)], {"a": failed}, NOW) == [failed]


@pytest.mark.parametrize(
    "temperature", [0.5, *(pytest.param(hot, marks=pytest.mark.slow) for hot in (1.0, 4.0))]
)
@pytest.mark.simulation
def test_bradley_terry_draws_by_the_softmax_of_the_rewards(temperature):
    """20,000 seeded draws; each frequency within five standard errors of the formula."""
    rewards, num = [0.0, 1.0, 2.0, 2.0], 20_000
    filter_ = BradleyTerry(temperature=temperature)
    groups = [scored(str(number), *rewards) for number in range(num)]
    counts = [0] * len(rewards)
    for kept in filter_.keep(groups, {}, NOW):
        counts[kept_number(kept)] += 1
    odds = [math.exp(reward / temperature) for reward in rewards]
    for count, odd in zip(counts, odds, strict=True):
        p = odd / sum(odds)
        assert abs(count / num - p) < 5 * math.sqrt(p * (1 - p) / num)


@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=5), st.floats(1e-3, 1e3))
def test_bradley_terry_copes_with_rewards_of_any_size(rewards, temperature):
    [kept] = BradleyTerry(temperature=temperature).keep([scored("a", *rewards)], {}, NOW)
    assert kept.reward in rewards


def test_bradley_terry_draws_anew_in_each_iteration_and_the_same_in_a_repeated_one():
    groups = [scored(str(number), 0.0, 0.0) for number in range(50)]
    draws = [
        [kept_number(kept) for kept in BradleyTerry().keep(groups, {}, Iteration(0, 9, seed))]
        for seed in (1, 1, 2)
    ]
    assert draws[0] == draws[1] != draws[2]


@given(GROUPS)
def test_the_draw_for_a_prompt_does_not_depend_on_the_others(groups):
    together = BradleyTerry().keep(groups, {}, NOW)
    alone = [kept for group in groups for kept in BradleyTerry().keep([group], {}, NOW)]
    assert together == alone


@pytest.mark.parametrize(
    "filter_",
    [
        BestOfN(),
        BestOfN(memory=False),
        BradleyTerry(memory=True),
        PassingFirst(threshold=0.5),
        PassingFirst(threshold=0.5, memory=True),
        TopFraction(fraction=1),
        Above(threshold=-9),
    ],
)
def test_every_setting_keeps_the_promises_of_a_filter(filter_):
    check_filter(filter_)


# --- how a kept completion is to be learned --------------------------------------------------------


def group_of(*rewards):
    reference = Completion("what it said before")
    prompt = Prompt("p", "q", "the truth")
    contents = [f"answer {number}" for number in range(len(rewards))]
    return Group(prompt, numbered(contents), tuple(map(float, rewards)), reference=reference)


@pytest.mark.parametrize(
    ("against", "expected"),
    [
        (None, None),
        ("reference", "what it said before"),
        ("worst-of-group", "answer 1"),
        ("target", "the truth"),
    ],
)
def test_a_filter_says_what_the_kept_completion_is_preferred_to(against, expected):
    one_each = (BestOfN(against=against), BradleyTerry(against=against), Above(threshold=3, against=against))
    for chosen in one_each:
        [kept] = chosen.keep([group_of(2, 1, 3)], {}, Iteration(0, 1, 0))
        assert kept.against == expected
        assert kept.weight == 1
        assert chosen.sets_against() == (against is not None)
        assert chosen.reads_targets() == (against == "target")


def test_where_the_worst_is_needed_no_completion_may_be_stopped_early():
    assert BestOfN(against="worst-of-group").min_reward_to_keep(None) is None
    assert BestOfN(against="reference").min_reward_to_keep(None) is not None


def test_an_incumbent_keeps_what_it_was_preferred_to_also_through_a_checkpoint():
    for against in ("reference", "target"):
        chosen = BestOfN(against=against)
        kept = chosen.keep([group_of(2, 1, 3)], {}, Iteration(0, 1, 0))
        state = State().advance(kept)
        written = json.dumps(state.to_json())
        assert "the truth" not in written, "a checkpoint holds no true answer"
        again = State.from_json(json.loads(written), {"p": group_of().prompt})
        assert again.incumbents == state.incumbents
        assert chosen.keep([group_of(0, 0, 0)], again.incumbents, Iteration(1, 2, 0)) == kept


@given(st.lists(st.integers(-5, 5), min_size=2, max_size=8))
def test_advantages_are_the_standardized_rewards_of_their_group(rewards):
    """GRPO's equation 3, against numpy; a group whose rewards are equal teaches nothing."""
    kept = GroupAdvantages().keep([group_of(*rewards)], {}, Iteration(0, 1, 0))
    plain = GroupAdvantages(scale=False).keep([group_of(*rewards)], {}, Iteration(0, 1, 0))
    if len(set(rewards)) == 1:
        assert kept == plain == []
        return
    values = np.array(rewards, dtype=float)
    assert [one.weight for one in kept] == pytest.approx(list((values - values.mean()) / values.std()))
    assert [one.weight for one in plain] == pytest.approx(list(values - values.mean()))
    assert [one.completion.content for one in kept] == [f"answer {i}" for i in range(len(rewards))]


def test_the_worst_is_kept_to_be_unlearned():
    """Ties go to the first, and groups that are all alike or empty are left out."""
    groups = [scored("a", 2, 5, 1, 5, 1), scored("b", 3, 3), scored("c"), scored("d", 7)]
    kept = BestAndWorst(worst_weight=0.5).keep(groups, {}, NOW)
    assert [(one.prompt.id, kept_number(one), one.reward, one.weight) for one in kept] == [
        ("a", 1, 5, 1.0),
        ("a", 2, 1, -0.5),
    ]
