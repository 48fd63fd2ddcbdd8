"""What a part raises is named; what it returns is checked where it comes in."""

import json
import math
import re
import runpy

import numpy as np
import pytest

from collapse_core import CollapseError, Completion, Group, Iteration, Kept, Metric, Prompt, Reward, files
from collapse_core.contracts.checks import (
    at_work,
    checked_groups,
    checked_kept,
    checked_metrics,
    checked_references,
    plain_number,
)
from collapse_core.contracts.types import Evaluation
from collapse_core.errors import PartError
from collapse_core.evaluation.during import _finite
from collapse_core.rubric import Rubric

PARTS = """
import sys
from collapse_core import Entry, Evaluator, Filter, Group, Reward, Sampler, Updater, hookimpl
from collapse_toy.sampler import CategoricalDraws
from collapse_toy.updater import CategoricalMle


class Part(BASE):
    \"\"\"A part that breaks its contract.\"\"\"

    BODY


@hookimpl
def collapse_components():
    yield Entry("KIND", "odd", Part)
"""


@pytest.fixture
def odd(toy, tmp_path, collapse_here):
    """Runs the toy with a part of one's own; gives what the command did, and the run's status."""

    def run(kind, base, body, more="", **lines):
        source = PARTS.replace("BASE", base).replace("KIND", kind).replace("BODY", body)
        (tmp_path / "odd.py").write_text(source)
        done = collapse_here(
            "run", toy(more="plugins: [odd.py]\n" + more, **lines), "--run-dir", tmp_path / "run"
        )
        return done, json.loads((tmp_path / "run" / "status.json").read_text())

    return run


REWARD = {"rewards": "rewards:", "  - {use": "  - odd"}
SCORE = "def score(self, prompt, completions, reference):\n        "


@pytest.fixture
def odd_reward(odd):
    return lambda body: odd("reward", "Reward", SCORE + body, **{"  - {use": "  - odd"})


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("return 1 / 0", "failed at prompt 'draw-0': ZeroDivisionError: division by zero"),
        ("sys.exit(0)", "called sys.exit(0) at prompt 'draw-0'"),
        ("open('/nowhere/at all')", "failed at prompt 'draw-0': FileNotFoundError"),
    ],
)
def test_a_reward_that_raises_or_exits_is_named_with_the_prompt_the_file_and_the_line(odd_reward, body, what):
    done, status = odd_reward(body)
    assert (done.code, status["status"]) == (1, "failed")
    assert f"the reward 'odd' {what}" in done.err
    assert "odd.py, line" in done.err
    assert status["error"].startswith("the reward 'odd' ")


@pytest.mark.parametrize(
    ("kind", "base", "body", "lines"),
    [
        (
            "filter",
            "Filter",
            "def keep(self, groups, incumbents, iteration):\n        sys.exit(3)",
            {"filter": "filter: odd"},
        ),
        (
            "updater",
            "CategoricalMle",
            "def update(self, model, kept, retain, iteration):\n        sys.exit(3)",
            {"updater": "updater: odd"},
        ),
        (
            "evaluator",
            "Evaluator",
            "def evaluate(self, model, data, seed):\n        sys.exit(3)",
            {"evaluate": "evaluate: {with: [odd]}"},
        ),
        (
            "sampler",
            "CategoricalDraws",
            "def sample(self, *args):\n        sys.exit(3)",
            {"sampler": "sampler: odd"},
        ),
    ],
)
def test_any_part_that_exits_fails_the_run_and_is_named(odd, kind, base, body, lines):
    done, status = odd(kind, base, body, **lines)
    assert (done.code, status["status"]) == (1, "failed")
    assert f"the {kind} 'odd' called sys.exit(3)" in done.err


def test_what_says_what_to_do_and_a_full_disk_are_not_worded_anew():
    for error in (CollapseError("do this"), OSError(28, "No space left"), KeyboardInterrupt()):
        with pytest.raises(type(error)) as caught, at_work("reward", "r"):
            raise error
        assert caught.value is error


# --- rewards ---------------------------------------------------------------------------------------


