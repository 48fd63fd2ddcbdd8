"""The recipes that PMC is compared with: each does what it is known for, and reads no more than it says."""

import json
from collections import Counter
from pathlib import Path
from statistics import fmean

import pytest
import torch

from collapse_core import Callback, Completion, Group, Iteration, create_run, load_recipe, open_run
from collapse_core import collapse as run_loop
from collapse_core.report.report import write_report
from collapse_core.run.environment import provenance
from collapse_llm.data import Authors
from collapse_llm.model import CausalLm
from collapse_llm.model.training import answer_losses
from collapse_llm.updater.batches import batches_of

RECIPES = Path(__file__).resolve().parents[3] / "recipes" / "compare"
GIVEN = ("refusal", "refusal_list", "retain_only")
TOLD = ("gradient_ascent", "gradient_difference", "npo", "simnpo", "dpo", "rmu")
SAMPLED = ("pmc", "one_shot", "pmc_alignment", "bradley_terry")
EVERY = (*GIVEN, *TOLD, *SAMPLED)
WITH_A_REFERENCE = ("dpo", *(pytest.param(name, marks=pytest.mark.slow) for name in ("npo", "rmu")))


@pytest.fixture(scope="module")
def taught(tmp_path_factory) -> Path:
    """The model of the smoke recipe, which has memorized the authors' answers."""
    directory = tmp_path_factory.mktemp("taught")
    recipe = load_recipe(RECIPES.parent / "smoke" / "llm_tofu.yaml")
    recipe.model.load(recipe.data, recipe.seed).export(directory)
    return directory


@pytest.fixture(scope="module")
def before(taught) -> tuple[float, float]:
    """The losses of its answers to forget and to retain."""
    model = CausalLm(path=str(taught), compute="float32").load(Authors(), 0)
    return nll(model, "forget"), nll(model, "retain")


@pytest.fixture
def small(taught):
    """A recipe on the tiny model, for a few iterations; what is a method's own stays."""

    def load(name: str, *overrides: str):
        changes = [
            f"model={{use: causal-lm, path: {taught}, compute: float32}}",
            "evaluate={every: 0}",
            "checkpoint={every: 1, keep: 9}",
            "updater.learning_rate=2e-3",
            "updater.warmup=0",
        ]
        if name != "one_shot":
            changes.append("iterations=2")
        if name in SAMPLED:
            changes += ["sampler.max_new_tokens=8", "completions_per_prompt=4"]
        if name == "rmu":
            changes += ["updater.layer=0", "updater.retain_weight=10"]
        return load_recipe(RECIPES / f"{name}.yaml", [*changes, *overrides])

    return load


def run(recipe, directory: Path, *callbacks):
    started = create_run(recipe, "", {}, directory)
    try:
        return run_loop(recipe, started, callbacks)
    finally:
        started.close()


def journal(directory: Path) -> list[dict]:
    return [json.loads(line) for line in (directory / "journal.jsonl").read_text().splitlines()]


def nll(model, split: str) -> float:
    return fmean(fmean(tokens) for tokens in answer_losses(model, list(Authors().load(split))[:20], 20))


ALIKE = ("refusal_list", "gradient_difference", "simnpo", "one_shot", "pmc_alignment", "bradley_terry")
"""Each runs as another one does, with another filter, loss or schedule, which have tests of their own."""


WITHOUT_THOSE = [pytest.param(name, marks=[pytest.mark.slow] * (name in ALIKE)) for name in EVERY]


@pytest.mark.parametrize("name", WITHOUT_THOSE)
def test_it_does_to_the_answers_what_it_is_known_for(name, small, before, tmp_path):
    recipe, (forget, retain) = small(name), before
    assert forget < 0.5, "the model knows the answers"
    after = run(recipe, tmp_path / "run")
    change, beside = nll(after, "forget") - forget, nll(after, "retain") - retain
    if name == "retain_only":
        assert change < 0.3
        assert {line["num_kept"] for line in journal(tmp_path / "run")} == {0}
    else:
        assert change > 0.3
    if name != "gradient_ascent":
        assert beside < change or name == "retain_only"
    for line in journal(tmp_path / "run"):
        assert set(line["update"]) == {recipe.updater.loss_name, "retain_loss", "num_tokens"}


