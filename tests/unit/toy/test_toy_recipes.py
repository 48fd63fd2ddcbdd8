"""The paper's three toy figures and Shumailov's Gaussian, as recipes, through runs on disk."""

import json
from pathlib import Path
from typing import Any

import pytest
from toy_simulation import RECIPES, START, Watched, shape, shares

from collapse_core import collapse, create_run, load_recipe

FORGET = ("Toronto", "Montreal", "Vancouver")
FRAMES = (0, 10, 40, 60)


def figure(name: str, directory: Path) -> dict[int, dict[str, float]]:
    """Run a recipe as it stands; what its evaluator found, by iteration."""
    path = RECIPES / f"{name}.yaml"
    recipe = load_recipe(path)
    run = create_run(recipe, path.read_text(), {}, directory)
    collapse(recipe, run)
    run.close()
    return found(directory)


def found(directory: Path) -> dict[int, dict[str, float]]:
    rows = [json.loads(line) for line in (directory / "evaluations.jsonl").read_text().splitlines()]
    return {row["iteration"]: {key: m["value"] for key, m in row["metrics"].items()} for row in rows}


def test_with_nothing_put_back_one_city_is_left(tmp_path: Path) -> None:
    frames = figure("total_collapse", tmp_path / "run")
    alive = [sum(share > 0 for share in frames[t].values()) for t in FRAMES]
    assert frames[0] == pytest.approx(START)
    assert alive[0] == 10
    assert alive == sorted(alive, reverse=True)
    assert max(frames[60].values()) == 1


def test_with_everything_put_back_every_share_stays(tmp_path: Path) -> None:
    frames = figure("no_collapse", tmp_path / "run")
    for t in FRAMES:
        for city, p in START.items():  # a = 1/2: the stationary standard deviation, four times
            assert abs(frames[t][city] - p) <= 4 * (0.25 * p * (1 - p) / 100 / (1 - 0.25 * 0.99)) ** 0.5


def test_with_only_retain_data_put_back_exactly_the_rest_is_forgotten(tmp_path: Path) -> None:
    frames = figure("partial_collapse", tmp_path / "run")
    assert all(frames[0][city] > 0 for city in FORGET)
    for t in (40, 60):
        assert [frames[t][city] for city in FORGET] == [0, 0, 0]
        for city in set(START) - set(FORGET):
            p = START[city] / 0.65
            assert abs(frames[t][city] - p) <= 4 * (0.3673 * p * (1 - p) / 100 / (1 - 0.3673 * 0.99)) ** 0.5


def test_a_gaussian_of_ten_draws_narrows_to_a_point(tmp_path: Path) -> None:
    frames = figure("gaussian_collapse", tmp_path / "run")
    assert frames[0]["sd"] == pytest.approx(1)
    assert frames[0]["distance_to_real"] == pytest.approx(0, abs=1e-12)
    assert frames[60]["sd"] < 0.2
    assert frames[60]["distance_to_real"] > 0.6


@pytest.mark.parametrize("name", ["partial_collapse", "gaussian_collapse"])
def test_a_run_on_disk_and_one_that_is_only_watched_are_the_same_run(name: str, tmp_path: Path) -> None:
    """What entitles the other tests to their runs without files: same loop, same seed, same models."""
    often = ["iterations=8", "evaluate.every=1", "checkpoint.every=1", "seed=3"]
    recipe = load_recipe(RECIPES / f"{name}.yaml", often)
    run = create_run(recipe, "", {}, tmp_path / "run")
    collapse(recipe, run)
    run.close()
    watched = Watched(recipe, shares if name == "partial_collapse" else moments, None)
    collapse(recipe, watched)
    recorded = list(found(tmp_path / "run").values())
    assert len(recorded) == 9
    for seen, row in zip(watched.seen, recorded, strict=True):
        assert seen == {key: row[key] for key in seen}


def moments(model: Any) -> dict[str, float]:
    return dict(zip(("mean", "sd"), shape(model), strict=True))
