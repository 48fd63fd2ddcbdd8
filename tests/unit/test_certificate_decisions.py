"""Whether criteria are met, against computations that share no code."""

import random
from dataclasses import asdict
from pathlib import Path

import pytest
from scipy import stats

from collapse_core import PERCENT, Metric, difference_metric, mean_metric
from collapse_core.certificate.claims import claim_of, not_shown
from collapse_core.certificate.deciding import decide, holm, same_score_tail
from collapse_core.recipe.criteria import Criterion
from collapse_core.results.results import Results

Z = stats.norm.ppf(0.975)


def measured(value, error, num=None):
    """A metric with the 95 % interval of a normal mean."""
    return {"value": value, "low": value - Z * error, "high": value + Z * error, "num": num}


def results(**models):
    """Results of an evaluator "probe", by model and metric; of an attack if its name says so."""
    rows = [
        {
            "model": model,
            "iteration": None,
            "evaluator": "attack" if name.startswith("attack") else "probe",
            "metrics": {name: metric},
        }
        for model, metrics in models.items()
        for name, metric in metrics.items()
    ]
    answers = {"evaluators": {"probe": ["forget"], "attack": ["forget"]}, "baselines": {"fresh": ["retain"]}}
    environment = {"attacks": ["attack"], "true_answers": answers}
    return Results(Path("nowhere"), "some", [], rows, [], environment=environment)


def verdict(found, **fields):
    [decision] = decide([Criterion(metric="m", **fields)], found)
    return decision


def test_a_bound_that_is_passed_by_far_is_met_and_one_that_is_missed_by_far_is_not():
    found = results(after={"m": measured(10.0, 1.0)})
    assert verdict(found, at_most=15).verdict == "met"
    assert verdict(found, at_most=5).verdict == "not met"
    assert verdict(found, at_most=10.5).verdict == "cannot be told"
    assert verdict(found, at_least=5).verdict == "met"
    assert verdict(found, at_least=15).verdict == "not met"


@pytest.mark.parametrize("bound", [8.0, 11.0, 12.5])
def test_the_p_value_of_a_bound_is_that_of_the_normal_test(bound):
    decision = verdict(results(after={"m": measured(10.0, 1.0)}), at_most=bound)
    assert decision.p_met == pytest.approx(stats.norm.sf((bound - 10.0) / 1.0))
    assert decision.p_not_met == pytest.approx(stats.norm.cdf((bound - 10.0) / 1.0))


@pytest.mark.parametrize("apart", [-3.0, 0.0, 1.0, 2.9])
def test_equivalence_is_decided_as_by_the_inclusion_of_the_interval(apart):
    """Schuirmann: both tests reject at 5 % just where the 90 % interval lies within the margin."""
    found = results(after={"m": measured(apart, 1.0)}, fresh={"m": measured(0.0, 1.0)})
    decision = verdict(found, within=3.0, against="fresh")
    half = stats.norm.ppf(0.95) * 2**0.5
    assert (decision.verdict == "met") == (apart - half > -3.0 and apart + half < 3.0)
    expected = max(stats.norm.sf((apart + 3.0) / 2**0.5), stats.norm.sf((3.0 - apart) / 2**0.5))
    assert decision.p_met == pytest.approx(expected)


def test_no_difference_between_uncertain_metrics_is_no_equivalence():
    found = results(after={"m": measured(0.0, 5.0)}, fresh={"m": measured(0.0, 5.0)})
    assert verdict(found, within=3.0, against="fresh").verdict == "cannot be told"


def test_a_model_that_is_surely_far_away_is_not_equivalent():
    found = results(after={"m": measured(-9.0, 0.5)}, fresh={"m": measured(0.0, 0.5)})
    assert verdict(found, within=3.0, against="fresh").verdict == "not met"


def test_the_interval_of_a_difference_is_that_of_independent_means():
    found = difference_metric(Metric(3.0, "none", 1.0, 4.0), Metric(1.0, "none", 0.5, 3.0))
    assert (found.value, found.low, found.high) == pytest.approx((2.0, 2 - 8**0.5, 2 + 1.25**0.5))


def test_holm_multiplies_the_least_most():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.4, 0.6]) == pytest.approx([0.8, 0.8])
    assert holm([]) == []


def test_many_criteria_make_each_of_them_harder_to_meet():
    found = results(after={"m": measured(10.0, 1.0), "n": measured(10.0, 1.0)})
    alone = decide([Criterion(metric="m", at_most=11.8)], found)
    both = decide([Criterion(metric=name, at_most=11.8) for name in ("m", "n")], found)
    with_absent = decide([Criterion(metric=name, at_most=11.8) for name in ("m", "absent")], found)
    assert [one.verdict for one in alone] == ["met"]
    assert {one.verdict for one in (*both, *with_absent)} == {"cannot be told"}
    assert both[0].p_met == pytest.approx(2 * alone[0].p_met)


def test_at_the_bound_a_criterion_is_wrongly_called_met_no_more_often_than_its_confidence_allows():
    source = random.Random(0)
    draws = [source.gauss(10.0, 1.0) for _ in range(4000)]
    met = [verdict(results(after={"m": measured(d, 1.0)}), at_most=10).verdict == "met" for d in draws]
    assert 0.04 < sum(met) / len(met) < 0.06


