"""The public test kit finds what it is there to find: each promise, broken on purpose."""

import random
from typing import Annotated

import pytest
from annotated_types import Gt
from broken_parts import breaks
from pydantic import ConfigDict, Field, PrivateAttr

from collapse_core import (
    Features,
    Filter,
    Reward,
)
from collapse_core.contracts.component import Component
from collapse_core.testing import (
    check_features,
    check_filter,
    check_part,
    check_reward,
    example,
    scored,
)

TEXTS = ["a", "bb", "ccc"]


class Short(Reward):
    """Prefers short texts."""

    maximum = 0.0

    def score(self, prompt, completions, reference):
        return [-float(len(completion.content)) for completion in completions]


def test_a_sound_part_passes():
    assert check_part("reward", Short) == Short()
    check_reward(Short(), TEXTS)


@pytest.mark.parametrize(
    ("complaint", "methods"),
    [
        ("2 scores for 3 completions", {"score": lambda s, p, c, r: [0.0] * min(2, len(c))}),
        ("scores for no completions", {"score": lambda s, p, c, r: [0.0] * max(1, len(c))}),
        ("a number, or None", {"score": lambda s, p, c, r: ["0"] * len(c)}),
        ("must be finite", {"score": lambda s, p, c, r: [float("nan")] * len(c)}),
        ("more than its maximum", {"score": lambda s, p, c, r: [1.0] * len(c)}),
        ("other scores the second time", {"score": lambda s, p, c, r: [-random.random() for _ in c]}),
        ("depend on the order", {"score": lambda s, p, c, r: [-float(i) for i, _ in enumerate(c)]}),
        ("can reach at most -2", {"upper_bound": lambda s, p, c, r: -2.0}),
    ],
)
def test_a_reward_that_breaks_a_promise_is_found(complaint, methods):
    with pytest.raises(AssertionError, match=complaint):
        check_reward(breaks(Short, **methods)(), TEXTS)


def test_a_ceiling_below_a_continuation_is_found():
    too_low = breaks(
        Short, upper_bound=lambda s, p, partial, r: -float(len(partial)) if partial != "zz" else -3.0
    )
    check_reward(too_low(), TEXTS)
    with pytest.raises(AssertionError, match=r"'zz' can reach at most -3.0, but 'z' gets -1.0"):
        check_reward(too_low(), TEXTS, continuations=[("zz", "z")])


def test_a_reward_sees_the_target_only_if_it_says_that_it_needs_it():
    looks = breaks(Short, score=lambda s, p, c, r: [-float(len(p.target)) for _ in c])
    with pytest.raises(TypeError):
        check_reward(looks(), TEXTS)
    check_reward(breaks(looks, needs_targets=True)(), TEXTS)


class Learned(Short):
    """Learns its bonus."""

    reads = ("retain",)
    bonus: float = 0.0
    """What it adds."""
    _longest: int = PrivateAttr(default=0)

    def prepare(self, data, prompts, references):
        self._longest = max(len(prompt.target) for prompt in data.load("retain"))

    def score(self, prompt, completions, reference):
        return [-float(self._longest) for _ in completions]


@pytest.mark.parametrize(
    ("complaint", "methods"),
    [
        (
            "learns something else each time",
            {"prepare": lambda s, d, p, r: setattr(s, "_longest", random.randrange(10**9))},
        ),
        ("writes what it learns", {"prepare": lambda s, d, p, r: s.__dict__.update(bonus=1.0)}),
        (r"\['retain'\], but not so in its `reads`", {"reads": ()}),
        (r"\['secrets'\], but not so", {"prepare": lambda s, d, p, r: d.load("secrets")}),
    ],
)
def test_a_reward_that_learns_otherwise_than_it_says_is_found(complaint, methods):
    check_reward(Learned(), TEXTS)
    with pytest.raises(AssertionError, match=complaint):
        check_reward(breaks(Learned, **methods)(), TEXTS)


class Lengths(Features):
    """How long a text is."""

    def extract(self, contents):
        return [[float(len(content))] for content in contents]


