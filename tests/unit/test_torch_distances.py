"""Distances in a space of features, which torch computes."""

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from collapse_core import CollapseError, Completion, Content, Dataset, Prompt, PromptSet
from collapse_core.parts.features import Flattened
from collapse_core.parts.rewards import ContrastiveDistance
from collapse_core.testing import check_features, check_reward, numbered
from collapse_core.torch import mean_nearest_distance

pytestmark = pytest.mark.model


class Plane(Dataset):
    """Points to retain."""

    points: list[Content]
    """Where they are."""

    def load(self, split, *, targets=True):
        return PromptSet(
            tuple(Prompt(str(i), "any", p if targets else None) for i, p in enumerate(self.points))
        )


def cloud(seed, num, center=0.0):
    source = random.Random(seed)
    return [[source.gauss(center), source.gauss(center)] for _ in range(num)]


def contrastive(retained, own, **fields):
    """The reward, prepared with what the model used to draw: points by what was asked."""
    reward = ContrastiveDistance(features=Flattened(standardize=False), **fields)
    prompts = [Prompt(f"{asked}/{i}", asked) for asked, points in own.items() for i in range(len(points))]
    points = [point for points in own.values() for point in points]
    answers = {p.id: Completion(point) for p, point in zip(prompts, points, strict=True)}
    reward.prepare(Plane(points=retained), prompts, answers)
    return reward


@pytest.mark.parametrize("neighbors", [1, 5, 100])
def test_it_is_the_distance_to_ones_own_past_minus_that_to_the_retain_data(neighbors):
    retained, own, new = cloud(1, 40), cloud(2, 30, center=3.0), cloud(3, 12, center=1.0)
    reward = contrastive(retained, {"8": own}, neighbors=neighbors)
    scores = reward.score(Prompt("8/0", "8"), numbered(new), None)

    def mean_nearest(others):
        return np.sort(cdist(new, others), axis=1)[:, :neighbors].mean(axis=1)

    assert scores == pytest.approx(list(mean_nearest(own) - mean_nearest(retained)))


def test_each_question_is_compared_with_its_own_past_only():
    reward = contrastive([[0.0, 0.0]], {"a": [[1.0, 0.0]], "b": [[0.0, 5.0]]})
    there = numbered([[0.0, 0.0]])
    assert reward.score(Prompt("new", "a"), there, None) == [1.0]
    assert reward.score(Prompt("new", "b"), there, None) == [5.0]
    assert reward.score(Prompt("new", "c"), there, None) == [None], "it was never asked: nothing to say"


def test_leaving_all_data_earns_nothing_where_going_to_the_retain_data_does():
    reward = contrastive(cloud(1, 50), {"8": cloud(2, 50, center=4.0)})
    to_retained, far_away, stays = reward.score(
        Prompt("8/0", "8"), numbered([[0.0, 0.0], [-300.0, 300.0], [4.0, 4.0]]), None
    )
    assert to_retained > 3 > abs(far_away) > 0 > stays


def test_a_sample_of_the_retain_data_is_the_same_each_time_and_no_larger_than_asked():
    retained, own = cloud(1, 200), {"8": cloud(2, 9)}
    few = [contrastive(retained, own, num_retain=20) for _ in range(2)]
    new, asked = numbered(cloud(3, 6)), Prompt("8/0", "8")
    assert few[0].score(asked, new, None) == few[1].score(asked, new, None)
    assert few[0].score(asked, new, None) != contrastive(retained, own).score(asked, new, None)


def test_without_retain_data_there_is_nothing_to_contrast_with():
    with pytest.raises(CollapseError, match="compares with the split 'retain', which is empty"):
        contrastive([], {"8": cloud(2, 9)})


def test_it_keeps_the_promises_of_a_reward():
    reward = ContrastiveDistance(features="flattened", num_retain=5)
    check_reward(reward, cloud(4, 9), data=Plane(points=cloud(5, 30)))


@given(st.integers(1, 9), st.integers(1, 6))
def test_a_distance_does_not_depend_on_the_points_beside_it(num, neighbors):
    points, others = cloud(num, num), cloud(99, 40)
    together = mean_nearest_distance(points, others, neighbors)
    assert together == [mean_nearest_distance([point], others, neighbors)[0] for point in points]


def test_flattened_numbers_have_mean_zero_and_deviation_one_over_the_retain_data():
    points = [[[1.0, 5.0], [2.0]], [[3.0, 5.0], [8.0]], [[5.0, 5.0], [2.0]]]
    features = Flattened()
    features.prepare(Plane(points=points))
    rows = np.array(features.extract(points))
    assert rows.shape == (3, 3)
    assert rows.mean(axis=0) == pytest.approx([0.0, 0.0, 0.0])
    assert rows.std(axis=0) == pytest.approx([1.0, 0.0, 1.0]), "a constant column stays where it is"
    check_features(Flattened(), points)


def test_a_standardized_distance_is_measured_in_deviations():
    reward = ContrastiveDistance(features="flattened", neighbors=1)
    answers = {"p": Completion([0.0])}
    reward.prepare(Plane(points=[[-10.0], [10.0]]), [Prompt("p", "any")], answers)
    [got] = reward.score(Prompt("p", "any"), numbered([[10.0]]), None)
    assert got == pytest.approx(1.0)
    assert math.isfinite(got)
