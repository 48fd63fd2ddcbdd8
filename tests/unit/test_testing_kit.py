"""The public test kit finds what it is there to find: each promise, broken on purpose."""

import random
from typing import Annotated

import pytest
from annotated_types import Gt
from pydantic import ConfigDict, Field, PrivateAttr

from collapse_core import (
    Completion,
    Dataset,
    Evaluation,
    Evaluator,
    Features,
    Filter,
    Group,
    Metric,
    Pixels,
    Prompt,
    PromptSet,
    Reward,
    Sampler,
    Updater,
    load_splits,
)
from collapse_core.contracts.component import Component
from collapse_core.plugins.registry import Registry
from collapse_core.testing import (
    check_dataset,
    check_evaluator,
    check_features,
    check_filter,
    check_loader,
    check_part,
    check_reward,
    check_sampler,
    check_updater,
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


def breaks(base, doc="A part.", **methods):
    """A subclass with something broken."""
    undocumented = ConfigDict(use_attribute_docstrings=False)  # else the source is searched for each
    return type(
        "Broken", (base,), {"__doc__": doc, "__module__": __name__, "model_config": undocumented, **methods}
    )


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


class Two(Dataset):
    """Two prompts each."""

    def load(self, split, *, targets=True):
        if split not in ("forget", "retain"):
            from collapse_core import CollapseError

            raise CollapseError("no")
        return PromptSet(tuple(Prompt(f"{split}-{i}", "?", "answer" if targets else None) for i in range(2)))


@pytest.mark.parametrize(
    ("complaint", "load"),
    [
        ("is empty", lambda s, split, targets=True: PromptSet(())),
        (
            "two prompts of one id",
            lambda s, split, targets=True: PromptSet((Prompt("a", "?"), Prompt("a", "?"))),
        ),
        ("unasked", lambda s, split, targets=True: PromptSet((Prompt("a", "?", "answer"),))),
        ("companion", lambda s, split, targets=True: PromptSet((Prompt("a", "?", None, {"wrong": 1}),))),
        ("does not exist", lambda s, split, targets=True: PromptSet((Prompt("a", "?"),))),
        (
            "columns of a by targets",
            lambda s, split, targets=True: PromptSet(
                (Prompt("a", "?", columns={"topic": 1} if targets else {}),)
            ),
        ),
    ],
)
def test_a_data_set_that_breaks_a_promise_is_found(complaint, load):
    check_dataset(Two())
    with pytest.raises(AssertionError, match=complaint):
        check_dataset(breaks(Two, load=load)())


@pytest.mark.parametrize(
    ("complaint", "splits"),
    [
        ("lacks 'forget' or 'retain'", lambda s: ["forget"]),
        ("names a split twice", lambda s: ["forget", "retain", "retain"]),
        ("names 'test', which does not load", lambda s: ["forget", "retain", "test"]),
    ],
)
def test_a_data_set_that_misstates_its_splits_is_found(complaint, splits):
    with pytest.raises(AssertionError, match=complaint):
        check_dataset(breaks(Two, splits=splits)())


def toy_part(kind, name, **fields):
    return example(Registry().find(kind, name), **fields)


def test_a_model_that_reads_more_than_it_declares_is_found():
    loader, data = toy_part("model", "categorical"), toy_part("dataset", "cities")
    check_loader(loader, data)
    with pytest.raises(
        AssertionError, match=r"reads the true answers of \['full'\], but not so in its `reads`"
    ):
        check_loader(breaks(type(loader), reads=())(), data)


@pytest.mark.parametrize("batch_matters", [False, True])
def test_a_sampler_whose_draws_depend_on_the_batch_is_found(batch_matters):
    model = toy_part("model", "categorical").load(toy_part("dataset", "cities"), 0)
    prompts = [Prompt(f"p{i}", "draw") for i in range(4)]

    class Counts(Sampler):
        """Says how many prompts there are beside its own."""

        def sample(self, model, prompts, num_completions, iteration, bound=None):
            size = len(prompts) if batch_matters else 0
            numbers = range(num_completions)
            return [Group(p, tuple(Completion(size, n, iteration.number) for n in numbers)) for p in prompts]

    if not batch_matters:
        check_sampler(Counts(), model, prompts)
        return
    with pytest.raises(AssertionError, match="depend on what is drawn with them"):
        check_sampler(Counts(), model, prompts)


def test_an_updater_that_hides_state_is_found():
    data, loader = toy_part("dataset", "cities"), toy_part("model", "categorical")
    retain = list(data.load("retain"))
    kept = [scored("p", 1.0).keep(0)]
    seen = []

    class Hides(Updater):
        """Remembers its calls outside the model."""

        def update(self, model, kept, retain, iteration):
            seen.append(1)
            model.fit({"Ottawa": 1 + len(seen), "Calgary": 1})
            return {}

    with pytest.raises(AssertionError, match="trains another model the second time"):
        check_updater(Hides(), lambda: loader.load(data, 0), kept, retain)


def test_an_evaluator_that_reads_more_than_it_declares_or_trains_is_found():
    data = toy_part("dataset", "cities")
    model = toy_part("model", "categorical").load(data, 0)

    class Peeks(Evaluator):
        """Reads the forget split."""

        def evaluate(self, model, data, seed):
            return Evaluation({"num": Metric(float(len(data.load("forget"))))})

    class Trains(Evaluator):
        """Changes the model."""

        def evaluate(self, model, data, seed):
            model.fit({"Ottawa": 1.0})
            return Evaluation({"num": Metric(1.0)})

    with pytest.raises(AssertionError, match=r"reads the true answers of \['forget'\]"):
        check_evaluator(Peeks(), model, data)
    with pytest.raises(AssertionError, match="changes the model that it measures"):
        check_evaluator(Trains(), model, data)


@pytest.mark.parametrize(
    ("complaint", "without"),
    [
        ("does not say why", Evaluation({"share": Metric(1.0)})),
        ("lists them as missing", Evaluation({"num": Metric(1.0)}, missing={"num": "no split"})),
        ("gives no reason", Evaluation({}, missing={"num": ""})),
    ],
)
def test_an_evaluator_that_is_silent_about_a_missing_split_is_found(complaint, without):
    data = toy_part("dataset", "cities")
    model = toy_part("model", "categorical").load(data, 0)

    class Partial(Evaluator):
        """Counts the balls."""

        reads = ("full",)
        optional_splits = ("full",)

        def evaluate(self, model, data, seed):
            splits = load_splits(self, data)
            if "full" not in splits.found:
                return without or Evaluation({}, missing=splits.missing({"num": self.reads}))
            return Evaluation({"num": Metric(float(len(splits.found["full"])))})

    with pytest.raises(AssertionError, match=complaint):
        check_evaluator(Partial(), model, data)
    without = None
    check_evaluator(Partial(), model, data)


@pytest.mark.parametrize(
    ("complaint", "picture"), [("no Picture", "<svg/>"), ("no image", Pixels([[1], [2, 3]]))]
)
def test_a_picture_that_cannot_be_drawn_is_found(complaint, picture):
    with pytest.raises(AssertionError, match=complaint):
        check_dataset(breaks(Two, picture=lambda s, content: picture)())
