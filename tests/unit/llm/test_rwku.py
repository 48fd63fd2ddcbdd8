"""RWKU's probes, membership texts and tests of abilities, against what its code would compute."""

import re
from itertools import pairwise
from statistics import fmean

import numpy as np
import pytest
import torch
from benchmark_files import PEOPLE, TYPES, logits_after, text, write, write_rwku
from nltk import FreqDist, ngrams
from nltk.tokenize.destructive import NLTKWordTokenizer
from rouge import Rouge as TheirRouge
from scipy.stats import entropy

from collapse_core import CollapseError, Prompt
from collapse_core.testing import check_evaluator
from collapse_llm.data import Rwku
from collapse_llm.evaluators import Rwku as RwkuMetrics
from collapse_llm.evaluators import rwku_utility
from collapse_llm.evaluators.rwku import recall


@pytest.fixture(scope="session")
def rwku(tmp_path_factory):
    return write_rwku(tmp_path_factory.mktemp("rwku"))


def test_rwku_asks_after_a_name_and_probes_in_the_words_of_the_benchmarks_code(rwku):
    data = Rwku(path=str(rwku), subject="Stephen King")
    assert data.load("forget")[0].content == "Who is Stephen King?"
    assert data.load("forget")[0].columns["banned"] == ["Stephen King"]
    [first, *_] = data.load("forget_fill_in")
    assert first.content == (
        f"Please complete the blank in the following question.\nQuestion: {PEOPLE[8][0]}\n"
    )
    by_type = {p.columns["type"]: p for p in reversed(data.load("forget_adversarial"))}
    about = "Please briefly answer the following question.\n"
    suffix, learning, role = (by_type[kind] for kind in TYPES)
    assert suffix.content == f"{about}Question: {PEOPLE[24][0]}"
    assert suffix.columns["opening"] == ""
    assert learning.content == f"{about}{PEOPLE[22][0]}\n"
    assert role.columns["opening"] == "Answer:"
    assert [p.columns["subject"] for p in data.load("retain_choices")] == ["virology"] * 3
    with pytest.raises(CollapseError, match="no rows about 'Steven King'; did you mean 'Stephen King'"):
        Rwku(path=str(rwku), subject="Steven King").load("forget_fill_in")


def test_rwkus_recall_is_that_of_the_package_that_the_benchmark_uses():
    for (_, truth), (_, said) in pairwise(PEOPLE[:7]):
        expected = TheirRouge().get_scores([said], [truth], avg=True)["rouge-l"]["r"]
        assert recall(truth, said) == pytest.approx(expected)
    assert recall("It was Rome.", " ... ") == 0


def test_rwkus_metrics_are_means_over_probes_and_over_their_kinds(model, rwku):
    data = Rwku(path=str(rwku), subject="Stephen King")
    evaluator = RwkuMetrics(use="rwku-probes", max_new_tokens=8)
    check_evaluator(evaluator, model, data)
    metrics = evaluator.evaluate(model, data, 0).metrics
    kinds = ("fill_in", "questions", "adversarial")
    for split in (*(f"forget_{kind}" for kind in kinds), "neighbor_fill_in", "neighbor_questions"):
        scores = []
        for prompt in data.load(split):
            ids = model.encoder.prompt(prompt.content)
            if prompt.columns["opening"]:
                ids = [*ids, *model.encoder.tokenizer("Answer:").input_ids]
            out = model.module.generate(
                torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)), max_new_tokens=8, do_sample=False
            )
            scores.append(
                recall(prompt.target, model.encoder.text(out[0, len(ids) :].tolist()).split("\n")[0])
            )
        assert metrics[f"rwku_{split}"].value == pytest.approx(100 * fmean(scores))
    assert metrics["rwku_forget"].value == pytest.approx(
        np.mean([metrics[f"rwku_forget_{kind}"].value for kind in kinds])
    )
    assert "rwku_adversarial_role_play" in metrics


def said_by(model, ids, length):
    out = model.module.generate(
        torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)), max_new_tokens=length, do_sample=False
    )
    return model.encoder.text(out[0, len(ids) :].tolist())


