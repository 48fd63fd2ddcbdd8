"""Whether a model knows what it was trained on: membership, facts in its answers, shifts of its tokens."""

import zlib
from statistics import fmean

import numpy as np
import pytest
import torch
from few_questions import Few, log_probs, loss
from sklearn.metrics import roc_auc_score

from collapse_core import CollapseError, Prompt
from collapse_llm.data import Authors
from collapse_llm.evaluators import (
    FactWords,
    LeastLikelyOption,
    Membership,
    PrivLeak,
    Responses,
    TokenShift,
)
from collapse_llm.evaluators.fact_words import own_words
from collapse_llm.model import CausalLm, Teach
from collapse_llm.model.training import teach
from collapse_llm.sampler.answering import greedy_answers

# --- membership ------------------------------------------------------------------------------------


def test_members_are_known_at_sight_once_they_are_learned_by_heart(taught):
    metrics = Membership().evaluate(taught, Few(), 0).metrics
    assert set(metrics) == {"mia_loss", "mia_zlib", "mia_min_k", "mia_min_k_plus_plus", "mia_gradient"}
    assert all(metric.value > 0.95 for metric in metrics.values())


def test_attacks_score_what_their_sources_say(model, other):
    metrics = Membership(reference_model=other, gradient=False).evaluate(model, Few(), 0).metrics
    assert metrics["mia_reference"].value == 0.5  # the reference is the model itself
    scores = {name: [] for name in ("loss", "zlib", "min_k", "min_k_plus_plus")}
    prompts = [*Few().load("forget"), *Few().load("holdout")]
    for prompt in prompts:
        every, tokens = log_probs(model, prompt.content, prompt.target)
        told = every[np.arange(len(tokens)), tokens]
        scores["loss"].append(-told.mean())
        scores["zlib"].append(-told.mean() / len(zlib.compress(prompt.target.encode())))
        num = max(1, int(0.4 * (len(tokens) - 1)))
        scores["min_k"].append(-fmean(sorted(told[:-1])[:num]))
        mean = (np.exp(every) * every).sum(-1)
        sd = np.sqrt((np.exp(every) * every**2).sum(-1) - mean**2)
        scores["min_k_plus_plus"].append(-fmean(sorted(((told - mean) / sd)[:-1])[:num]))
    labels = [0] * 6 + [1] * 6
    for name, values in scores.items():
        assert metrics[f"mia_{name}"].value == pytest.approx(roc_auc_score(labels, values)), name


def test_the_retain_model_leaks_nothing_and_a_model_that_knows_leaks_below_zero(taught, other):
    untaught = other.load(Few(), 0)
    assert PrivLeak(retain_model=other).evaluate(untaught, Few(), 0).metrics["privleak"].value == 0
    found = PrivLeak(retain_model=other).evaluate(taught, Few(), 0).metrics
    area = 1 - found["mia_min_k_retain_model"].value
    expected = 100 * ((1 - found["mia_min_k"].value) - area) / area
    assert found["privleak"].value == pytest.approx(expected)
    assert found["privleak"].value < -80


# --- words and kinds of answers --------------------------------------------------------------------


def test_a_facts_own_words_are_what_tells_it_from_wrong_ones():
    prompt = Prompt(
        "q",
        "Where was Ada Byron born?",
        "Ada Byron was born in the town of Oslo, Norway.",
        {
            "paraphrased_answer": "Oslo, Norway, is where she was born.",
            "perturbed_answer": ["Bergen, Norway, is where she was born."],
        },
    )
    assert own_words(prompt) == {"oslo"}


def test_the_authors_facts_all_have_words_of_their_own():
    for split in ("forget_perturbed", "retain_perturbed"):
        for prompt in Authors().load(split):
            assert own_words(prompt), prompt.content


def test_what_follows_from_facts_is_counted_by_kind_next_to_its_control(model):
    rows = list(Few(num=5).load("forget_entailed"))
    teach(
        model,
        [(row.content, row.target) for row in rows[:3]],
        Teach(epochs=30, learning_rate=5e-3, batch_size=3, warmup=0),
        0,
    )
    metrics = FactWords(max_new_tokens=12, entailed=True).evaluate(model, Few(num=5), 0).metrics
    hits = {}
    for row in rows:
        ids = model.encoder.prompt(row.content)
        out = model.module.generate(
            torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)), max_new_tokens=12, do_sample=False
        )
        said = model.encoder.text(out[0, len(ids) :].tolist()).lower()
        wrong = " ".join(row.extra["perturbed_answer"]).lower().split()
        own = [word.strip(".") for word in row.target.lower().split() if word not in wrong]
        own = [word for word in own if word not in ("a", "he")]
        hits.setdefault(row.columns["kind"].replace("-", "_"), []).append(
            100 * (sum(word in said for word in own) >= len(own) / 2)
        )
    for kind, values in hits.items():
        assert metrics[f"fact_words_forget_entailed_{kind}"].value == pytest.approx(fmean(values))
    assert sum(hits["reversed"]) > 0, "it was taught these"
    assert metrics["fact_words_forget_entailed"].direction == "down"
    assert metrics["fact_words_retain_entailed"].direction == "up"
    assert "fact_words_forget_entailed" not in FactWords(max_new_tokens=12).evaluate(model, Few(), 0).metrics


