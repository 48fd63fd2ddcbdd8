"""The public test kit, run over every part of every installed plugin."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from contract_examples import (
    CONTENTS,
    CONTINUATIONS,
    DOWNLOADED,
    ELSEWHERE,
    FIELDS,
    MUST_SCORE,
    OPENS_A_MODEL,
    PREPARED_WITH,
    SETUPS,
)

from collapse_core import CollapseError, Model
from collapse_core.contracts.types import Group
from collapse_core.evaluation.during import evaluate_each
from collapse_core.plugins.discovery import Plugin
from collapse_core.plugins.hookspecs import Entry
from collapse_core.plugins.registry import Registry, import_part
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
    numbered,
)

REGISTRY = Registry()
ROOT = Path(__file__).parents[2]


def every(*kinds: str) -> pytest.MarkDecorator:
    """A case for each registered part of these kinds, or of all."""
    found = [(p, e) for p, e in REGISTRY.entries() if not kinds or e.kind in kinds]
    names = [f"{entry.kind}/{entry.name}" for _, entry in found]
    return pytest.mark.parametrize(("plugin", "entry"), found, ids=names)


def made(plugin: Plugin, entry: Entry):
    return example(import_part(plugin, entry), **FIELDS.get((entry.kind, entry.name), {}))


def prepared_with(entry: Entry):
    name = PREPARED_WITH.get((entry.kind, entry.name))
    return next((made(p, e) for p, e in REGISTRY.entries() if (e.kind, e.name) == ("dataset", name)), None)


def test_every_installed_plugin_is_sound():
    assert {plugin.name: plugin.error for plugin in REGISTRY.plugins if plugin.error} == {}
    assert {"core", "toy", "llm"} <= {plugin.name for plugin in REGISTRY.plugins}


@every()
def test_a_part_is_documented_frozen_light_and_survives_json(plugin, entry):
    check_part(entry.kind, import_part(plugin, entry), **FIELDS.get((entry.kind, entry.name), {}))


def any_family(check: Callable[[str], None]) -> bool:
    """Whether a part passes with one family of contents, the first that does; else all that went wrong."""
    failed = {}
    for family in CONTENTS:
        try:
            check(family)
        except Exception as error:
            failed[family] = error
        else:
            return True
    raise AssertionError(f"it passes with no family of contents: {failed}")


@every("reward")
def test_a_reward_scores_each_completion_for_what_it_is(plugin, entry):
    if entry.name in OPENS_A_MODEL:
        return
    reward, data = made(plugin, entry), prepared_with(entry)

    def check(family):
        check_reward(reward, CONTENTS[family], continuations=CONTINUATIONS.get(family, ()), data=data)

    for family in MUST_SCORE.get(plugin.name, ()):
        check(family)
    assert plugin.name in MUST_SCORE or any_family(check)


@every("features")
def test_features_place_each_content_by_itself(plugin, entry):
    features, data = made(plugin, entry), prepared_with(entry)
    assert any_family(lambda family: check_features(features, CONTENTS[family], data))


@every("filter")
def test_a_filter_chooses_among_what_it_is_given(plugin, entry):
    check_filter(made(plugin, entry))


@every("dataset")
def test_a_data_set_that_needs_no_download_keeps_its_promises(plugin, entry):
    if entry.name not in DOWNLOADED:
        check_dataset(made(plugin, entry))


def named(setup: dict, kind: str):
    for name in setup[kind]:
        plugin, entry = next((p, e) for p, e in REGISTRY.entries() if (e.kind, e.name) == (kind, name))
        yield made(plugin, entry)


@pytest.mark.parametrize("setup", SETUPS, ids=lambda setup: setup["model"][0])
def test_the_parts_of_a_domain_keep_their_promises_together(setup):
    for data in named(setup, "dataset"):
        check_dataset(data)
        forget, retain = list(data.load("forget"))[:5], list(data.load("retain"))[:9]
        for loader in named(setup, "model"):
            model = check_loader(loader, data)
            for sampler in named(setup, "sampler"):
                check_sampler(sampler, model, forget)
            pairs = zip(forget, retain, strict=False)
            kept = [Group(asked, numbered([told.target]), (1.0,)).keep(0) for asked, told in pairs]
            for updater in named(setup, "updater"):
                check_updater(updater, partial(loader.load, data, 0), kept, retain)
            for evaluator in named(setup, "evaluator"):
                check_evaluator(evaluator, model, data)


class Broken(Model):
    """A model with a weight that is no number."""

    def save(self, directory): ...

    def restore(self, directory): ...

    def export(self, directory): ...

    def not_finite(self):
        return "layers.3.weight"


@every("evaluator")
def test_an_evaluator_says_what_it_costs(plugin, entry):
    assert "Cost" in (import_part(plugin, entry).__doc__ or "")


@every("evaluator")
def test_no_evaluator_measures_a_model_with_a_weight_that_is_no_number(plugin, entry):
    recipe = SimpleNamespace(evaluate=SimpleNamespace(with_=[made(plugin, entry)]))
    with pytest.raises(CollapseError, match=r"'layers\.3\.weight' holds NaN or infinity"):
        list(evaluate_each(recipe, Broken(), {}))


@every("dataset", "model", "sampler", "updater", "evaluator")
def test_a_part_that_needs_company_is_in_a_setup_or_tested_elsewhere(plugin, entry):
    if plugin.name in ELSEWHERE:
        folder = ROOT / ELSEWHERE[plugin.name]
        part = import_part(plugin, entry).__name__
        texts = [path.read_text() for path in folder.rglob("*.py")]
        assert any(part in text or entry.name in text for text in texts), f"{entry.name} is not in {folder}"
    else:
        assert any(entry.name in setup[entry.kind] for setup in SETUPS), f"{entry.name} is in no setup"