@pytest.mark.parametrize("name", EVERY)
def test_true_answers_to_forget_are_loaded_by_those_alone_that_say_so(name, small, tmp_path, monkeypatch):
    asked = []
    load = Authors.load

    def noting(self, split, *, targets=True):
        asked.append((split, targets))
        return load(self, split, targets=targets)

    monkeypatch.setattr(Authors, "load", noting)
    recipe = small(name, "iterations=0")
    run(recipe, tmp_path / "run")
    assert any(targets for split, targets in asked if split == "forget") == (name in TOLD)
    said = provenance(recipe, [], [])["true_answers"]["loop"]
    assert said == ("read, since a part needs them" if name in TOLD else "never loaded")


@pytest.mark.parametrize("name", ["npo", "refusal"])
def test_the_report_begins_by_saying_whether_it_was_told_what_to_forget(name, small, tmp_path):
    recipe = small(name, "iterations=0")
    started = create_run(recipe, "", provenance(recipe, [], []), tmp_path / "run")
    run_loop(recipe, started)
    started.close()
    write_report([tmp_path / "run"], tmp_path / "report.html")
    header = (tmp_path / "report.html").read_text().partition("</header>")[0]
    assert ("a part of the loop read the true answers" in header) == (name in TOLD)


@pytest.mark.parametrize("name", WITHOUT_THOSE)
def test_it_takes_as_many_steps_on_as_much_data_as_the_flagship(name, model):
    """Every prompt is kept or none is, so that an iteration can be told before it is run."""
    recipe = load_recipe(RECIPES / f"{name}.yaml")
    forget = recipe.data.load("forget", targets=recipe.needs_targets)
    retain = recipe.data.load("retain")
    steps, rows = Counter(), Counter()
    for now in Iteration.remaining(0, recipe.iterations, recipe.seed):
        groups = [Group(p, (Completion("No.", 0, now.number),), maximum=1.0) for p in forget]
        groups = [recipe.rubric.score(group, Completion("Yes, he did.")) for group in groups]
        kept = recipe.filter.keep(groups, {}, now)
        beside = retain.draw(recipe.num_retain(forget), now.seed)
        for batch in batches_of(recipe.updater, model.encoder, kept, beside, now):
            steps["all"] += 1
            rows["kept"] += len(batch.kept)
            rows["retain"] += len(batch.retain)
    assert steps["all"] == 48
    assert rows["kept"] == (0 if name == "retain_only" else 240)
    assert rows["retain"] == (0 if name == "gradient_ascent" else 480)


def test_one_shot_has_the_learning_rates_of_the_flagship():
    from collapse_core.torch import scheduled_rate

    def rates(name):
        recipe = load_recipe(RECIPES / f"{name}.yaml")
        settings, each = recipe.updater, 48 // recipe.iterations
        return [
            scheduled_rate(
                settings.learning_rate,
                settings.schedule,
                settings.warmup,
                (n + 0.5) / each,
                recipe.iterations,
            )
            for n in range(48)
        ]

    assert rates("one_shot") == pytest.approx(rates("pmc"), rel=1e-3)


class KilledError(Exception):
    """What ends a run without a word."""


class Kill(Callback):
    """Kills the run after an iteration."""

    def __init__(self, after: int):
        self.after = after

    def on_iteration(self, line, total):
        if line["iteration"] == self.after:
            raise KilledError


@pytest.mark.parametrize("name", WITH_A_REFERENCE)
def test_killed_and_resumed_it_is_held_against_the_same_original(name, small, tmp_path):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # bit for bit
    recipe = small(name, "iterations=3", "prompts_per_iteration=5")
    straight = run(recipe, tmp_path / "straight")
    with pytest.raises(KilledError):
        run(recipe, tmp_path / "killed", Kill(after=1))
    again = open_run(tmp_path / "killed", recipe)
    resumed = run_loop(recipe, again)
    again.close()
    torch.set_num_threads(threads)
    assert journal(tmp_path / "killed") == journal(tmp_path / "straight")
    for mine, its in zip(straight.module.parameters(), resumed.module.parameters(), strict=True):
        assert torch.equal(mine, its)


@pytest.mark.slow
def test_a_lower_temperature_keeps_better_answers(small, tmp_path):
    """Bradley-Terry between a draw at random and the best of n."""
    kept = {}
    for label, choice in {
        "hot": "{use: bradley-terry, temperature: 100}",
        "cold": "{use: bradley-terry, temperature: 0.001}",
        "best": "{use: best-of-n, memory: false}",
    }.items():
        run(small("bradley_terry", "iterations=1", f"filter={choice}"), tmp_path / label)
        kept[label] = journal(tmp_path / label)[0]["reward_kept"]["mean"]
    assert kept["hot"] < kept["cold"]
    assert kept["cold"] == pytest.approx(kept["best"], abs=1e-6)