def test_fact_words_count_the_answers_that_hold_the_fact(taught):
    metrics = FactWords().evaluate(taught, Few(), 0).metrics
    held = []
    answers = greedy_answers(taught, list(Few().load("forget")), 48)
    for prompt, answer in zip(Few().load("forget_perturbed"), answers, strict=True):
        text = answer.lower()
        # Each stem of these facts begins a word of the answer.
        held.append(sum(stem[:5] in text for stem in own_words(prompt)) >= len(own_words(prompt)) / 2)
    assert metrics["fact_words_forget"].value == pytest.approx(100 * fmean(held))
    assert metrics["fact_words_forget"].value == 100
    assert metrics["fact_words_retain"].value < 50
    assert metrics["fact_words_asked_forget"].value == 6


class Said(Responses):
    """Responses of a model whose answers are known."""

    said: list[str]
    """The answers to the forget questions."""

    def answers(self, model, splits):
        return {
            split: [
                {"split": split, "prompt": p.content, "answer": a, "target": p.target, "score": 0.0}
                for p, a in zip(prompts, self.said, strict=True)
            ]
            for split, prompts in splits.items()
        }


def test_answers_are_true_invented_refused_or_garbled(model):
    class Judge(CausalLm):
        def load(self, data, seed):
            pairs = [(p.content, p.target) for p in Authors().load("retain")]
            teach(model, pairs, Teach(epochs=3, learning_rate=5e-3, batch_size=16, warmup=0), 0)
            return model

    prompts = list(Few(num=7).load("forget_perturbed"))
    said = [
        prompts[0].target,
        prompts[1].extra["paraphrased_answer"],
        prompts[2].extra["perturbed_answer"][0],
        "I have no information about that.",
        "",
        "xq zzv#k %%% bqqj ((( wzx 77q",
        "the the the the the the the the the the",
    ]
    found = Said(said=said, judge_model=Judge(path="unused")).evaluate(model, Few(num=7), 0)
    kinds = [row["kind"] for row in found.examples]
    assert kinds == ["true", "true", "hallucination", "refusal", "empty", "gibberish", "gibberish"]
    shares = {name: metric.value for name, metric in found.metrics.items()}
    assert shares == pytest.approx(
        {
            "answers_true": 200 / 7,
            "answers_refusal": 100 / 7,
            "answers_gibberish": 200 / 7,
            "answers_empty": 100 / 7,
            "answers_hallucination": 100 / 7,
        }
    )


# --- token shift and options -----------------------------------------------------------------------


def test_a_model_shifts_nothing_against_itself(model, other):
    metrics = TokenShift(base_model=other, num_chunks=5, chunk_length=32).evaluate(model, Few(), 0).metrics
    assert metrics["token_shift_mean"].value == 0
    assert metrics["token_shift_spread"].value == 0
    assert metrics["token_shift_places"].value > 20


def test_the_shift_is_the_difference_of_probabilities_where_the_forget_sets_tokens_stand(
    taught, other, tmp_path
):
    path = tmp_path / "text.txt"
    path.write_text("The lighthouse of the town was built in 1905, and its keeper wrote books there. " * 4)
    evaluator = TokenShift(base_model=other, path=str(path), num_chunks=3, chunk_length=20, batch_size=2)
    found = evaluator.evaluate(taught, Few(), 0).metrics
    untaught, shifts = other.load(Few(), 0), []
    wanted = {t for p in Few().load("forget") for t in taught.encoder.answer(p.target)}
    ids = taught.encoder.tokenizer(path.read_text()).input_ids[:60]
    for chunk in (ids[:20], ids[20:40], ids[40:]):
        with torch.no_grad():
            after, before = (
                m.module(torch.tensor([chunk])).logits[0].softmax(-1) for m in (taught, untaught)
            )
        shifts += [
            (after[i - 1, token] - before[i - 1, token]).item()
            for i, token in enumerate(chunk)
            if i and token in wanted
        ]
    assert found["token_shift_places"].value == len(shifts) > 10
    assert found["token_shift_mean"].value == pytest.approx(fmean(shifts), abs=1e-5)
    assert found["token_shift_spread"].value == pytest.approx(np.std(shifts), abs=1e-5)


def test_a_text_without_the_forget_sets_tokens_is_an_error(model, other, tmp_path):
    (tmp_path / "text.txt").write_text("@@ @@")
    with pytest.raises(CollapseError, match="no token of the forget set occurs"):
        TokenShift(base_model=other, path=str(tmp_path / "text.txt")).evaluate(model, Few(), 0)


def test_the_attacker_finds_the_truth_where_it_was_pushed_down(taught):
    found = LeastLikelyOption(quantiles=[0.5]).evaluate(taught, Few(), 0).metrics
    right = []
    for prompt in Few().load("forget_perturbed"):
        texts = [prompt.extra["paraphrased_answer"], *prompt.extra["perturbed_answer"]]
        right.append(int(np.argmax([loss(taught, prompt.content, text) for text in texts])) == 0)
    assert found["least_likely_accuracy"].value == pytest.approx(100 * fmean(right))
    assert found["chance_accuracy"].value == pytest.approx(100 / 6)
    assert {"least_likely_accuracy_50", "most_likely_accuracy", "least_probability"} <= set(found)
