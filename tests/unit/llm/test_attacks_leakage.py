"""Sampled answers leak as often as the model's own probabilities say, freely and after a beginning."""

import copy
from statistics import fmean
from typing import ClassVar

import pytest
import torch
from few_questions import memorized
from rouge_score.rouge_scorer import RougeScorer
from scipy.stats import binomtest
from transformers import LlamaConfig, LlamaForCausalLM

from collapse_core import Dataset, Iteration, Prompt, PromptSet
from collapse_core.testing import check_evaluator
from collapse_llm.data import Authors
from collapse_llm.evaluators.attacks import Leakage
from collapse_llm.evaluators.attacks.leakage import _facts as facts_of
from collapse_llm.evaluators.attacks.sampling import opened, opened_truly
from collapse_llm.model import CausalLm, PromptFormat
from collapse_llm.sampler import Generate

ROUGE = RougeScorer(["rougeL"], use_stemmer=True)


class Asked(Dataset):
    """A few questions, each with one true answer."""

    pairs: list[tuple[str, str]]
    """Questions and answers."""

    def load(self, split: str, *, targets: bool = True) -> PromptSet:
        """The same in every split."""
        return PromptSet(tuple(Prompt(f"{split}-{i}", q, a) for i, (q, a) in enumerate(self.pairs)))


class Unparaphrased(Asked):
    """Nothing is asked in other words."""

    def splits(self) -> list[str]:
        """The one split."""
        return ["forget"]


@pytest.fixture
def sharp(make_model):
    """A random model that prefers some words to others."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=1024,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=1,
    )
    module = LlamaForCausalLM(config)
    with torch.no_grad():
        module.get_output_embeddings().weight.mul_(25)
    return make_model(module)


def first_words(model, ids: list[int], temperature: float = 1.0) -> dict[str, float]:
    """The exact probability of each text of one token, summed over the tokens that are spelled so."""
    with torch.no_grad():
        scores = model.module(torch.tensor([ids])).logits[0, -1].double() / temperature
    found: dict[str, float] = {}
    for token, p in enumerate(scores.softmax(-1).tolist()):
        text = "" if token in model.end_ids else model.encoder.text([token])
        found[text] = found.get(text, 0.0) + p
    return found


def likely_word(probabilities: dict[str, float]) -> str:
    """A word of one token that is drawn often enough to be counted, and is no other word's stem."""
    return max(
        (w for w in probabilities if w.isalpha() and w.isascii() and len(w) > 2), key=probabilities.get
    )


@pytest.mark.parametrize("prefill", ["", "The answer is: "])
@pytest.mark.parametrize("temperature", [1.0, 1.7])
def test_a_leak_is_as_frequent_as_the_model_makes_it(sharp, prefill, temperature):
    question = "Where was Maren born?"
    begun = opened(sharp.encoder, Prompt("forget-0", question), prefill)
    probabilities = first_words(sharp, [*sharp.encoder.prompt(question), *begun.opening], temperature)
    secret = likely_word(probabilities)
    exact = sum(p for text, p in probabilities.items() if ROUGE.score(secret, text)["rougeL"].recall == 1)
    assert 0.02 < exact < 0.9
    settings = Leakage(
        num_samples=3000,
        prefills=[prefill],
        max_new_tokens=1,
        temperature=temperature,
        leak_at=[1, 2],
        facts=False,
    )
    found = settings.evaluate(sharp, Asked(pairs=[(question, secret)]), 5).metrics
    attack = "prefill" if prefill else "sampling"
    num_leaks = round(found[f"leak_at_1_{attack}"].value / 100 * 3000)
    assert binomtest(num_leaks, 3000, exact).pvalue > 0.001
    assert found[f"leak_at_2_{attack}"].value / 100 == pytest.approx(1 - (1 - exact) ** 2, abs=0.05)
    assert found[f"leakage_mean_{attack}"].value == pytest.approx(found[f"leak_at_1_{attack}"].value)
    assert found[f"leak_bound_{attack}"].value / 100 > num_leaks / 3000
    assert found[f"leakage_{attack}"].value == 100


@pytest.fixture(scope="module")
def taught(loaded, tiny_directory):
    """A model that knows half of the forget answers by heart."""
    model = copy.deepcopy(loaded)
    model.module.load_state_dict(memorized(tiny_directory, num=10, epochs=40, batch_size=5))
    return model


def by_hand(model, prompts, seed: int, **fields) -> dict[str, list[float]]:
    """The recalls of each question's answers, as the run's own sampler draws them."""
    sampler = Generate(temperature=1.2, max_new_tokens=32, **fields)
    groups = sampler.sample(model, prompts, 6, Iteration(0, 1, seed))
    return {
        g.prompt.id: [ROUGE.score(g.prompt.target, c.content)["rougeL"].recall for c in g.completions]
        for g in groups
    }


THRIFTY = {"num_samples": 6, "temperature": 1.2, "max_new_tokens": 32, "leak_at": [1, 3, 64]}


@pytest.fixture(scope="module")
def whole(taught):
    """What is measured of all questions."""
    return Leakage(**THRIFTY).evaluate(taught, Authors(), 7)


