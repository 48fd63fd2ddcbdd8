"""Prompts, seeds and state: what everything else relies on."""

import json
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collapse_core import Completion, Iteration, Kept, Prompt, PromptSet, State, derive_seed
from collapse_core.runtime import files

SIZES = st.integers(1, 12)
SEEDS = st.integers(0, 2**40)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def prompts(num):
    return PromptSet(tuple(Prompt(f"p{number}", number) for number in range(num)))


# --- turns and draws -------------------------------------------------------------------------------


@given(SIZES, st.integers(1, 12), SEEDS)
def test_in_each_pass_every_prompt_has_its_turn_once(size, num, seed):
    everyone = prompts(size)
    if num >= size:
        assert everyone.batch(num, 5, seed) == list(everyone)
        return
    dealt = [prompt.id for iteration in range(size) for prompt in everyone.batch(num, iteration, seed)]
    for start in range(0, len(dealt), size):
        assert Counter(dealt[start : start + size]) == Counter(prompt.id for prompt in everyone)


@given(SIZES, st.integers(1, 5), st.integers(0, 20), SEEDS)
def test_a_turn_depends_on_nothing_that_happened_before(size, num, iteration, seed):
    first = prompts(size).batch(num, iteration, seed)
    everyone = prompts(size)
    for earlier in range(iteration):
        everyone.batch(num, earlier, seed)
    assert everyone.batch(num, iteration, seed) == first


def test_passes_are_shuffled_each_in_its_own_way():
    everyone = prompts(30)
    orders = [
        tuple(p.id for i in range(lap * 3, lap * 3 + 3) for p in everyone.batch(10, i, 4)) for lap in range(4)
    ]
    assert len(set(orders)) == 4
    assert tuple(p.id for p in everyone) not in orders


@given(SIZES, st.integers(0, 30), SEEDS)
def test_a_draw_is_seeded_and_with_replacement(size, num, seed):
    everyone = prompts(size)
    drawn = everyone.draw(num, seed)
    assert len(drawn) == num
    assert set(drawn_ids := [p.id for p in drawn]) <= {p.id for p in everyone}
    assert [p.id for p in everyone.draw(num, seed)] == drawn_ids
    assert everyone.draw("all", seed) == list(everyone)


def test_a_draw_from_nothing_is_nothing():
    assert PromptSet(()).draw(5, 0) == []
    assert PromptSet(()).draw("all", 0) == []


def test_draws_are_uniform():
    counts = Counter(prompt.id for prompt in prompts(4).draw(20_000, 3))
    assert all(abs(count - 5000) < 5 * (20_000 * 0.25 * 0.75) ** 0.5 for count in counts.values())


def test_without_targets_nothing_of_the_answer_is_left():
    told = PromptSet((Prompt("a", "Who?", "Ada", {"wrong": ["Bob"]}),))
    assert told.without_targets() == PromptSet((Prompt("a", "Who?"),))


def test_records_are_frozen():
    for record, field in (
        (Prompt("a", "b"), "target"),
        (Completion("x"), "content"),
        (Iteration(0, 1, 2), "seed"),
    ):
        with pytest.raises(AttributeError):
            setattr(record, field, "changed")


# --- seeds -----------------------------------------------------------------------------------------


def test_seeds_are_what_they_always_were():
    """Other values would change the result of every run that was ever made."""
    assert derive_seed(0) == 5_254_295_370_254_170_289
    assert derive_seed(0, "iteration", 0) == 4_415_498_194_098_084_488
    assert derive_seed(7, "draw-3", 2) == 4_704_188_419_455_430_044
    assert derive_seed(2**40, "Zoë", -1) == 8_700_356_989_896_528_434


@given(SEEDS, st.lists(st.integers() | st.text(), max_size=3))
def test_a_seed_has_63_bits(seed, parts):
    assert 0 <= derive_seed(seed, *parts) < 2**63


@given(
    st.lists(st.tuples(SEEDS, st.integers() | st.text(), st.integers() | st.text()), unique=True, max_size=30)
)
def test_different_draws_have_different_seeds(draws):
    """Also where the texts run together: ("a", "bc") is not ("ab", "c"), and 1 is not "1"."""
    assert len({derive_seed(*draw) for draw in draws}) == len(
        {(type(b), type(c), a, b, c) for a, b, c in draws}
    )


def test_neighboring_seeds_share_no_pattern():
    """Half of the bits differ between neighbors, give or take what chance allows."""
    pairs = [(derive_seed(0, i), derive_seed(0, i + 1)) for i in range(2000)]
    flipped = sum((a ^ b).bit_count() for a, b in pairs) / (63 * len(pairs))
    assert abs(flipped - 0.5) < 5 * 0.5 / (63 * len(pairs)) ** 0.5


@pytest.mark.process
def test_a_seed_is_the_same_in_another_process():
    code = "from collapse_core import derive_seed; print(derive_seed(3, 'a', 1))"
    seen = {subprocess.check_output([sys.executable, "-c", code], env={"PYTHONHASHSEED": s}) for s in "12"}
    assert seen == {f"{derive_seed(3, 'a', 1)}\n".encode()}


# --- state -----------------------------------------------------------------------------------------

COMPLETIONS = st.builds(Completion, JSON, st.integers(0, 9), st.integers(0, 99), st.booleans())
IDS = st.sampled_from([f"p{number}" for number in range(5)])
KEPT = st.builds(
    lambda i, c, r, s: Kept(prompts(5)[i], c, r, s),
    st.integers(0, 4),
    COMPLETIONS,
    st.floats(-9, 9),
    st.booleans(),
)


@given(iteration=st.integers(0, 99), references=st.dictionaries(IDS, COMPLETIONS), kept=st.lists(KEPT))
def test_a_state_survives_its_file(iteration, references, kept, tmp_path_factory):
    state = State(iteration, references).advance(kept)
    path = tmp_path_factory.mktemp("state") / "state.json"
    files.write_tables(path, state.tables())
    written = files.read_json(path)
    assert written == json.loads(json.dumps(state.to_json()))
    assert State.from_json(written, {prompt.id: prompt for prompt in prompts(5)}) == state


@given(st.lists(KEPT))
def test_of_several_for_a_prompt_the_best_becomes_the_incumbent(kept):
    state = State().advance(kept)
    assert state.iteration == 1
    for name, incumbent in state.incumbents.items():
        assert incumbent.reward == max(one.reward for one in kept if one.prompt.id == name)
    assert set(state.incumbents) == {one.prompt.id for one in kept}


def test_prompts_that_have_no_turn_keep_their_incumbents():
    first = Kept(Prompt("a", "a"), Completion("x"), 1.0)
    state = State().advance([first]).advance([Kept(Prompt("b", "b"), Completion("y"), 0.0)])
    assert state.incumbents["a"] is first


def test_a_state_does_not_write_true_answers_down():
    state = State().advance(
        [Kept(Prompt("a", "Who?", "the secret", {"more": "secret"}), Completion("x"), 1.0)]
    )
    assert "secret" not in json.dumps(state.to_json())
