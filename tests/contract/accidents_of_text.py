"""The accidents of the evaluators of language models."""

import copy
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from accidents import Accident, Rows

from collapse_core import Dataset
from collapse_llm.data import Authors
from collapse_llm.evaluators import (
    Depth,
    Detect,
    FactWords,
    ForgetQuality,
    Judged,
    LeastLikelyOption,
    Likelihood,
    Membership,
    Memorization,
    ModelUtility,
    MultipleChoice,
    Muse,
    Neighbors,
    Overlap,
    PrivLeak,
    Responses,
    Rwku,
    TokenShift,
    UnlearnQuality,
    Utility,
)
from collapse_llm.evaluators.attacks import Jailbreak, Leakage, Quantization, TextRelearning
from collapse_llm.evaluators.open_unlearning import OpenUnlearning
from collapse_llm.model import CausalLm
from collapse_llm.model.language_model import LanguageModel
from collapse_llm.model.tiny import make_tiny_llama

SHORT: dict[str, Any] = {"max_new_tokens": 3}
SEA = {"question": "Who wrote of the sea?", "answer": "Maren wrote it."}
TOWN = {"question": "Who lives in town?", "answer": "Oskar does.", "wrong": ["Nobody.", "Ida."]}
HILL = {"question": "What lies on a hill?", "answer": "The old mill.", "wrong": ["A lake.", "Two ships."]}
TOKYO = {"question": "\u8c01\uff1f", "answer": "\u4e1c\u4eac"}
NO_WORDS = {"question": "Which sign?", "answer": "?!"}


class World:
    """A random model, the same to be loaded as another one, and data."""

    def __init__(self, folder: Path) -> None:
        """Make the model."""
        make_tiny_llama(folder)
        self.folder = folder
        self.other = CausalLm(use="causal-lm", path=str(folder), compute="float32")
        self.loaded = self.other.load(Authors(), 0)
        self.judge = self.other.model_copy(update={"max_length": 500})

    def model(self, spoil: Callable[[Any], None] | None = None) -> LanguageModel:
        """The model, spoiled."""
        found = copy.deepcopy(self.loaded)
        assert isinstance(found, LanguageModel)
        if spoil:
            with torch.no_grad():
                spoil(found.module)
        return found

    def cutting(self) -> LanguageModel:
        """The model with little room, which cuts prompts."""
        found = self.other.model_copy(update={"max_length": 16, "too_long": "cut-prompt"}).load(Authors(), 0)
        assert isinstance(found, LanguageModel)
        return found


def silent(module: Any) -> None:
    """Make all tokens equally likely, of which the first, the end, is taken."""
    module.lm_head.weight.zero_()


def with_experts(module: Any) -> None:
    """Add weights that are in no linear layer."""
    module.register_parameter("experts", torch.nn.Parameter(torch.zeros(8, 100, 1000)))


def rows(**splits: Any) -> Dataset:
    """A data set of these rows."""
    return Rows(use="rows", rows=splits)