def scored(returned, num=2):
    class Odd(Reward):
        """Returns what it is told to."""

        def score(self, prompt, completions, reference):
            return returned

    group = Group(Prompt("p", "?"), tuple(Completion(str(n), n) for n in range(num)))
    return Rubric([Odd(use="odd")]).score(group, None).rewards


@pytest.mark.parametrize(
    "returned",
    [
        (1, 0.5),
        iter([1, 0.5]),
        (score for score in (1, 0.5)),
        np.array([1, 0.5]),
        np.array([1, 0.5], dtype=np.float32),
        [np.int64(1), np.float16(0.5)],
        [True, np.array(0.5)],
    ],
)
def test_any_sequence_of_numbers_is_taken(returned):
    assert scored(returned) == (1.0, 0.5)
    assert all(type(score) is float for score in scored([np.int64(1), None]))


@pytest.mark.parametrize(
    "returned",
    [
        None,
        1.0,
        "ab",
        {"a": 1.0, "b": 2.0},
        {1.0, 2.0},
        ["1", "2"],
        [[1], [2]],
        np.ones((2, 1)),
        [1.0, math.nan],
        [1.0, 10**400],
        [1.0, 1e308],
        [1j, 1],
        [1.0],
    ],
)
def test_anything_else_is_refused_with_the_name_of_the_reward_and_the_prompt(returned):
    with pytest.raises(CollapseError, match=r"the reward 'odd' returned .* 'p'; ") as caught:
        scored(returned)
    assert not isinstance(caught.value, PartError)


def test_a_weight_beyond_all_measure_is_refused(toy, collapse_here):
    path = toy(**{"  - {use": "  - {use: not-among, categories: [Toronto], weight: 1.0e+308}"})
    done = collapse_here("validate", path)
    assert done.code == 2
    assert ":7:" in done.err
    assert "rewards.0.weight: expected at most" in done.err


def test_a_run_in_which_every_reward_abstains_says_so(odd_reward):
    done, status = odd_reward("return [None for _ in completions]")
    assert (done.code, status["status"]) == (0, "finished")
    assert "iteration 1: every reward abstained from every completion" in done.err


# --- samplers and filters --------------------------------------------------------------------------

PROMPTS = [Prompt("a", "?"), Prompt("b", "?")]


def group(prompt, num=2, finished=True):
    return Group(prompt, tuple(Completion("x", n, finished=finished) for n in range(num)))


@pytest.mark.parametrize(
    ("groups", "what"),
    [
        ([], "returned 0 groups for 2 prompts"),
        ([group(PROMPTS[0])], "returned 1 groups for 2 prompts"),
        ([group(PROMPTS[0])] * 2, "returned a group of prompt 'a' in the place of prompt 'b'"),
        ([group(PROMPTS[1]), group(PROMPTS[0])], "returned a group of prompt 'b' in the place of prompt 'a'"),
        ([group(PROMPTS[0]), group(Prompt("z", "?"))], "returned a group of prompt 'z' in the place of"),
        (
            [group(PROMPTS[0]), group(PROMPTS[1], 1)],
            "returned 1 completion of prompt 'b', where 2 were asked",
        ),
        ([group(PROMPTS[0]), group(PROMPTS[1], 2, False)], "left completions of prompt 'b' unfinished"),
    ],
)
def test_a_sampler_that_breaks_its_contract_is_named(groups, what):
    with pytest.raises(CollapseError, match=f"the sampler 's' {what}"):
        checked_groups("s", PROMPTS, 2, groups, lambda prompt: False)


def test_a_sampler_may_stop_early_where_the_filter_keeps_the_best_only():
    groups = [group(prompt, 2, False) for prompt in PROMPTS]
    assert checked_groups("s", PROMPTS, 2, groups, lambda prompt: True) == groups


def test_a_sampler_must_return_one_reference_answer_per_prompt():
    with pytest.raises(CollapseError, match="the sampler 's' returned 1 reference answer for 2 prompts"):
        checked_references("s", PROMPTS, [Completion("x")])


def test_a_filter_that_keeps_foreign_prompts_is_named():
    foreign = Kept(Prompt("z", "?"), Completion("x"), 1.0)
    with pytest.raises(
        CollapseError, match="the filter 'f' kept a completion of prompt 'z', which is not in"
    ):
        checked_kept("f", [group(PROMPTS[0])], [foreign])