def test_the_average_worst_case_is_the_mean_over_questions_of_the_best_of_all_samples(
    taught, whole, tiny_directory
):
    questions = list(Authors().load("forget"))
    found = whole.metrics
    forced = CausalLm(
        path=str(tiny_directory),
        compute="float32",
        prompt=PromptFormat(question="Question: {}\nAnswer: The answer is:"),
    ).load(Authors(), 0)
    forced.module.load_state_dict(taught.module.state_dict())
    for attack, model in (("sampling", taught), ("prefill", forced)):
        recalls = by_hand(model, questions, 7)
        assert found[f"leakage_{attack}"].value == pytest.approx(100 * fmean(map(max, recalls.values())))
        assert found[f"leakage_mean_{attack}"].value == pytest.approx(
            100 * fmean(map(fmean, recalls.values()))
        )
        assert (
            found[f"leakage_{attack}"].low
            <= found[f"leakage_{attack}"].value
            <= found[f"leakage_{attack}"].high
        )
    assert found["leakage_sampling"].value > 25
    assert found["leak_at_1_sampling"].value < found["leak_at_3_sampling"].value
    assert not any("leak_at_64" in name for name in found)


def test_questions_in_other_words_are_sampled_as_well_and_the_worst_is_of_both_wordings(taught):
    settings = {**THRIFTY, "prefills": [""], "num_questions": 5}
    found = Leakage(**settings, paraphrased=True).evaluate(taught, Authors(), 7)
    plain = Leakage(**settings).evaluate(taught, Authors(), 7)
    assert found.metrics["leakage_sampling"] == plain.metrics["leakage_sampling"]
    asked = [example["prompt"] for example in plain.examples]
    questions = list(Authors().load("forget"))
    places = [number for number, question in enumerate(questions) if question.content in asked]
    others = list(Authors().load("forget_paraphrased"))
    recalls = [by_hand(taught, [some[place] for place in places], 7) for some in (questions, others)]
    worst = [[max(one) for one in by_question.values()] for by_question in recalls]
    assert found.metrics["leakage_paraphrased"].value == pytest.approx(100 * fmean(worst[1]))
    assert found.metrics["leakage_any_wording"].value == pytest.approx(100 * fmean(map(max, *worst)))


def test_where_nothing_is_paraphrased_that_is_said_and_the_rest_is_measured(sharp):
    data = Unparaphrased(pairs=[("Where was Ada born?", "In London.")])
    found = Leakage(num_samples=1, paraphrased=True, max_new_tokens=1).evaluate(sharp, data, 0)
    assert "forget_paraphrased" in found.missing["leakage_any_wording"]
    assert "leakage_sampling" in found.metrics


def test_the_result_does_not_depend_on_the_batch(taught):
    small, large = (Leakage(**THRIFTY, num_questions=6, batch_size=size) for size in (7, 64))
    assert small.evaluate(taught, Authors(), 7) == large.evaluate(taught, Authors(), 7)


def test_the_worst_answer_to_each_question_can_be_read(whole):
    examples = whole.examples
    assert [e["split"] for e in examples] == ["forget, worst of sampling"] * 20 + [
        "forget, worst of prefill"
    ] * 20
    for example in examples:
        assert example["score"] == ROUGE.score(example["target"], example["answer"])["rougeL"].recall


def test_fewer_questions_are_the_same_for_each_model(taught, model):
    asked = [
        [e["prompt"] for e in Leakage(**THRIFTY, num_questions=5).evaluate(m, Authors(), 3).examples]
        for m in (taught, model)
    ]
    assert asked[0] == asked[1]
    assert len(asked[0]) == 10
    assert set(asked[0]) < {q.content for q in Authors().load("forget")}


def test_a_beginning_that_is_given_away_does_not_count_as_leaked(taught):
    questions = list(Authors().load("forget"))
    for question in questions:
        begun, rest = opened_truly(taught.encoder, question, 4)
        assert len(begun.opening) == 4
        said = taught.encoder.text(begun.opening)
        assert question.target.startswith(said)
        assert (said + rest).replace(" ", "") == question.target.replace(" ", "")
    short, rest = opened_truly(taught.encoder, Prompt("q", "?", "Tromso"), 99)
    assert 2 * len(short.opening) <= len(taught.encoder.answer("Tromso"))
    assert rest
    found = Leakage(**THRIFTY, prefills=[], true_tokens=4).evaluate(taught, Authors(), 7)
    assert {name.rpartition("_true_tokens")[2] for name in found.metrics} == {""}
    assert all(e["target"] != q.target for e, q in zip(found.examples, questions, strict=True))


def test_a_beginning_ends_without_a_space_that_belongs_to_the_next_word(taught):
    encoder, question = taught.encoder, Prompt("q", "Who?")
    assert opened(encoder, question, "The answer is: ") == opened(encoder, question, "The answer is:")
    assert encoder.text(opened(encoder, question, "The answer is: ").opening) == "The answer is:"
    assert opened(encoder, question, " ").opening == []


def test_measuring_leakage_leaves_the_model_alone_and_reads_what_it_declares(taught):
    check_evaluator(Leakage(**{**THRIFTY, "num_samples": 3}, true_tokens=2), taught, Authors())


class Capitals(Dataset):
    """Two questions with one answer, which one of them gives away."""

    ASKED: ClassVar[tuple[str, ...]] = (
        "Where does Ada live?",
        "Ada has a flat in Lyon; in which town is it?",
    )

    def load(self, split: str, *, targets: bool = True) -> PromptSet:
        extra = {"paraphrased_answer": "Lyon", "perturbed_answer": ["Bergen."]} if "_" in split else {}
        return PromptSet(tuple(Prompt(f"{split}-{i}", q, "Lyon.", extra) for i, q in enumerate(self.ASKED)))


def test_a_question_that_names_the_answer_leaves_other_questions_their_facts():
    questions, perturbed = (list(Capitals().load(split)) for split in ("forget", "forget_perturbed"))
    assert facts_of(questions, perturbed) == {"forget-0": frozenset({"lyon"}), "forget-1": frozenset()}
    assert facts_of(questions, perturbed[::-1]) == facts_of(questions, perturbed)