def test_questions_that_all_score_the_same_prove_little_without_a_scale():
    same = {"value": 0.0, "low": 0.0, "high": 0.0, "num": 40}
    decision = verdict(results(after={"m": same}), at_most=5)
    assert decision.verdict == "cannot be told"
    assert "give 'scale'" in decision.why


@pytest.mark.parametrize(
    ("num", "bound", "says"), [(40, 10, "met"), (40, 5, "cannot be told"), (60, 5, "met")]
)
def test_questions_that_all_score_zero_bound_the_rate_as_the_binomial_test_does(num, bound, says):
    same = {"value": 0.0, "low": 0.0, "high": 0.0, "num": num}
    decision = verdict(results(after={"m": same}), at_most=bound, scale=(0, 100))
    assert decision.p_met == pytest.approx(stats.binomtest(0, num, bound / 100, "less").pvalue)
    assert decision.verdict == says
    exact = stats.binomtest(0, num).proportion_ci(0.95, "exact")
    assert decision.compared.high == pytest.approx(100 * exact.high)


@pytest.mark.parametrize(("num", "bound"), [(20, 10), (20, 50), (40, 5)])
def test_questions_that_all_score_at_an_end_of_their_scale_need_no_scale_in_the_recipe(num, bound):
    for hits, side in ((0.0, "less"), (100.0, "greater")):
        found = mean_metric([[hits] * num], scale=PERCENT)
        limit = {"at_most": bound} if side == "less" else {"at_least": 100 - bound}
        decision = verdict(results(after={"m": asdict(found)}), **limit)
        exact = stats.binomtest(int(num * hits / 100), num, next(iter(limit.values())) / 100, side)
        assert decision.p_met == pytest.approx(exact.pvalue)
        assert decision.test == "one-sided exact binomial test"


def test_no_score_lies_beyond_the_scale():
    assert same_score_tail(2.0, 1.0, 3) == 0.0
    assert same_score_tail(-1.0, 1.0, 3) == 1.0


def test_a_metric_without_an_interval_is_compared_only_where_the_recipe_calls_it_exact():
    found = results(after={"m": {"value": 1.0}})
    assert verdict(found, at_most=1.0).verdict == "cannot be told"
    assert verdict(found, at_most=1.0, exact=True).verdict == "met"
    assert verdict(found, at_least=1.1, exact=True).verdict == "not met"


def test_what_was_not_measured_cannot_be_told():
    decision = verdict(results(before={"m": measured(1, 1)}), at_most=1)
    assert (decision.verdict, decision.why) == (
        "cannot be told",
        "it was not measured in the model after the run",
    )


# --- claims ----------------------------------------------------------------------------------------

SAYS = Criterion(metric="m", at_most=15, claim="does-not-say")
ATTACKED = Criterion(metric="attack_m", at_most=15, claim="cannot-be-made-to-say")
ALIKE = Criterion(metric="m", within=10, against="fresh", claim="cannot-be-told-apart")


def claimed(criteria, found):
    return claim_of(decide(criteria, found), found)


def sound():
    low = measured(10.0, 1.0)
    return results(
        before={"m": measured(90.0, 1.0)}, after={"m": low, "attack_m": low}, fresh={"m": measured(9.0, 1.0)}
    )


def test_each_claim_needs_its_own_criteria_and_those_of_the_weaker_ones():
    levels = [
        claimed(some, sound()).level for some in ([], [SAYS], [SAYS, ATTACKED], [SAYS, ATTACKED, ALIKE])
    ]
    assert levels == ["none", "does-not-say", "cannot-be-made-to-say", "cannot-be-told-apart"]
    assert claimed([ATTACKED, ALIKE], sound()).level == "none"
    assert claimed([SAYS, ALIKE], sound()).level == "does-not-say"


def test_a_claim_falls_with_one_criterion_that_is_not_shown():
    strict = Criterion(metric="m", at_most=10, claim="does-not-say")
    found = claimed([SAYS, strict, ATTACKED], sound())
    assert (found.level, "cannot be told" in found.why) == ("none", True)


def test_a_metric_that_no_attack_measured_does_not_show_that_attacks_fail():
    harmless = Criterion(metric="m", at_most=15, claim="cannot-be-made-to-say")
    found = claimed([SAYS, harmless], sound())
    assert (found.level, "which is no attack" in found.why) == ("does-not-say", True)


def test_a_baseline_that_was_taught_the_secret_is_not_one_that_never_learned():
    found = sound()
    found.environment["true_answers"]["baselines"]["fresh"] = ["full"]
    made = claimed([SAYS, ATTACKED, ALIKE], found)
    assert (made.level, "was taught" in made.why) == ("cannot-be-made-to-say", True)


def test_a_metric_of_other_data_is_no_evidence():
    found = sound()
    found.environment["true_answers"]["evaluators"]["probe"] = ["retain"]
    assert claimed([SAYS], found).level == "none"


def test_a_bound_that_the_model_was_within_before_is_said_to_show_no_change():
    loose = Criterion(metric="m", at_most=95, claim="does-not-say")
    told = not_shown(decide([loose], sound()), sound())
    assert any("the model before is within the bound" in sentence for sentence in told)
    assert not any("within the bound" in one for one in not_shown(decide([SAYS], sound()), sound()))
