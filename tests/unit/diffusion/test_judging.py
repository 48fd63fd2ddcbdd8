"""Judges, distances and evaluators, against independent computations and on cases whose answer is known."""

from math import log

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from sklearn.metrics.pairwise import polynomial_kernel

from collapse_core import CollapseError, Completion, Prompt, standing_in
from collapse_core.testing import check_evaluator, check_reward
from collapse_diffusion.evaluators import ImageDistance, Recognition, Relearning, say_if_random
from collapse_diffusion.evaluators.distances import frechet_distance, kernel_distance, mean_pairwise_distance
from collapse_diffusion.evaluators.verdicts import Verdicts
from collapse_diffusion.judging import Classifier
from collapse_diffusion.judging.recognizer import recognizer
from collapse_diffusion.model.drawing import Drawing
from collapse_diffusion.rewards import Unrecognized
from collapse_diffusion.rewards.features import RetainedClasses

QUICK = Classifier(steps=200)
DENSE = Classifier(architecture="dense", rows="even", steps=400)
FEW = Drawing(steps=2)


@pytest.fixture
def clouds():
    source = torch.Generator().manual_seed(0)
    some = torch.randn(60, 5, generator=source, dtype=torch.float64)
    return some, torch.randn(80, 5, generator=source, dtype=torch.float64) * 2 + 1


def test_the_frechet_distance_is_that_of_the_formula(clouds):
    some, others = (cloud.numpy() for cloud in clouds)
    one, other = np.cov(some.T), np.cov(others.T)
    wanted = np.sum((some.mean(0) - others.mean(0)) ** 2) + np.trace(
        one + other - 2 * sqrtm(one @ other).real
    )
    assert frechet_distance(*clouds) == pytest.approx(wanted, rel=1e-9)
    assert frechet_distance(clouds[0], clouds[0]) == pytest.approx(0, abs=1e-9)


def test_the_frechet_distance_copes_with_fewer_images_than_features(clouds):
    assert frechet_distance(clouds[0][:3], clouds[0][:3]) == pytest.approx(0, abs=1e-6)


def test_the_kernel_distance_is_the_unbiased_estimate(clouds):
    def kernel(a, b):
        return polynomial_kernel(a, b, degree=3, gamma=1 / 5, coef0=1)

    (some, others), n, m = (cloud.numpy() for cloud in clouds), 60, 80
    within = [kernel(c, c).sum() - np.trace(kernel(c, c)) for c in (some, others)]
    wanted = within[0] / (n * (n - 1)) + within[1] / (m * (m - 1)) - 2 * kernel(some, others).mean()
    assert kernel_distance(*clouds) == pytest.approx(wanted, rel=1e-9)


def test_the_kernel_distance_of_two_draws_of_one_distribution_is_zero_in_the_mean():
    source = torch.Generator().manual_seed(1)
    found = [
        kernel_distance(*torch.randn(2, 30, 3, generator=source, dtype=torch.float64)) for _ in range(400)
    ]
    assert abs(np.mean(found)) < 4 * np.std(found) / 20


def test_the_mean_pairwise_distance_needs_a_pair():
    assert mean_pairwise_distance(torch.tensor([[0.0, 0.0], [3.0, 4.0]])) == 5
    assert mean_pairwise_distance(torch.zeros(1, 2)) == 0


def test_a_classifier_of_digits_recognizes_digits_it_has_not_seen(digits):
    test = digits.load("test")
    for settings in (QUICK, DENSE):
        verdicts = Verdicts(recognizer(settings, digits), [p.content for p in test], [p.target for p in test])
        assert np.mean(verdicts.right()) > 0.85


def test_a_classifier_is_the_same_each_time_and_another_by_another_seed(digits):
    images = [prompt.target for prompt in list(digits.load("test"))[:9]]
    first = recognizer(QUICK, digits).probabilities(images)
    assert torch.equal(recognizer(QUICK, digits).probabilities(images), first)
    other = recognizer(QUICK.model_copy(update={"seed": 1}), digits)
    assert not torch.allclose(other.probabilities(images), first)
    assert torch.allclose(first.sum(1), torch.ones(9, dtype=torch.float64))


def test_the_reward_is_high_for_images_of_other_classes_and_low_for_the_class_of_the_prompt(digits):
    reward = Unrecognized(classifier=DENSE)
    prompt = Prompt("8/0", 8)
    images = {name: [] for name in (1, 8)}
    for p in digits.load("test"):
        if p.content in images:
            images[p.content].append(p.target)
    with pytest.raises(CollapseError, match="prepare"):
        reward.score(prompt, [Completion(images[1][0])], None)
    reward.prepare(digits, [prompt], {})
    scores = {
        name: reward.score(prompt, [Completion(i) for i in found], None) for name, found in images.items()
    }
    assert np.mean(scores[1]) > 0.75 > 0.5 > np.mean(scores[8])
    check_reward(reward, [*images[1][:3], *images[8][:3]], prompt)


