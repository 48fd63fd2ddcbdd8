"""The classifier of nodes: the graph of digits, drawn labels, measures."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from collapse_core import Iteration, area_metric
from collapse_core.contracts.types import Group
from collapse_core.testing import (
    check_dataset,
    check_evaluator,
    check_loader,
    check_sampler,
    check_updater,
    numbered,
    score,
)
from collapse_graph.data import DigitsGraph
from collapse_graph.evaluators import MembershipInference, NodeAccuracy
from collapse_graph.model import NodeClassifier, TeachLabels
from collapse_graph.rewards import OtherLabel
from collapse_graph.sampler import DrawLabels
from collapse_graph.updater import LabelLikelihood

FIRST = Iteration(0, 2, 5)


def test_the_data_keep_their_promises(digits):
    check_dataset(digits)
    check_dataset(DigitsGraph(use="digits-graph", forget_label=None))


def test_every_node_is_joined_to_its_nearest_neighbors(digits):
    pixels = load_digits().data
    near = NearestNeighbors(n_neighbors=6).fit(pixels).kneighbors(pixels[:50], return_distance=False)
    joined = set(digits.network().edges)
    for node, found in enumerate(near):
        for other in set(found.tolist()) - {node}:
            assert (max(node, other), min(node, other)) in joined


def test_a_digit_or_a_share_is_forgotten(digits):
    assert {prompt.target for prompt in digits.load("forget")} == {8}
    assert 8 not in {prompt.target for prompt in digits.load("retain")}
    assert 8 in {prompt.target for prompt in digits.load("test")}
    some = DigitsGraph(forget_label=None, forget_share=0.1)
    assert len(some.load("forget")) == round(0.1 * len(some.load("full")))
    assert len({prompt.target for prompt in some.load("forget")}) == 10
    ids = [{prompt.id for prompt in some.load(split)} for split in ("forget", "retain", "test")]
    assert sum(map(len, ids)) == len(set().union(*ids)) == 1797


def test_the_loader_keeps_its_promises(digits):
    check_loader(NodeClassifier(use="node-classifier", hidden=4, teach=TeachLabels(steps=2)), digits)


def test_the_network_is_two_convolutions_with_the_normalized_adjacency(make_classifier):
    """Kipf and Welling: D^-1/2 (A + I) D^-1/2 relu(D^-1/2 (A + I) D^-1/2 X W + b) W' + b'."""
    model = make_classifier()
    weights = {name: value.double() for name, value in model.network.state_dict().items()}
    num = len(model.features)
    joined = torch.eye(num, dtype=torch.float64)
    joined[model.edges[0], model.edges[1]] = 1
    scale = joined.sum(1) ** -0.5
    mixed = scale[:, None] * joined * scale
    hidden = (
        mixed @ (model.features.double() @ weights["first.lin.weight"].T) + weights["first.bias"]
    ).relu()
    logits = mixed @ (hidden @ weights["second.lin.weight"].T) + weights["second.bias"]
    assert torch.allclose(model.probabilities(range(num)), logits.softmax(1), atol=1e-5)


def test_the_sampler_keeps_its_promises_and_refers_to_the_likeliest_label(digits, make_classifier):
    model, sampler = make_classifier(), DrawLabels(use="draw-labels")
    prompts = list(digits.load("forget"))
    check_sampler(sampler, model, prompts[:5])
    likeliest = model.probabilities([prompt.content for prompt in prompts]).argmax(1).tolist()
    assert [one.content for one in sampler.sample_references(model, prompts, Iteration(0, 1, 0))] == likeliest


def test_labels_are_drawn_by_their_probabilities_and_heat_flattens_them(digits, make_classifier):
    model, [prompt] = make_classifier(), list(digits.load("forget"))[:1]
    for temperature in (1.0, 3.0):
        [group] = DrawLabels(temperature=temperature).sample(model, [prompt], 2000, Iteration(0, 1, 0))
        shares = np.bincount([one.content for one in group.completions], minlength=10) / 2000
        assert np.allclose(shares, model.probabilities([prompt.content], temperature)[0], atol=0.05)


def test_the_updater_keeps_its_promises(digits, make_classifier):
    told, asked = list(digits.load("retain"))[:9], list(digits.load("forget"))[:9]
    kept = [Group(ask, numbered([3]), (1.0,)).keep(0) for ask in asked]
    check_updater(LabelLikelihood(num_steps=2, batch_size=4), make_classifier, kept, told)


def test_a_label_that_is_pushed_away_becomes_less_likely(digits, make_classifier):
    asked = list(digits.load("forget"))[:9]
    kept = [Group(ask, numbered([3]), (1.0,)).keep(0, against=8) for ask in asked]
    likely = []
    for weight in (0, 1):
        model = make_classifier()
        model.set_reference(make_classifier)
        LabelLikelihood(num_steps=3, against_weight=weight, learning_rate=1e-2).update(model, kept, [], FIRST)
        likely.append(model.probabilities([ask.content for ask in asked])[:, 8].mean())
    assert likely[1] < likely[0]


def test_the_reward_is_for_any_label_but_its_own():
    assert score(OtherLabel(), [8, 3, 8, 0], reference=8) == [0, 1, 0, 1]


@pytest.mark.parametrize("evaluator", [NodeAccuracy(), MembershipInference()], ids=str)
def test_the_evaluators_keep_their_promises(evaluator, digits, make_classifier):
    check_evaluator(evaluator, make_classifier(), digits)


def test_accuracy_is_counted_apart_for_what_is_forgotten_and_what_stays(digits, make_classifier):
    model = make_classifier()
    found = {name: m.value for name, m in NodeAccuracy().evaluate(model, digits, 0).metrics.items()}
    labels, hits = load_digits().target, {}
    for prompt in digits.load("test"):
        right = model.probabilities([prompt.content]).argmax().item() == labels[prompt.content]
        hits.setdefault(labels[prompt.content] == 8, []).append(right)
    assert found["accuracy_test_forgotten"] == pytest.approx(np.mean(hits[True]))
    assert found["accuracy_test_retained"] == pytest.approx(np.mean(hits[False]))
    assert found["accuracy_test"] == pytest.approx(np.mean(hits[True] + hits[False]))


def test_where_no_digit_is_forgotten_as_such_the_test_is_one(make_classifier, digits):
    share = DigitsGraph(forget_label=None)
    assert "accuracy_test_forgotten" not in NodeAccuracy().evaluate(make_classifier(), share, 0).metrics


def test_the_area_is_the_one_that_scikit_learn_computes():
    source = np.random.default_rng(0)
    members, others = source.integers(0, 9, 40) / 9, source.integers(0, 7, 30) / 9
    expected = roc_auc_score([1] * 40 + [0] * 30, [*members, *others])
    assert area_metric(members.tolist(), others.tolist()).value == pytest.approx(expected)


def test_the_exported_classifier_is_two_layers_of_torch_geometric(make_classifier, tmp_path):
    from torch_geometric.nn import GCN

    model = make_classifier()
    model.export(tmp_path)
    config, weights = (
        json.loads((tmp_path / "config.json").read_text()),
        load_file(tmp_path / "model.safetensors"),
    )
    plain = GCN(config["num_features"], config["hidden"], 2, config["num_labels"]).eval()
    names = {"first": "convs.0", "second": "convs.1"}
    plain.load_state_dict(
        {f"{names[key.partition('.')[0]]}.{key.partition('.')[2]}": value for key, value in weights.items()}
    )
    logits = plain(model.features, model.edges)
    assert torch.allclose(logits.double().softmax(1), model.probabilities(range(len(logits))), atol=1e-6)
