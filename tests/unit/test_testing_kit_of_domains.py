"""The public test kit finds what breaks a promise in data, models, samplers, updaters and evaluators."""

import pytest
from broken_parts import breaks

from collapse_core import (
    Completion,
    Dataset,
    Evaluation,
    Evaluator,
    Group,
    Metric,
    Pixels,
    Prompt,
    PromptSet,
    Sampler,
    Updater,
    load_splits,
)
from collapse_core.plugins.registry import Registry
from collapse_core.testing import (
    check_dataset,
    check_evaluator,
    check_loader,
    check_sampler,
    check_updater,
    example,
    scored,
)


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


def test_an_evaluator_that_finds_a_number_in_nothing_is_found():
    data = toy_part("dataset", "cities")
    model = toy_part("model", "categorical").load(data, 0)

    class Optimist(Evaluator):
        """Counts what is left."""

        reads = ("full",)

        def evaluate(self, model, data, seed):
            return Evaluation({"left": Metric(float(len(data.load("full"))))})

    with pytest.raises(AssertionError, match=r"measures \['left'\] where all that it reads is empty"):
        check_evaluator(Optimist(), model, data)


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