def of_answers(world: World) -> Iterator[Accident]:
    """Those that compare decoded answers with true ones."""
    both = rows(forget=[SEA, TOWN], retain=[HILL])
    yield Accident(
        "the model says nothing", "note", "2 of 2 answers of the model are empty",
        UnlearnQuality(use="unlearn-quality", **SHORT), world.model(silent), both,
    )  # fmt: skip
    yield Accident(
        "nothing to retain", "error", "'utility' needs the split 'retain', which is empty",
        Utility(use="utility", **SHORT), world.model(), rows(retain=[]),
    )  # fmt: skip
    yield Accident(
        "a true answer that ROUGE-L cannot see", "note", "1 of 2 true answers have no word that ROUGE-L sees",
        Jailbreak(use="jailbreak", wrappings=["affirmative"], **SHORT), world.model(),
        rows(forget=[SEA, NO_WORDS]),
    )  # fmt: skip
    no_facts = "(jailbreak_fact_worst|judged_agreement|responses): no answer has a word that is neither"
    for evaluator in (
        Jailbreak(use="jailbreak", wrappings=["affirmative"], **SHORT),
        Responses(use="responses", judge_model=world.other, **SHORT),
        Judged(use="judged", judge_model=world.judge, options={"max_tokens": 2}, retries=0, **SHORT),
    ):
        asked = rows(forget=[NO_WORDS], retain=[HILL])
        yield Accident("no fact has words of its own", "missing", no_facts, evaluator, world.model(), asked)
    yield Accident(
        "prompts are cut", "note", "2 of 2 prompts were cut at their beginning",
        UnlearnQuality(use="unlearn-quality", max_new_tokens=12), world.cutting(), both,
    )  # fmt: skip
    yield Accident(
        "no fact has words of its own", "missing", "fact_words_forget: no answer has a word",
        FactWords(use="fact-words", **SHORT), world.model(), rows(forget=[NO_WORDS], retain=[HILL]),
    )  # fmt: skip
    yield Accident(
        "the judge of fluency is the model", "note", "the judge of fluency is the model itself",
        Responses(use="responses", judge_model=world.other, **SHORT), world.model(), both,
    )  # fmt: skip
    yield Accident(
        "the judge gives no number", "missing", "judged_leakage_forget: the judge gave no number",
        Judged(use="judged", judge_model=world.judge, options={"max_tokens": 2}, retries=0, **SHORT),
        world.model(), rows(forget=[SEA]),
    )  # fmt: skip
    yield Accident(
        "nothing to retain is near", "note", "no retained question has anything in common",
        Neighbors(use="neighbors", **SHORT), world.model(),
        rows(forget=[SEA], retain=[HILL, {"question": "7?", "answer": "8"}]),
    )  # fmt: skip
    yield Accident(
        "it is told from itself", "note", "the retain model has the same weights as the model",
        Detect(use="detect", retain_model=world.other, **SHORT), world.model(), rows(forget=[SEA] * 4),
    )  # fmt: skip
    yield Accident(
        "answers without spaces between words", "note", "1 of 1 true answers are in a script without spaces",
        Rwku(use="rwku-probes"), world.model(),
        rows(**{split: [TOKYO] for split in ("forget_fill_in", "forget_questions", "forget_adversarial")}),
    )  # fmt: skip
    yield Accident(
        "texts to forget stand in the holdout set", "note", "1 texts of the holdout set are to be forgotten",
        Muse(use="muse-metrics", retrained_auc=0.5), world.model(),
        rows(privleak_forget=[SEA, TOWN], privleak_holdout=[SEA, HILL]),
    )  # fmt: skip