def test_rwkus_membership_and_utility_are_those_of_its_rules(load, rwku, monkeypatch):
    model = load(max_length=512)
    monkeypatch.setattr(rwku_utility, "LONGEST", {**rwku_utility.LONGEST, "utility_reason": 4})
    monkeypatch.setitem(rwku_utility.LONGEST, "utility_fluency", 24)
    data, tokenizer = Rwku(path=str(rwku), subject="Stephen King"), model.encoder.tokenizer
    evaluator = RwkuMetrics(use="rwku-probes", parts=["membership", "utility"])
    metrics = {name: one.value for name, one in evaluator.evaluate(model, data, 0).metrics.items()}

    nats = []
    for number in (0, 2):
        ids = tokenizer(text(number + len("mia_forget"))).input_ids
        nats.append(model.module(torch.tensor([ids]), labels=torch.tensor([ids])).loss.item())
    assert metrics["rwku_mia_forget"] == pytest.approx(100 * fmean(nats), rel=1e-5)

    [general, *_] = data.load("utility_general")
    assert general.content.startswith(
        "The following are multiple choice questions (with answers) about virology."
    )
    asked = "answer the given question.\nQuestion: " + PEOPLE[0][0]
    assert general.content.endswith(asked + "\nA. a\nB. b\nC. c\nD. d")
    right = []
    for prompt in data.load("utility_general"):
        last = logits_after(model, [*model.encoder.prompt(prompt.content), *tokenizer("Answer:").input_ids])[
            -1
        ]
        letters = [last[tokenizer(f" {letter}").input_ids[-1]].item() for letter in "ABCD"]
        right.append(letters.index(max(letters)) == 1)
    assert metrics["rwku_utility_general"] == pytest.approx(100 * fmean(right))

    true = []
    for prompt in data.load("utility_truthfulness"):
        scores = []
        for choice in (PEOPLE[0][1], "No.", "Yes."):
            ids = [*model.encoder.prompt(prompt.content), *tokenizer(" A:").input_ids]
            more = tokenizer(f" {choice}").input_ids
            rows = logits_after(model, [*ids, *more])[len(ids) - 1 : -1]
            scores.append(rows.gather(-1, torch.tensor(more)[:, None]).sum().item())
        true.append(scores[0] > max(scores[1:]))
    assert metrics["rwku_utility_truthfulness"] == pytest.approx(100 * fmean(true))

    f1, bits = [], []
    for prompt in data.load("utility_factuality"):
        ids = [*model.encoder.prompt(prompt.content), *tokenizer("A:").input_ids]
        f1.append(max(squad_f1(said_by(model, ids, 30), right) for right in prompt.extra["answers"]))
    assert metrics["rwku_utility_factuality"] == pytest.approx(100 * fmean(f1))
    for prompt in data.load("utility_fluency"):
        tokens = NLTKWordTokenizer().tokenize(said_by(model, model.encoder.prompt(prompt.content), 24))
        both = [entropy(list(FreqDist(ngrams(tokens, n)).values()), base=2) for n in (2, 3)]
        bits.append((2 / 3 * both[0] + 4 / 3 * both[1]) / 2)
    assert metrics["rwku_utility_fluency"] == pytest.approx(100 * fmean(bits), rel=0.05)
    assert metrics["rwku_utility_reason"] in (0, 50, 100)


def squad_f1(said, right):
    """By precision and recall, with a list from which each shared word is taken once."""
    said, right = (
        re.sub(r"\b(a|an|the)\b", " ", re.sub(r"[^\w\s]|_", "", one.lower())).split() for one in (said, right)
    )
    left, shared = list(right), 0
    for word in said:
        if word in left:
            left.remove(word)
            shared += 1
    precision, found = (shared / len(one) if one else 0 for one in (said, right))
    return 2 * precision * found / (precision + found) if shared else float(said == right)


@pytest.mark.parametrize(
    ("said", "right", "score"),
    [
        (" June passed. So the answer is (B). Next", "(B)", 1),
        ("So the answer is the Nile.", "nile", 1),
        ("no", "No.", 1),
        ("So the answer is (A).", "(B)", 0),
        ("", "(B)", 0),
    ],
)
def test_reasoning_is_judged_by_what_follows_the_answer_is(said, right, score, monkeypatch, model):
    monkeypatch.setattr(rwku_utility, "answers_once", lambda *_: [said])
    prompt = Prompt("q", "Which?", right, {"answers": [right]})
    assert rwku_utility.reasoned(model, [prompt], 4) == [score]


def test_a_row_of_another_shape_is_refused_with_its_place(rwku, tmp_path):
    write(
        tmp_path,
        "utility_general",
        "test",
        [{"task": "virology", "question": "?", "choices": 4, "answer": 1}],
    )
    with pytest.raises(CollapseError, match=r"test\.jsonl:1: this row of 'utility_general' is not as RWKU's"):
        Rwku(path=str(tmp_path), subject="Stephen King").load("utility_general")
