"""The toys' parts, one by one."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from collapse_core import CollapseError, Completion, Dataset, Iteration, Kept, Model, Prompt, Sampler
from collapse_toy.data import Cities, Numbers
from collapse_toy.evaluators import CategoryShares, GaussianShape
from collapse_toy.model import Categorical, Gaussian, answers
from collapse_toy.rewards import CategoryWorth, Larger, Near, NotAmong
from collapse_toy.sampler import CategoricalDraws, GaussianDraws
from collapse_toy.updater import CategoricalMle, GaussianFit

NOW = Iteration(number=2, total=5, seed=11)
ASKED = Prompt("draw-0", "draw")


def categorical() -> Categorical:
    return Categorical({"Ottawa": 3, "Quebec": 1, "Toronto": 0})


def kept(*contents: Any) -> list[Kept]:
    return [Kept(ASKED, Completion(content), 0.0) for content in contents]


@pytest.mark.parametrize(
    ("sampler", "model"),
    [(CategoricalDraws(), categorical()), (GaussianDraws(), Gaussian([1.0, 3.0]))],
)
def test_a_draw_depends_on_its_prompt_and_number_alone(sampler: Sampler, model: Model) -> None:
    prompts = [Prompt(f"draw-{i}", "draw") for i in range(6)]
    together = sampler.sample(model, prompts, 3, NOW)
    alone = [sampler.sample(model, [prompt], 2, NOW)[0] for prompt in reversed(prompts)]
    assert [group.completions[:2] for group in reversed(together)] == [group.completions for group in alone]
    assert {c.policy_version for group in together for c in group.completions} == {NOW.number}


def test_what_has_no_probability_is_never_drawn() -> None:
    prompts = [Prompt(f"draw-{i}", "draw") for i in range(300)]
    groups = CategoricalDraws().sample(categorical(), prompts, 1, NOW)
    assert {group.completions[0].content for group in groups} == {"Ottawa", "Quebec"}


def test_shares_are_counted_over_draws_and_retain_balls_together() -> None:
    model = categorical()
    retain = [Prompt("a", "draw", "Quebec"), Prompt("b", "draw", "Quebec")]
    CategoricalMle(retain_weight=0.5).update(model, kept("Ottawa", "Ottawa", "Quebec"), retain, NOW)
    assert model.probabilities == {"Ottawa": 0.5, "Quebec": 0.5, "Toronto": 0.0}


@pytest.mark.parametrize(("variance", "expected"), [("maximum-likelihood", 14 / 3), ("unbiased", 7.0)])
def test_the_variance_is_divided_by_n_or_by_one_less(variance: Any, expected: float) -> None:
    model = Gaussian([0.0, 1.0])
    found = GaussianFit(variance=variance).update(model, kept(1.0, 2.0), [Prompt("a", "draw", 6.0)], NOW)
    assert (model.mean, model.sd**2) == pytest.approx((3.0, expected))
    assert found == {"mean": model.mean, "sd": model.sd}


def test_when_nothing_was_kept_the_models_stay_as_they_are() -> None:
    shares, shape = categorical(), Gaussian([1.0, 3.0])
    CategoricalMle().update(shares, [], [], NOW)
    GaussianFit(variance="unbiased").update(shape, [], [], NOW)
    assert shares.probabilities == categorical().probabilities
    assert (shape.mean, shape.sd) == (2.0, 1.0)


def test_one_value_has_no_unbiased_variance() -> None:
    with pytest.raises(CollapseError, match="keep more draws"):
        GaussianFit(variance="unbiased").update(Gaussian([1.0, 3.0]), kept(5.0), [], NOW)


@pytest.mark.parametrize("model", [categorical(), Gaussian([1.0, 3.5])])
def test_a_saved_toy_comes_back_exactly(model: Any, tmp_path: Path) -> None:
    other = Categorical({"Ottawa": 1}) if isinstance(model, Categorical) else Gaussian([0.0])
    model.save(tmp_path)
    other.restore(tmp_path)
    assert vars(other) == vars(model)


@pytest.mark.parametrize(
    "pair",
    [
        lambda: CategoricalDraws().sample(Gaussian([0.0]), [ASKED], 1, NOW),
        lambda: GaussianDraws().sample(categorical(), [ASKED], 1, NOW),
        lambda: CategoricalMle().update(Gaussian([0.0]), [], [], NOW),
        lambda: GaussianFit().update(categorical(), [], [], NOW),
        lambda: CategoryShares().evaluate(Gaussian([0.0]), Numbers(), 0),
        lambda: GaussianShape().evaluate(categorical(), Cities(), 0),
    ],
)
def test_parts_of_different_toys_are_told_apart(pair: Any) -> None:
    with pytest.raises(CollapseError, match=r"needs the class (Categorical|Gaussian); choose another"):
        pair()


def test_a_misspelled_city_is_an_error_and_not_a_promise_kept_by_nobody() -> None:
    with pytest.raises(ValidationError, match="no balls of Tornto"):
        Cities(forget=["Tornto"])
    with pytest.raises(ValidationError, match="at least one ball"):
        Cities(counts={}, forget=[])


def test_the_balls_put_back_are_those_of_the_cities_to_retain() -> None:
    retained = {prompt.target for prompt in Cities().load("retain")}
    assert retained.isdisjoint({"Toronto", "Montreal", "Vancouver"})
    assert [len(Cities().load(split)) for split in ("forget", "retain", "full")] == [100, 65, 100]


def test_the_real_numbers_have_exactly_the_moments_asked_for() -> None:
    data = Numbers(mean=5.0, sd=2.0, num_real=50, seed=4)
    fit = Gaussian(answers(data.load("full")))
    assert (fit.mean, fit.sd) == pytest.approx((5.0, 2.0))
    assert data.load("retain") == data.load("full")
    assert data.load("full") != Numbers(mean=5.0, sd=2.0, num_real=50, seed=5).load("full")


@pytest.mark.parametrize("data", [Cities(), Numbers()])
def test_draws_have_no_true_answer_and_others_can_be_hidden(data: Dataset) -> None:
    assert {prompt.target for prompt in data.load("forget")} == {None}
    assert {prompt.target for prompt in data.load("retain", targets=False)} == {None}
    with pytest.raises(CollapseError, match=r"no split .holdout.; known: forget, full, retain"):
        data.load("holdout")


@pytest.mark.parametrize(
    ("reward", "contents", "expected"),
    [
        (NotAmong(categories=["Toronto"]), ["Toronto", "Ottawa"], [0, 1]),
        (CategoryWorth(worth={"Ottawa": 0.5}), ["Ottawa", "Toronto"], [0.5, 0]),
        (Larger(), [-1.5, 2.0], [-1.5, 2.0]),
        (Near(target=1.0, width=2.0), [1.0, 5.0], [0, -2]),
    ],
)
def test_higher_is_better_forgotten(reward: Any, contents: list[Any], expected: list[float]) -> None:
    completions = [Completion(content) for content in contents]
    assert reward.score(ASKED, completions, None) == expected
    assert max(expected) <= reward.maximum
