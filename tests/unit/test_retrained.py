"""The distance to retrained models, by hand and in expectation."""

import json
import random
from math import inf, pi, sqrt
from pathlib import Path

import pytest

from benchmarks.distance import distances, measured_in, table
from collapse_core import CollapseError
from collapse_core.results.retrained import distance_to_retrained

ROOT = Path(__file__).parents[2]
METHODS = ROOT / "benchmarks" / "methods"
RETRAINED = [{"es": 0.20, "utility": 53.0}, {"es": 0.24, "utility": 55.0}, {"es": 0.28, "utility": 54.0}]


def test_gaps_are_mean_differences_in_units_of_those_between_the_retrained_models():
    found = distance_to_retrained([{"es": 0.04, "utility": 54.0}, {"es": 0.04, "utility": 54.5}], RETRAINED)
    es, utility = found.gaps
    assert es.distance == pytest.approx((0.16 + 0.20 + 0.24) / 3)
    assert es.spread == pytest.approx((0.04 + 0.08 + 0.04) / 3)
    assert es.ratio == pytest.approx(0.20 / (0.16 / 3))
    assert utility.distance == pytest.approx(((1 + 1 + 0) / 3 + (1.5 + 0.5 + 0.5) / 3) / 2)
    assert utility.spread == pytest.approx((2 + 1 + 1) / 3)
    assert (es.inside, utility.inside) == (False, True)
    assert found.share_inside == 0.5
    assert found.median_ratio == pytest.approx((es.ratio + utility.ratio) / 2)


def test_forgetting_less_and_forgetting_more_are_equally_far():
    less, more = (distance_to_retrained([{"es": x}], RETRAINED).gaps[0] for x in (0.44, 0.04))
    assert less.ratio == pytest.approx(more.ratio)
    assert not less.inside
    assert not more.inside


def test_where_the_retrained_models_agree_only_the_same_value_is_inside():
    agreed = [{"said": 0.0}, {"said": 0.0}]
    same, other = (distance_to_retrained([{"said": x}], agreed).gaps[0] for x in (0.0, 5.0))
    assert (same.ratio, same.inside) == (0.0, True)
    assert (other.ratio, other.inside) == (inf, False)


def test_a_model_drawn_like_the_retrained_ones_is_as_far_as_they_are_from_each_other():
    """Both means are 2 sd / sqrt(pi) for a normal distribution."""
    source = random.Random(4)
    draws = [[{"x": source.gauss(3, 2)} for _ in range(4)] for _ in range(4000)]
    gaps = [distance_to_retrained(some[:1], some[1:]).gaps[0] for some in draws]
    expected = 2 * 2 / sqrt(pi)
    assert sum(gap.distance for gap in gaps) / len(gaps) == pytest.approx(expected, rel=0.03)
    assert sum(gap.spread for gap in gaps) / len(gaps) == pytest.approx(expected, rel=0.03)


def test_only_metrics_that_all_models_have_are_compared():
    models = [{"utility": 54.0, "seconds": 3.0}]
    assert [gap.metric for gap in distance_to_retrained(models, RETRAINED).gaps] == ["utility"]
    with pytest.raises(CollapseError, match="'seconds' was not measured in every model"):
        distance_to_retrained(models, RETRAINED, ["seconds"])
    with pytest.raises(CollapseError, match="no metric in common"):
        distance_to_retrained([{"seconds": 3.0}], RETRAINED)


def test_one_retrained_model_has_no_spread():
    with pytest.raises(CollapseError, match="two retrained ones of different seeds; there are 1 and 1"):
        distance_to_retrained(RETRAINED[:1], RETRAINED[1:2])


def test_the_script_reads_runs_and_files_of_methods(tmp_path):
    """One retrained model stands in a file of methods, the others were measured by two runs as baselines."""
    metrics = {"retrained/0": [0.20, None, None], "npo/0": [0.44, None, None], "npo/1": [0.04, None, None]}
    rows = {key: {"es": ends} for key, ends in metrics.items()}
    methods = tmp_path / "measured.json"
    methods.write_text(
        json.dumps({"standards": {"retrained/0": rows.pop("retrained/0")}, "runs": rows, "other": {}})
    )
    for seed, es in ((1, 0.24), (2, 0.28)):
        run = tmp_path / f"run-{seed}"
        run.mkdir()
        (run / "resolved.json").write_text(json.dumps({"recipe": {"name": "guided", "seed": seed}}))
        (run / "evaluations.jsonl").write_text(evaluation("retrained", es) + evaluation("during", 0.9))
        (run / "measured.jsonl").write_text(evaluation("after", 0.25))
    found = distances(measured_in([methods, tmp_path / "run-1", tmp_path / "run-2"]), "retrained")
    assert {name: gap.gaps[0].distance for name, gap in found.items()} == pytest.approx(
        {"npo": (0.20 + 0.20) / 2, "guided": (0.05 + 0.01 + 0.03) / 3}
    )
    lines = table(measured_in([methods, tmp_path / "run-1", tmp_path / "run-2"]), "retrained")
    assert "| npo | 2 | 1 | 0 % | 3.7 |" in lines
    assert "| guided | 2 | 1 | 100 % | 0.6 |" in lines


def evaluation(model, es):
    return json.dumps({"model": model, "iteration": None, "metrics": {"es": {"value": es}}}) + "\n"


def test_the_page_says_how_far_the_measured_methods_ended_from_retrained_models():
    measured = measured_in([METHODS / "measured.json", METHODS / "guided.json"])
    found, page = distances(measured, "retrained"), (ROOT / "docs" / "science.md").read_text()
    for label, name in {"PMC": "pmc", "NPO": "npo", "RMU": "rmu", "`llm_guided.yaml`": "llm_guided"}.items():
        inside, median = 100 * found[name].share_inside, found[name].median_ratio
        assert f"\n| {label} | 3 | {inside:.0f} | {median:.1f} |\n" in page
