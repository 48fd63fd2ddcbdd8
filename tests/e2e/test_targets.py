"""The true forget answers stay unread unless a part needs them, and the manifest says who reads what."""

import json

import pytest

SEALED = '''
from collapse_core import CollapseError, Dataset, Entry, Evaluation, Evaluator, Metric, Prompt, PromptSet
from collapse_core import Reward, hookimpl


class SealedPrompt(Prompt):
    """Raises when its true answer is looked at, whoever looks."""

    @property
    def target(self):
        raise CollapseError(f"the true answer of {self.id} was looked at")

    @target.setter
    def target(self, value):
        pass

    def without_target(self):
        return self


class SealedCities(Dataset):
    """Six prompts whose true answers nobody may read."""

    def load(self, split, *, targets=True):
        if split == "forget":
            if targets:
                raise CollapseError("the true answers were asked for")
            return PromptSet(tuple(SealedPrompt(f"draw-{i}", "draw") for i in range(6)))
        cities = ["Ottawa"] * 3 + ["Calgary"] * 3 + ["Toronto"] * (3 if split == "full" else 0)
        return PromptSet(tuple(Prompt(f"{split}-{i}", "draw", city) for i, city in enumerate(cities)))


class AsTarget(Reward):
    """Compares with the true answer, and says so."""

    needs_targets = True

    def score(self, prompt, completions, reference):
        return [float(completion.content != prompt.target) for completion in completions]


class Sneaky(Reward):
    """Compares with the true answer, and does not say so."""

    def score(self, prompt, completions, reference):
        return [float(completion.content != prompt.target) for completion in completions]


class Reads(Evaluator):
    """Declares that it reads two splits with their true answers."""

    reads = ("retain", "full")

    def evaluate(self, model, data, seed):
        return Evaluation({"num": Metric(float(len(data.load("full"))))})


@hookimpl
def collapse_components():
    yield Entry("dataset", "sealed-cities", SealedCities)
    yield Entry("reward", "as-target", AsTarget)
    yield Entry("reward", "sneaky", Sneaky)
    yield Entry("evaluator", "reads", Reads)
'''

NOT_AMONG = "{use: not-among, categories: [Toronto, Montreal, Vancouver]}"


@pytest.fixture
def sealed(toy, tmp_path, collapse_here):
    """Runs the toy on sealed data with one reward; gives the outcome and the manifest."""
    (tmp_path / "sealed.py").write_text(SEALED)

    def run(reward: str, *more: str):
        path = toy(data="data: {use: sealed-cities}", more="plugins: [sealed.py]\n")
        path.write_text(path.read_text().replace(NOT_AMONG, reward))
        done = collapse_here("run", path, "--run-dir", tmp_path / "run", *more)
        return done, json.loads((tmp_path / "run" / "environment.json").read_text())["true_answers"]

    return run


def test_a_run_whose_parts_need_no_true_answers_never_reads_one(sealed, tmp_path, collapse_here):
    done, readers = sealed(NOT_AMONG)
    assert done.code == 0, done.err
    assert len((tmp_path / "run" / "journal.jsonl").read_text().splitlines()) == 4
    assert readers == {
        "loop": "never loaded",
        "parts": [],
        "model": ["full"],
        "baselines": {},
        "rewards": {"not-among": []},
        "evaluators": {"category-shares": []},
    }


def test_nor_does_one_that_goes_on_after_an_interruption(sealed, tmp_path, collapse_here):
    done, _ = sealed(NOT_AMONG)
    for name in ("status.json", "checkpoints/4/COMPLETE"):
        (tmp_path / "run" / name).unlink()
    done = collapse_here("resume", tmp_path / "run")
    assert done.code == 0, done.err


def test_a_run_with_a_part_that_needs_them_asks_for_them(sealed):
    done, readers = sealed("{use: as-target}")
    assert (done.code, done.err.splitlines()[-1]) == (1, "collapse: the true answers were asked for")
    assert readers["loop"] == "read, since a part needs them"


def test_a_part_that_looks_at_one_without_saying_so_fails(sealed):
    done, readers = sealed("{use: sneaky}")
    assert done.code == 1
    assert "was looked at" in done.err.splitlines()[-1]
    assert readers["loop"] == "never loaded"


def test_the_manifest_names_the_splits_that_evaluators_read(sealed):
    done, readers = sealed(NOT_AMONG, "--set", "evaluate.with=[reads, category-shares]")
    assert done.code == 0, done.err
    assert readers["evaluators"] == {"reads": ["full", "retain"], "category-shares": []}


def test_a_dry_run_does_not_read_them_either(sealed, toy, tmp_path, collapse_here):
    sealed(NOT_AMONG)
    done = collapse_here("run", tmp_path / "toy.yaml", "--dry-run")
    assert (done.code, done.out) == (0, f"{tmp_path / 'toy.yaml'}: ok; 6 prompts to forget, 6 to retain\n")