def test_a_guard_returns_groups_in_the_order_of_the_prompts_also_of_one_that_is_there_twice():
    from collapse_core.contracts.state import Watch
    from collapse_core.parts.guard import Guard
    from collapse_toy.sampler import CategoricalDraws

    class Echo(CategoricalDraws):
        """Returns empty answers."""

        def sample(self, model, prompts, num_completions, iteration, bound=None):
            return [group(prompt, num_completions) for prompt in prompts]

    asked = [Prompt("a", "?"), Prompt("b", "!"), Prompt("c", "?"), Prompt("b", "!")]
    watched = {asked[0].content_key: Watch("a", raised=1)}
    guard = Guard(passes=1.0, then="raise-n", factor=2)
    groups = guard.sample(Echo(), 2, None, asked, watched, Iteration(0, 1, 0), None)
    assert [(g.prompt.id, len(g.completions)) for g in groups] == [("a", 4), ("b", 2), ("c", 4), ("b", 2)]


# --- updaters and evaluators -----------------------------------------------------------------------


def test_numbers_of_an_updater_are_made_plain_and_whole_ones_stay_whole():
    found = checked_metrics("u", {"loss": np.float32(0.5), "steps": 3, "rows": np.int64(4)})
    assert json.dumps(found) == '{"loss": 0.5, "steps": 3, "rows": 4}'


@pytest.mark.parametrize("bad", [{"loss": math.nan}, {"loss": "low"}, {1: 0.5}, {"loss": None}, None])
def test_an_updater_that_reports_something_else_is_named(bad):
    with pytest.raises(CollapseError, match="the updater 'u' re"):
        checked_metrics("u", bad)


def test_a_metric_that_is_no_number_is_missing_with_the_reason_and_an_interval_has_no_ends():
    found = Evaluation({"a": Metric(math.nan), "b": Metric(1.0, low=math.nan, high=2.0), "c": Metric(1.0)})
    metrics, missing = _finite(found)
    assert metrics == {"b": Metric(1.0), "c": Metric(1.0)}
    assert missing == {"a": "it came out as nan, which is no measurement"}


def test_a_file_of_json_holds_no_nan_and_the_error_names_the_file_and_the_key(tmp_path):
    path = tmp_path / "journal.jsonl"
    for write in (files.append_line, files.write_json, lambda path, row: files.write_lines(path, [row])):
        with pytest.raises(
            CollapseError, match=r"journal\.jsonl cannot be written, since 'a\.b' = nan is not"
        ):
            write(path, {"a": {"b": math.nan}})
    assert not path.exists()


def test_half_a_character_is_written_and_read_back(tmp_path):
    files.write_json(tmp_path / "x.json", {"\ud800": "\udfff"})
    assert files.read_json(tmp_path / "x.json") == {"\ud800": "\udfff"}


def test_what_the_disk_refuses_names_the_file(tmp_path, monkeypatch):
    import os

    def refuse(number):
        raise OSError(27, "File too large")

    monkeypatch.setattr(os, "fsync", refuse)
    for write in (files.write_json, files.append_line):
        with pytest.raises(OSError, match="File too large") as caught:
            write(tmp_path / "x.json", {})
        assert caught.value.filename == str(tmp_path / "x.json")


@pytest.mark.parametrize(("value", "plain"), [(10**400, None), ("1", None), (np.ones(2), None), (-2, -2)])
def test_a_plain_number(value, plain):
    assert plain_number(value) == plain


@pytest.mark.parametrize(
    ("folder", "said"),
    [
        ("collapse_llm", "the model 'm' needs the package 'not_there'; install it with pip install "
         "'collapse-unlearning[llm]'"),
        ("collapse_mine", "the model 'm' failed: ModuleNotFoundError: No module named 'not_there'"),
    ],
)  # fmt: skip
def test_a_package_that_an_extra_brings_is_named_with_the_extra(folder, said, tmp_path):
    file = tmp_path / folder / "loading.py"
    file.parent.mkdir()
    file.write_text("import not_there\n")
    with pytest.raises(PartError, match=re.escape(said)), at_work("model", "m"):
        runpy.run_path(str(file))
