"""The generator of graphs: taught, drawn from, trained, measured, exported."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from collapse_core import CollapseError, Iteration, Metric, Prompt, derive_seed, standing_in
from collapse_core.contracts.types import Group
from collapse_core.testing import (
    check_dataset,
    check_evaluator,
    check_loader,
    check_sampler,
    check_updater,
    numbered,
)
from collapse_core.torch import push_away
from collapse_graph.data.content import is_connected
from collapse_graph.data.isomorphism import isomorphism_classes
from collapse_graph.evaluators import GraphForgetting, GraphQuality, GraphRelearning
from collapse_graph.model import GraphGenerator, NodeClassifier, TeachGraphs
from collapse_graph.model.network import GraphModel
from collapse_graph.model.training import mean_loss, token_losses
from collapse_graph.model.vocabulary import END
from collapse_graph.sampler import DrawGraphs
from collapse_graph.sampler.drawing import draw
from collapse_graph.updater import GraphLikelihood

ITERATION = Iteration(0, 2, 5)


def examples(data, split, num):
    return [(prompt.content, prompt.target) for prompt in data.load(split)][:num]


def test_the_atlas_keeps_the_promises_of_a_data_set(atlas):
    check_dataset(atlas)


def test_the_atlas_divides_every_connected_graph_by_what_it_holds(atlas):
    sets = {split: list(atlas.load(split)) for split in atlas.SPLITS}
    assert len(sets["full"]) + len(sets["test"]) == 992, "the connected graphs of four to seven nodes"
    counts = {c: sum(p.content == c for p in sets["full"] + sets["test"]) for c in ("K4", "triangle-free")}
    assert counts == {"K4": 352, "triangle-free": 87}
    assert {p.id for p in sets["retain"]} | {p.id for p in sets["forget_examples"]} == {
        p.id for p in sets["full"]
    }
    assert {p.content for p in sets["retain"]} == {"triangle", "triangle-free"}
    assert {p.content for p in sets["forget_examples"]} == {p.content for p in sets["forget"]} == {"K4"}
    assert not {p.id for p in sets["test"]} & {p.id for p in sets["full"]}


def test_the_loader_keeps_its_promises(atlas, make_generator):
    loader = GraphGenerator(use="graph-generator", width=8, hidden=8, teach=TeachGraphs(epochs=1))
    check_loader(loader, atlas)


def test_teaching_is_cached_and_the_seed_makes_another_model(atlas, make_generator):
    one, again = make_generator(), make_generator()
    for name, weight in one.network.state_dict().items():
        assert torch.equal(weight, again.network.state_dict()[name])
    loader = GraphGenerator(width=8, hidden=8, teach=TeachGraphs(epochs=1))
    some, other = (loader.load(atlas, seed).network.head.weight for seed in (0, 1))
    assert not torch.equal(some, other)


def test_the_probabilities_of_all_that_may_follow_sum_to_one(atlas, generator):
    """Over every graph of at most two nodes and one edge, and every longer beginning."""
    condition = generator.embedded(["K4"])
    node, edge = 1, 2
    whole = [[node, END], [node, node, END], [node, node, edge, END]]
    losses = [generator.losses([tokens], condition) for tokens in whole]
    logits, _ = generator.network(torch.tensor([[END, node]]), condition)
    after_one = logits[0, 1].softmax(0)
    assert losses[0][1].exp().item() ** -1 == pytest.approx(after_one[END].item(), rel=1e-5)
    assert losses[1][1].exp().item() ** -1 == pytest.approx(after_one[node].item(), rel=1e-5)
    assert after_one.sum().item() == pytest.approx(1)


def test_a_loss_does_not_depend_on_what_stands_beside_it(atlas, generator):
    pairs = examples(atlas, "full", 12)
    sequences = [generator.vocabulary.encode(graph, 0) for _, graph in pairs]
    conditions = [condition for condition, _ in pairs]
    together = generator.losses(sequences, generator.embedded(conditions))
    alone = [
        generator.losses([sequence], generator.embedded([condition]))
        for sequence, condition in zip(sequences, conditions, strict=True)
    ]
    assert torch.allclose(together, torch.cat(alone), atol=1e-5)


def test_the_gradient_of_the_loss_is_its_slope(atlas, generator):
    pairs = examples(atlas, "full", 8)
    generator.network.double()
    weight = generator.network.head.weight
    loss = mean_loss(generator, pairs, 3)
    loss.backward()
    spot, width = (1, 5), 1e-5
    with torch.no_grad():
        slopes = []
        for sign in (1, -1):
            weight[spot] += sign * width
            slopes.append(mean_loss(generator, pairs, 3).item())
            weight[spot] -= sign * width
    assert weight.grad[spot].item() == pytest.approx((slopes[0] - slopes[1]) / (2 * width), rel=1e-4)


def test_what_is_drawn_follows_the_probabilities_of_the_network(atlas, generator):
    """How often the second token comes, against its probability under the grammar."""
    drawn = draw(generator, ["K4"] * 4000, list(range(4000)))
    condition = generator.embedded(["K4"])
    logits, state = generator.network(torch.tensor([[END]]), condition)
    logits, _ = generator.network(torch.tensor([[1]]), condition, state)
    chances = logits[0, 0, [END, 1]].softmax(0)
    single = np.mean([len(graph["nodes"]) == 1 for graph in drawn])
    assert single == pytest.approx(chances[0].item(), abs=4 * np.sqrt(0.25 / 4000))
    assert all(j < i for graph in drawn for i, j, _ in graph["edges"])


def test_a_colder_model_repeats_itself(atlas, generator):
    def variety(temperature):
        graphs = draw(generator, ["triangle"] * 60, list(range(60)), temperature)
        return len(set(isomorphism_classes(graphs)))

    assert variety(0.1) < variety(1.0)


def test_the_sampler_keeps_its_promises(atlas, generator):
    check_sampler(DrawGraphs(use="draw-graphs"), generator, list(atlas.load("forget"))[:5])


def test_the_size_of_a_batch_changes_no_draw(atlas, generator):
    prompts = list(atlas.load("forget"))
    whole, pieces = (
        DrawGraphs(batch_size=size).sample(generator, prompts, 2, ITERATION) for size in (512, 7)
    )
    assert whole == pieces


def test_the_updater_keeps_its_promises(atlas, make_generator):
    told = list(atlas.load("retain"))[:9]
    asked = list(atlas.load("forget"))[:9]
    pairs = zip(asked, told, strict=True)
    kept = [Group(ask, numbered([tell.target]), (0.0,)).keep(0) for ask, tell in pairs]
    check_updater(GraphLikelihood(num_steps=2, batch_size=4), make_generator, kept, told)


def test_training_makes_the_kept_graph_likelier_under_its_condition(atlas, generator):
    told = list(atlas.load("retain"))[:1]
    [ask] = list(atlas.load("forget"))[:1]
    kept = [Group(ask, numbered([told[0].target]), (0.0,)).keep(0)]
    before = mean_loss(generator, [("K4", told[0].target)], 0).item()
    GraphLikelihood(num_steps=20, learning_rate=1e-2).update(generator, kept, [], ITERATION)
    assert mean_loss(generator, [("K4", told[0].target)], 0).item() < before - 0.1


def test_a_retain_weight_of_zero_learns_nothing_from_retain_data(atlas, make_generator):
    told = list(atlas.load("retain"))[:8]
    asked = list(atlas.load("forget"))[:4]
    kept = [Group(ask, numbered([told[0].target]), (0.0,)).keep(0) for ask in asked]
    models = []
    for retain in (told, told[:1]):
        model = make_generator()
        GraphLikelihood(num_steps=3, retain_weight=0).update(model, kept, retain, ITERATION)
        models.append(model.network.head.weight)
    assert torch.equal(*models)


def test_the_gradient_of_a_push_is_that_of_the_tokens_that_are_likely_enough(atlas, make_generator):
    """A token is pushed while its probability is above that under the reference model to the limit."""
    model, reference = make_generator(), make_generator()
    pushed = examples(atlas, "full", 9)
    [ask] = list(atlas.load("forget"))[:1]
    kept = [Group(ask, numbered([pushed[0][1]]), (0.0,)).keep(0)]
    GraphLikelihood(num_steps=9, learning_rate=1e-2).update(model, kept, [], ITERATION)
    model.set_reference(lambda: reference)
    push_away(model, lambda any_model: token_losses(any_model, pushed, 3), 1.1).backward()
    got = [p.grad.clone() for p in model.network.parameters()]
    model.network.zero_grad()

    terms = []
    for place, (condition, graph) in enumerate(pushed):
        tokens = torch.tensor([model.vocabulary.encode(graph, derive_seed(3, "order", place))])
        before = torch.cat([torch.tensor([[END]]), tokens[:, :-1]], 1)
        ours, theirs = (
            each.network(before, each.embedded([condition]))[0].softmax(-1).gather(-1, tokens[..., None])
            for each in (model, reference)
        )
        terms += [(p.log(), p > q**1.1) for p, q in zip(ours.flatten(), theirs.flatten(), strict=True)]
    assert 0 < sum(bool(likely) for _, likely in terms) < len(terms)
    (sum(log for log, likely in terms if likely) / len(terms)).backward()
    for gradient, parameter in zip(got, model.network.parameters(), strict=True):
        assert torch.allclose(gradient, parameter.grad, atol=1e-6)


def test_pushing_makes_a_graph_less_likely_and_goes_on_from_a_saved_model(atlas, make_generator):
    told, asked = list(atlas.load("retain"))[:9], list(atlas.load("forget"))[:9]
    pushed = atlas.load("full")[0].target
    kept = [
        Group(ask, numbered([tell.target]), (0.0,)).keep(0, against=pushed)
        for ask, tell in zip(asked, told, strict=True)
    ]

    def make():
        model = make_generator()
        model.set_reference(make_generator)
        return model

    check_updater(GraphLikelihood(num_steps=2, batch_size=4, against_weight=1), make, kept, told)
    losses = []
    for weight in (0, 1):
        model = make()
        GraphLikelihood(num_steps=9, against_weight=weight).update(model, kept, told, ITERATION)
        losses.append(mean_loss(model, [("K4", pushed)], 0).item())
    assert losses[1] > losses[0] + 0.1


def test_with_nothing_to_train_on_the_model_stays_as_it_is(generator):
    before = generator.network.head.weight.clone()
    assert GraphLikelihood().update(generator, [], [], ITERATION) == {}
    assert torch.equal(before, generator.network.head.weight)


def test_a_kept_graph_that_has_no_tokens_is_left_out(generator):
    strange = {"nodes": ["C"], "edges": []}
    kept = [Group(Prompt("K4/0", "K4"), numbered([strange]), (0.0,)).keep(0)]
    assert GraphLikelihood(num_steps=1).update(generator, kept, [], ITERATION) == {}


def test_a_condition_that_was_never_taught_means_none(atlas):
    loader = GraphGenerator(width=8, hidden=16, teach=TeachGraphs(split="retain", epochs=1))
    model = loader.load(atlas, 0)
    assert isinstance(model, GraphModel)
    assert not model.embedded(["K4"]).any()
    assert model.embedded(["triangle"]).any()
    with pytest.raises(CollapseError, match="has no condition 'K5'; it was made for K4, triangle"):
        model.embedded(["K5"])


@pytest.mark.parametrize(
    "evaluator",
    [
        GraphForgetting(num_draws=20),
        GraphQuality(num_draws=20),
        GraphRelearning(num_draws=20, after=[1, 2], batch_size=8),
    ],
    ids=str,
)
def test_the_evaluators_keep_their_promises(evaluator, atlas, generator):
    check_evaluator(evaluator, generator, atlas)


def test_what_was_never_taught_is_relearned_from_real_graphs(atlas):
    teach = TeachGraphs(split="retain", epochs=6, learning_rate=1e-2)
    loader = GraphGenerator(width=16, hidden=48, teach=teach)
    evaluator = GraphRelearning(num_draws=100, after=[1, 60], learning_rate=5e-3)
    first, last = evaluator.evaluate(loader.load(atlas, 0), atlas, 0).metrics.values()
    assert first.value < 0.5
    assert last.value > first.value + 0.3


def test_a_model_that_has_no_token_for_it_relearns_nothing(molecules):
    """Taught no chlorine, it can neither write it nor be taught it."""
    loader = GraphGenerator(width=8, hidden=16, order="given", teach=TeachGraphs(split="retain", epochs=1))
    evaluator = GraphRelearning(num_draws=20, after=[1, 5], learning_rate=1e-1)
    with standing_in({}) as notes:
        found = evaluator.evaluate(loader.load(molecules, 0), molecules, 0).metrics
    assert [metric.value for metric in found.values()] == [0, 0]
    assert "no tokens for the forgotten graphs" in notes[0]


@pytest.fixture
def says(monkeypatch):
    """Makes the generator draw a known graph for each condition."""

    def install(answers):
        def known(model, conditions, seeds, temperature=1.0, batch_size=512):
            return [answers[condition] for condition in conditions]

        monkeypatch.setattr("collapse_graph.evaluators.drawn.draw", known)

    return install


def test_a_model_that_draws_k4_remembers_and_one_that_draws_trees_has_forgotten(
    atlas, generator, cliques, says
):
    path = {"nodes": ["*"] * 4, "edges": [[1, 0, "-"], [2, 1, "-"], [3, 2, "-"]]}
    measure = GraphForgetting(num_draws=10)
    says({"K4": cliques(5)})
    rate = measure.evaluate(generator, atlas, 0).metrics["forget_rate"]
    alpha = 0.05 / 2  # of ten draws that all show it, Clopper and Pearson's lower end is alpha^(1/10)
    assert rate == Metric(1.0, "down", pytest.approx(alpha**0.1, abs=1e-3), 1.0, 10)
    says({"K4": path})
    found = measure.evaluate(generator, atlas, 0)
    assert found.metrics["forget_rate"].value == 0
    assert found.metrics["goes_to_triangle-free"].value == 1
    assert found.metrics["forget_unique"].value == pytest.approx(0.1), "one graph ten times"
    assert found.examples[0]["answer"] == path


def test_quality_on_known_draws(atlas, generator, cliques, says):
    """Triangles for both conditions: half the accuracy, all valid but too small, one distinct graph."""
    square = {"nodes": ["*"] * 4, "edges": [[1, 0, "-"], [2, 1, "-"], [3, 2, "-"], [3, 0, "-"]]}
    says({"triangle": square, "triangle-free": square})
    found = GraphQuality(num_draws=10).evaluate(generator, atlas, 0).metrics
    assert (found["accuracy"].value, found["accuracy_triangle"].value) == (0.5, 0)
    assert (found["valid"].value, found["unique"].value) == (1, 0.05)
    assert found["mmd_degree"].value > 10 * found["floor_degree"].value
    says({"triangle": cliques(3), "triangle-free": {"nodes": ["*", "*"], "edges": []}})
    assert GraphQuality(num_draws=10).evaluate(generator, atlas, 0).metrics["valid"].value == 0


def test_the_exported_model_is_read_without_collapse(generator, tmp_path):
    """As docs/graphs.md says: config.json and safetensors are all it takes to write a graph."""
    generator.export(tmp_path)
    config, weights = (
        json.loads((tmp_path / "config.json").read_text()),
        load_file(tmp_path / "model.safetensors"),
    )
    meanings = config["vocabulary"]["tokens"]
    sizes = config["sizes"]
    recurrence = torch.nn.GRU(2 * sizes["width"], sizes["hidden"], sizes["layers"], batch_first=True)
    recurrence.load_state_dict(
        {k.partition(".")[2]: v for k, v in weights.items() if k.startswith("recurrence")}
    )
    asked = weights["conditions.weight"][config["conditions"].index("triangle")]
    token, state, written = 0, None, []
    for _ in range(config["vocabulary"]["max_tokens"]):
        seen = torch.cat([weights["tokens.weight"][token], asked])[None, None]
        out, state = recurrence(seen, state)
        token = int((out[0, 0] @ weights["head.weight"].T + weights["head.bias"]).argmax())
        if token == END:
            break
        written.append(meanings[token])
    assert written[0] == ["*", 0]
    [likeliest] = draw(generator, ["triangle"], [0], temperature=1e-3)
    assert [kind for kind, gap in written if gap == 0] == likeliest["nodes"]
    assert len(written) == len(likeliest["nodes"]) + len(likeliest["edges"])


def test_parts_of_different_domains_say_so(atlas, digits, make_classifier):
    with pytest.raises(CollapseError, match="class Atlas, but 'node-classifier' needs the class NodeDataset"):
        NodeClassifier().load(atlas, 0)
    with pytest.raises(CollapseError, match="is taught graphs, which this data set has none of"):
        GraphGenerator().load(digits, 0)
    with pytest.raises(CollapseError, match="class NodeModel, but 'draw-graphs' needs the class GraphModel"):
        DrawGraphs().sample(make_classifier(), [], 1, ITERATION)
    with pytest.raises(
        CollapseError, match="class DigitsGraph, but 'graph-forgetting' needs the class GraphDataset"
    ):
        GraphForgetting(use="graph-forgetting").evaluate(make_classifier(), digits, 0)


def test_a_small_generator_already_draws_mostly_connected_graphs(generator):
    drawn = draw(generator, ["triangle"] * 200, list(range(200)))
    assert np.mean([is_connected(graph) for graph in drawn]) > 0.8
