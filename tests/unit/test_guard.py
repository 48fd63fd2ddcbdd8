"""The guard: what it notices, what it does, and that a resumed run does the same."""

import json
import random
import shutil

import pytest

from collapse_core import CollapseError, Recipe, RecipeError, Sampler, State, load_recipe
from collapse_core.contracts.types import Group, Iteration, Prompt
from collapse_core.parts.filters import Above, BestOfN
from collapse_core.parts.guard import LESS, NOTHING, Guard
from collapse_core.testing import numbered

NOW = Iteration(0, 9, 0)


def batch(**passing):
    """A group for each content: so many of 100 completions pass."""
    return [
        Group(Prompt(f"{content}/0", content), numbered(range(100)), tuple([1.0] * num + [0.0] * (100 - num)))
        for content, num in passing.items()
    ]


def watched(guard, *iterations):
    """What a guard remembers after these iterations, one after another."""
    seen = [{}]
    for groups in iterations:
        seen.append(guard.watch(groups, seen[-1]))
    return seen[1:]


def troubles(guard, *iterations):
    return [
        {key.strip('"'): w.trouble for key, w in one.items() if w.trouble}
        for one in watched(guard, *iterations)
    ]


# --- noticing --------------------------------------------------------------------------------------


def test_nothing_that_passes_is_noticed_after_as_many_turns_as_it_has_patience():
    guard = Guard(passes=1.0, patience=3)
    found = troubles(
        guard, batch(a=0, b=5), batch(a=0, b=0), batch(a=0, b=0), batch(a=0, b=0), batch(a=0, b=1)
    )
    assert found == [{}, {}, {"a": NOTHING}, {"b": NOTHING}, {}]


def test_after_trouble_turns_are_counted_anew():
    found = troubles(Guard(passes=1.0, patience=2), *[batch(a=0)] * 6)
    assert found == [{}, {"a": NOTHING}] * 3


def test_a_turn_without_completions_is_no_turn():
    settled = [Group(Prompt("a/0", "a"))]
    found = troubles(Guard(passes=1.0, patience=2), batch(a=0), settled, settled, batch(a=0))
    assert found == [{}, {}, {}, {"a": NOTHING}]


def test_a_share_that_falls_is_noticed_and_one_that_wavers_is_not():
    guard = Guard(passes=1.0, patience=2)
    assert troubles(guard, batch(a=50), batch(a=50), batch(a=45), batch(a=48)) == [{}] * 4
    assert troubles(guard, batch(a=50), batch(a=50), batch(a=30), batch(a=30)) == [{}, {}, {}, {"a": LESS}]
    assert troubles(guard, batch(a=30), batch(a=30), batch(a=50), batch(a=50)) == [{}] * 4