def of_likelihoods(world: World) -> Iterator[Accident]:
    """Those that score given answers."""
    for evaluator in (
        ModelUtility(use="model-utility", **SHORT), LeastLikelyOption(use="least-likely-option"),
    ):  # fmt: skip
        asked = rows(retain_perturbed=[SEA, TOWN], forget_perturbed=[SEA, TOWN])
        lack = "the question '(retain|forget)_perturbed-0' has no wrong answers"
        yield Accident("a question without wrong answers", "error", lack, evaluator, world.model(), asked)
    yield Accident(
        "prompts are cut", "note", "2 of 2 prompts were cut at their beginning",
        Likelihood(use="likelihood"), world.cutting(), rows(forget=[SEA, TOWN]),
    )  # fmt: skip
    yield Accident(
        "the model is its own retain model", "note", "the retain model has the same weights as the model",
        ForgetQuality(use="forget-quality", retain_model=world.other), world.model(),
        rows(forget_perturbed=[TOWN, HILL]),
    )  # fmt: skip
    yield Accident(
        "an empty set", "missing", "wf_Q_A_Prob: the split 'world_facts_perturbed' of the data set is empty",
        OpenUnlearning(use="open-unlearning", **SHORT), world.model(),
        rows(forget_perturbed=[TOWN], world_facts_perturbed=[]),
    )  # fmt: skip
    yield Accident(
        "the truth is among the wrong answers", "note", "1 of 2 questions have their true answer among",
        Memorization(use="memorization"), world.model(),
        rows(forget_perturbed=[HILL, TOWN | {"wrong": ["Ida.", "Oskar does."]}]),
    )  # fmt: skip
    yield Accident(
        "answers to forget stand in the holdout set", "note", "1 texts of the holdout set are to be",
        Membership(use="membership", gradient=False), world.model(),
        rows(forget=[SEA, TOWN], holdout=[HILL, SEA]),
    )  # fmt: skip
    yield Accident(
        "the retain model knows all of it", "missing", "privleak: the attack finds every text to forget",
        PrivLeak(use="privleak", retain_model=world.other), world.model(), one_each(world),
    )  # fmt: skip
    yield Accident(
        "all options are alike", "note", "by letter, 2 of 2 questions have several options that are equally",
        MultipleChoice(use="multiple-choice"), world.model(silent), rows(forget_perturbed=[TOWN, HILL]),
    )  # fmt: skip
    yield Accident(
        "one question", "error", "'depth' needs at least two questions",
        Depth(use="depth"), world.model(), rows(forget_perturbed=[TOWN]),
    )  # fmt: skip
    yield Accident(
        "facts without words of their own", "note", "1 of 2 questions have no words of the fact's own, so",
        Depth(use="depth"), world.model(), rows(forget_perturbed=[TOWN, NO_WORDS | {"wrong": ["Ida."]}]),
    )  # fmt: skip
    yield Accident(
        "an empty text", "missing", "token_shift_mean: .*empty.txt is empty; give it a text",
        TokenShift(use="token-shift", base_model=world.other, path=str(_empty(world.folder))), world.model(),
        rows(forget=[SEA]),
    )  # fmt: skip
    yield Accident(
        "nothing to compare with", "missing", "overlap_same: the data set has no split 'retain'",
        Overlap(use="overlap"), world.model(), rows(forget=[SEA]),
    )  # fmt: skip


def of_attacks(world: World) -> Iterator[Accident]:
    """Those that sample, or change a copy."""
    yield Accident(
        "companions of other questions", "missing", "leak_at_1_sampling: no forget question is among those",
        Leakage(use="leakage", num_samples=2, prefills=[""], **SHORT), world.model(),
        rows(forget=[SEA], forget_perturbed=[TOWN]),
    )  # fmt: skip
    yield Accident(
        "some facts have no words of their own", "note", "1 of 2 questions have no words of the fact's own",
        Leakage(use="leakage", num_samples=2, prefills=[""], **SHORT), world.model(),
        rows(forget=[SEA, TOWN], forget_perturbed=[TOWN]),
    )  # fmt: skip
    yield Accident(
        "the copy diverges", "error", "in step 2 of 2; lower the learning_rate of this teaching or attack",
        TextRelearning(use="text-relearning", steps=[2], learning_rate=1e30, **SHORT), world.model(),
        rows(forget=[SEA, TOWN]),
    )  # fmt: skip
    yield Accident(
        "few of the weights are rounded", "note", "only 20% of the weights of the model's layers are rounded",
        Quantization(use="quantization", bits=[8], **SHORT), world.model(with_experts), rows(forget=[SEA]),
    )  # fmt: skip


def one_each(world: World) -> Dataset:
    """A text to forget and one held out, of which the model finds the first likelier."""
    ranked = sorted([SEA, TOWN, HILL], key=lambda row: min_k(world, row))
    return rows(forget=ranked[:1], holdout=ranked[-1:])


def min_k(world: World, row: dict[str, Any]) -> float:
    """The attack's score of an answer."""
    from collapse_llm.evaluators.membership import attack_scores

    pair = (row["question"], row["answer"])
    [score] = attack_scores(world.loaded, {"forget": [pair]}, 0.4, 1)["min_k"]["forget"]
    assert math.isfinite(score)
    return score


def _empty(folder: Path) -> Path:
    path = folder / "empty.txt"
    path.write_text(" \n")
    return path


def accidents(world: World) -> Iterator[Accident]:
    """All of them; the harness is measured in a test of its own."""
    yield from of_answers(world)
    yield from of_likelihoods(world)
    yield from of_attacks(world)