def test_the_features_never_see_what_is_forgotten(digits):
    seen = []

    class Watched(type(digits)):
        def load(self, split, *, targets=True):
            seen.append(split)
            return super().load(split, targets=targets)

    features = RetainedClasses(classifier=DENSE.model_copy(update={"rows": "all"}))
    with pytest.raises(CollapseError, match="prepare"):
        features.extract([])
    features.prepare(Watched(**digits.model_dump()))
    assert set(seen) == {"retain"}
    assert 8 not in features._recognizer.classes
    images = [prompt.target for prompt in list(digits.load("test"))[:4]]
    assert features.extract(images).shape == (4, 128)


class OracleJudge:
    """Sees the class that is written in the corner of an image."""

    def __init__(self, num):
        self.classes = list(range(num))

    def probabilities(self, images):
        found = torch.full((len(images), len(self.classes)), 0.01)
        found[range(len(images)), [image[0][0] for image in images]] = 0.91
        return found

    def features(self, images):
        return torch.tensor([[float(image[0][1])] for image in images])

    def column(self, name):
        return self.classes.index(name)


def image(name, value=0):
    return [[name, value], [0, 0]]


def test_verdicts_count_what_is_seen():
    images = [image(8), image(3), image(3), image(8), image(1)]
    verdicts = Verdicts(OracleJudge(10), [8, 8, 8, 8, 1], images)
    assert verdicts.right() == [1, 0, 0, 1, 1]
    assert verdicts.right(8) == [1, 0, 0, 1]
    assert verdicts.shares()[3] == 0.4
    entropy = -(2 * 0.4 * log(0.4) + 0.2 * log(0.2))
    assert log(verdicts.effective_num_classes()) == pytest.approx(entropy)
    assert verdicts.likelihood() == pytest.approx([0.91, 0.01, 0.01, 0.91, 0.91])
    assert [row["prompt"] for row in verdicts.examples("forget", 2)] == ["8/0", "8/1", "1/0"]


def test_diversity_is_the_mean_distance_within_what_is_seen_as_one_class():
    images = [image(3, 0), image(3, 4), image(3, 8), image(5, 1), image(5, 2), image(9, 200)]
    verdicts = Verdicts(OracleJudge(10), [8] * 6, images)
    assert verdicts.diversity() == pytest.approx((4 + 4 + 8 + 1) / 4)
    assert Verdicts(OracleJudge(10), [8], [image(3)]).diversity() == 0


@pytest.mark.parametrize(
    "evaluator",
    [
        Recognition(judge=QUICK, drawing=FEW, num_forget=6, num_retain=3),
        ImageDistance(judge=QUICK, drawing=FEW, num_retain=3),
        Relearning(judge=QUICK, drawing=FEW, num_forget=4, after=[1, 2], batch_size=4),
    ],
    ids=lambda evaluator: type(evaluator).__name__,
)
def test_an_evaluator_changes_nothing_and_reads_what_it_declares(evaluator, model, digits):
    check_evaluator(evaluator, model, digits)


def test_relearning_is_measured_on_a_copy_that_does_learn(model, digits):
    from collapse_diffusion.evaluators.relearning import relearn

    settings = Relearning(after=[1, 20], learning_rate=2e-3)
    examples = digits.load("forget_examples")
    batch = [(prompt.content, prompt.target) for prompt in examples]

    def loss(of):
        with torch.no_grad():
            return of.losses(batch, torch.Generator().manual_seed(0)).mean().item()

    found = {num: loss(copy) for num, copy in relearn(settings, model, examples, 0)}
    assert found[20] < found[1] < loss(model)


def test_recognition_of_the_real_images_is_the_judges_accuracy_and_their_diversity_is_one(
    digits, monkeypatch
):
    """A model that draws real images of the classes it is asked for: nothing is lost, nothing forgotten."""
    by_class = {}
    for prompt in digits.load("test"):
        by_class.setdefault(prompt.content, []).append(prompt.target)

    def draw(self, model, names, num, seed):
        return [by_class[name][i % len(by_class[name])] for name in names for i in range(num)]

    monkeypatch.setattr(Recognition, "_draw", draw)
    found = Recognition(judge=Classifier(), num_forget=30, num_retain=30).evaluate(None, digits, 0).metrics
    assert found["forget_recognized"].value > 85
    assert found["retain_recognized"].value > 90
    assert found["worst_retain_recognized"].value <= found["retain_recognized"].value
    assert found["forget_diversity"].value == pytest.approx(1, abs=0.3)
    monkeypatch.setattr(ImageDistance, "_draw", draw)
    distance = ImageDistance(judge=Classifier(), num_retain=30).evaluate(None, digits, 0).metrics
    assert distance["frechet_retain"].value < distance["frechet_floor"].value


def test_images_that_fit_other_captions_as_well_say_nothing_by_clip():
    with standing_in({}) as notes:
        say_if_random([[0.2, 0.3], [0.3, 0.2]], ["a cat", "a dog"])
        say_if_random([[0.3, 0.1], [0.1, 0.3]], ["a cat", "a dog"])
        say_if_random([[0.3, 0.3], [0.3, 0.3]], ["a cat", "a cat"])
    assert [note.partition(",")[0] for note in notes] == [
        "images of retained captions fit their own caption no better than others"
    ]