def test_three_standard_errors_of_two_shares_make_the_difference():
    """100 of 200, then k of 200: z = (100 - k) / 200 / sqrt(p (1 - p) 2 / 200), p = (100 + k) / 400."""
    guard = Guard(passes=1.0, patience=2)
    for k in range(40, 100):
        p = (100 + k) / 400
        z = (100 - k) / 200 / (p * (1 - p) * 2 / 200) ** 0.5
        last = troubles(guard, batch(a=50), batch(a=50), batch(a=k // 2), batch(a=k - k // 2))[-1]
        assert bool(last) == (z > 3), k


def test_what_falls_a_little_everywhere_is_noticed_over_all():
    guard = Guard(passes=1.0, patience=1)
    before, after = (dict.fromkeys("abcdefgh", num) for num in (50, 40))
    assert troubles(guard, batch(a=50), batch(a=40))[-1] == {}
    assert troubles(guard, batch(**before), batch(**after))[-1] == dict.fromkeys("abcdefgh", LESS)


def test_chance_alone_hardly_ever_alarms_it():
    """500 runs of eight iterations at an even share: three standard errors are passed by chance in 0.1 %."""
    source, alarms = random.Random(0), 0
    for _ in range(500):
        iterations = [batch(a=sum(source.random() < 0.5 for _ in range(100))) for _ in range(8)]
        alarms += any(troubles(Guard(passes=1.0, patience=4), *iterations))
    assert alarms <= 4


def test_without_a_mark_nothing_is_watched():
    guard = Guard()
    assert guard.watch(batch(a=0), {}) == {}
    assert guard.line(batch(a=0), {}) == {}
    with pytest.raises(ValueError, match="from which reward on a completion 'passes'"):
        Guard(then="stop")


# --- acting ----------------------------------------------------------------------------------------


def recipe(then, **more):
    """Cities, of which none is ever good enough."""
    plain = {
        "version": 1,
        "name": "guarded",
        "data": {"use": "cities", "num_draws": 6},
        "model": "categorical",
        "sampler": "categorical-draws",
        "rewards": [{"use": "category-worth", "worth": {"Ottawa": 0.5}}],
        "filter": {"use": "above", "threshold": 1},
        "updater": "categorical-mle",
        "iterations": 7,
        "completions_per_prompt": 4,
        "checkpoint": {"every": 1, "keep": 9},
        "guard": {"passes": 1, "patience": 2, "then": then},
    }
    return Recipe.model_validate(plain | more)


def written(tmp_path, then, collapse_here, **more):
    """A run on disk: its journal's lines."""
    path = tmp_path / f"{then}.yaml"
    path.write_text(json.dumps(recipe(then, **more).resolved()))
    done = collapse_here("run", path, "--run-dir", tmp_path / then)
    lines = (tmp_path / then / "journal.jsonl").read_text().splitlines()
    return done, [json.loads(line) for line in lines]


def test_a_warning_changes_nothing_but_is_said_and_written_down(tmp_path, collapse_here):
    done, lines = written(tmp_path, "warn", collapse_here)
    assert done.err.count("guard: no completion has passed for 2 iterations of prompts like 'draw-0'") == 3
    assert [line["guard"]["nothing_passes"] for line in lines] == [[], ["draw-0"]] * 3 + [[]]
    assert {line["num_completions"] for line in lines} == {24}
    assert [line["guard"]["pass_share"] for line in lines] == [0.0] * 7


def test_more_completions_are_drawn_and_not_more_than_the_limit_allows(tmp_path, collapse_here):
    guard = {"passes": 1, "patience": 1, "then": "raise-n", "factor": 1.5, "limit": 2}
    done, lines = written(tmp_path, "raise-n", collapse_here, guard=guard)
    assert [line["num_completions"] // 6 for line in lines] == [4, 6, 9, 9, 9, 9, 9]
    assert [line["guard"]["did"] for line in lines] == ["raise-n"] * 2 + ["warn"] * 5
    assert " ".join(done.err.split()).count("from now on they get more completions") == 2


def test_more_completions_begin_with_the_ones_that_were_drawn_before():
    """So n alone is raised: what is drawn first depends on neither n nor the guard."""
    one = recipe("raise-n", iterations=0)
    model, prompts = one.model.load(one.data, 0), list(one.data.load("forget"))
    [before] = watched(
        one.guard.model_copy(update={"patience": 1}), [Group(prompts[0], numbered([0]), (0.0,))]
    )
    few = one.sampler.sample(model, prompts, 4, NOW)
    more = one.guard.sample(one.sampler, 4, model, prompts, before, NOW, None)
    assert [len(group.completions) for group in more] == [6] * 6
    assert [group.completions[:4] for group in more] == [group.completions for group in few]


def test_a_warmer_sampler_draws_only_what_is_in_trouble():
    class Thermal(Sampler):
        """Answers with its temperature."""

        temperature: float = 1.0
        """It."""

        def sample(self, model, prompts, num_completions, iteration, bound=None):
            return [Group(p, numbered([self.temperature] * num_completions)) for p in prompts]

    guard = Guard(passes=1.0, patience=1, then="raise-temperature", factor=2.0)
    *_, after = watched(guard, batch(a=0, b=9), batch(a=0, b=9))
    prompts = [Prompt("a/7", "a"), Prompt("b/7", "b")]
    hot, cool = guard.sample(Thermal(), 3, None, prompts, after, NOW, None)
    assert [c.content for c in hot.completions] == [4.0] * 3
    assert [c.content for c in cool.completions] == [1.0] * 3


def test_a_sampler_without_a_temperature_cannot_be_warmed(toy):
    path = toy(more="guard: {passes: 1, then: raise-temperature}\n")
    with pytest.raises(RecipeError, match="'categorical-draws' has no temperature to raise"):
        load_recipe(path)


def test_the_other_filter_keeps_what_is_in_trouble_and_no_more(tmp_path, collapse_here):
    guard = Guard(passes=1.0, patience=1, then="fall-back")
    [after] = watched(guard, batch(a=0, b=9))
    groups = batch(a=0, b=2)
    kept = guard.keep(Above(threshold=1.0), groups, {}, after, NOW)
    assert [(one.prompt.id, one.reward) for one in kept] == [("a/0", 0.0), ("b/0", 1.0), ("b/0", 1.0)]
    above = Above(threshold=1.0)
    assert guard.keep(above, groups, {}, {}, NOW) == above.keep(groups, {}, NOW)
    done, lines = written(tmp_path, "fall-back", collapse_here)
    assert [line["num_kept"] for line in lines] == [0, 0, 6, 6, 6, 6, 6]
    assert lines[-1]["reward_kept"]["mean"] > 0, "the least bad are kept, and Ottawa is less bad"
    assert " ".join(done.err.split()).count("they are filtered by 'guard.fall_back'") == 1


def test_a_run_that_is_to_stop_ends_with_a_sentence_and_a_line_that_says_why(tmp_path, collapse_here):
    done, lines = written(tmp_path, "stop", collapse_here)
    assert done.code == 1
    assert (
        "the guard stopped the run after iteration 2: no completion has passed for 2 iterations" in done.err
    )
    assert len(lines) == 2
    assert lines[-1]["guard"]["did"] == "stop"
    assert json.loads((tmp_path / "stop/status.json").read_text())["status"] == "failed"


def test_a_fallback_that_needs_true_answers_is_counted_among_those_who_do():
    class Knowing(BestOfN):
        """Looks."""

        needs_targets = True

    assert not recipe("fall-back").needs_targets
    knowing = Guard(passes=1.0, then="fall-back", fall_back=Knowing())
    assert recipe("fall-back").model_copy(update={"guard": knowing}).needs_targets


# --- remembering -----------------------------------------------------------------------------------


@pytest.mark.parametrize("then", ["raise-n", "fall-back"])
@pytest.mark.parametrize("cut", [1, 3])
def test_a_resumed_run_acts_as_if_it_had_never_stopped(tmp_path, collapse_here, then, cut):
    written(tmp_path, then, collapse_here)
    whole = (tmp_path / then / "journal.jsonl").read_bytes()
    for number in range(cut + 1, 8):
        shutil.rmtree(tmp_path / then / "checkpoints" / str(number))
    (tmp_path / then / "status.json").unlink()
    assert collapse_here("resume", tmp_path / then).code == 0
    assert (tmp_path / then / "journal.jsonl").read_bytes() == whole


def test_what_it_remembers_survives_json():
    guard = Guard(passes=1.0, patience=2)
    state = State(watched=watched(guard, batch(a=0, b=3), batch(a=0, b=4), batch(a=1, b=0))[-1])
    again = State.from_json(json.loads(json.dumps(state.to_json())), {})
    assert again.watched == state.watched
    assert state.watched['"a"'].raised == 1


def test_a_stopping_guard_raises_only_for_trouble():
    guard = Guard(passes=1.0, patience=1, then="stop")
    guard.stop(NOW, watched(guard, batch(a=1))[-1])
    with pytest.raises(CollapseError, match="stopped the run after iteration 1"):
        guard.stop(NOW, watched(guard, batch(a=0))[-1])