@pytest.mark.parametrize(
    ("complaint", "methods"),
    [
        ("1 rows for 3 contents", {"extract": lambda s, c: [[1.0]] * min(1, len(c))}),
        ("different lengths", {"extract": lambda s, c: [[1.0] * len(content) for content in c]}),
        ("not finite", {"extract": lambda s, c: [[float("inf")] for _ in c]}),
        ("at one point", {"extract": lambda s, c: [[1.0] for _ in c]}),
        ("by what it is extracted with", {"extract": lambda s, c: [[float(i)] for i, _ in enumerate(c)]}),
        ("rows for no contents", {"extract": lambda s, c: [[float(len(x))] for x in c] or [[0.0]]}),
        ("may learn from 'retain' alone", {"prepare": lambda s, d: d.load("forget")}),
    ],
)
def test_features_that_break_a_promise_are_found(complaint, methods):
    check_features(Lengths(), TEXTS)
    with pytest.raises(AssertionError, match=complaint):
        check_features(breaks(Lengths, **methods)(), TEXTS)


class Undocumented(Short):
    """Has a field without a word."""

    field: int = 0


class Loose(Short):
    """Can be changed."""

    model_config = ConfigDict(frozen=False)


class Greedy(Short):
    """Takes any key."""

    model_config = ConfigDict(extra="ignore")


class Forgetful(Short):
    """Writes its field as something else."""

    words: Annotated[int, Field(exclude=True)] = 0
    """How many."""


class Unordered(Short):
    """Holds a set, whose order is another in every process."""

    words: set[str] = {"alpha", "beta", "gamma", "delta", "epsilon"}
    """Which."""


@pytest.mark.parametrize(
    ("part", "fields", "complaint"),
    [
        (Component, {}, "no subclass of Reward"),
        (breaks(Reward), {}, "does not define score"),
        (breaks(Short, doc=None), {}, "has no docstring"),
        (Undocumented, {}, "Undocumented.field has no docstring"),
        (Loose, {}, "not frozen"),
        (Greedy, {}, "takes keys that it does not know"),
        (Forgetful, {"words": 3}, "not the same after a round trip"),
        (Unordered, {}, "is not stable|changes from process to process"),
    ],
)
def test_a_part_that_breaks_a_promise_is_found(part, fields, complaint):
    with pytest.raises(AssertionError, match=complaint):
        check_part("reward", part, **fields)


def test_a_part_whose_module_loads_a_heavy_library_is_found(tmp_path, monkeypatch):
    (tmp_path / "heavy_part.py").write_text(
        "import numpy\nfrom test_testing_kit import Short\nclass H(Short):\n    'H.'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import heavy_part

    with pytest.raises(AssertionError, match="importing heavy_part loads numpy"):
        check_part("reward", heavy_part.H)


class Many(Short):
    """Requires a field of every sort."""

    a: Annotated[float, Gt(0)]
    """A."""
    b: list[str]
    """B."""
    c: str
    """C."""
    d: Annotated[int, Field(examples=[17])]
    """D."""
    e: dict[str, int]
    """E."""
    f: bool | None
    """F."""


def test_required_fields_are_made_up_from_examples_or_types():
    one = example(Many, c="said")
    assert (one.b, one.c, one.d, one.e, one.f) == ([], "said", 17, {}, False)
    assert one.a > 0


class Keeps(Filter):
    """Keeps all."""

    def keep(self, groups, incumbents, iteration):
        return [group.keep(i) for group in groups for i in range(len(group.rewards))]


@pytest.mark.parametrize(
    ("complaint", "methods"),
    [
        ("in no group and no incumbent", {"keep": lambda s, g, i, n: [scored("z", 1.0).keep(0)]}),
        (
            "the second time",
            {"keep": lambda s, g, i, n: [g[0].keep(random.randrange(3))] * random.randrange(99)},
        ),
        ("has not been sampled", {"settled": lambda s, incumbent: True}),
        ("another one does", {"min_reward_to_keep": lambda s, incumbent: 0.0}),
    ],
)
def test_a_filter_that_breaks_a_promise_is_found(complaint, methods):
    check_filter(Keeps())
    with pytest.raises(AssertionError, match=complaint):
        check_filter(breaks(Keeps, **methods)())
