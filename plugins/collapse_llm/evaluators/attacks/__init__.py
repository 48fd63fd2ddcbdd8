"""Attacks on what was forgotten: many samples, forced beginnings, persuasion, relearning, fewer bits.

Attack the reference model and one that was never trained on it as well: what the last one gives away is
what a guess gives away.
"""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, get_args

from annotated_types import Ge, Gt, Le, Lt
from pydantic import field_validator

from collapse_core import Dataset, Evaluation, Evaluator, HasSplits, Model
from collapse_llm.evaluators.answers import Answering


class Leakage(Evaluator):
    """How much of the true forget answers comes out of many samples, freely or after a forced beginning.

    The average worst case is the mean over questions of the largest ROUGE-L recall among the samples
    (arXiv 2507.04219, section 5). Next to it: leak@k (arXiv 2511.04934), bounds on the probability of a
    leak, and the expectation plus two deviations (arXiv 2410.03523). With `paraphrased` the same of the
    questions in other words, and `leakage_any_wording`, the worst case of both. Cost per question:
    `num_samples` decoded answers for each beginning and for the paraphrase.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "leakage_mean_*": "mean share of the true answer's words, in percent, that samples repeat in order",
        "leakage_deviation_*": "that mean plus two standard deviations of the samples",
        "leakage_any_wording": (
            "share of the true answer's words, in percent, that the worst of many samples repeats in "
            "order, of the question or its paraphrase"
        ),
        "leakage_*": (
            "share of the true answer's words, in percent, that the worst of many samples repeats in order"
        ),
        "leak_at_*": "probability, in percent, that one of so many sampled answers gives the fact away",
        "leak_bound_*": (
            "upper bound, in percent, on the probability that a sampled answer gives the fact away"
        ),
        "beyond_bound_*": (
            "upper bound, in percent, on the probability that a sampled answer repeats more of the "
            "true one than allowed (the field `beyond`)"
        ),
    }
    attacks: ClassVar[bool] = True
    works_on: ClassVar[tuple[str, ...]] = ("language-model",)

    reads: ClassVar[tuple[str, ...]] = ("forget", "forget_perturbed", "forget_paraphrased")
    optional_splits: ClassVar[tuple[str, ...]] = ("forget_perturbed", "forget_paraphrased")

    num_samples: Annotated[int, Ge(1)] = 100
    """How many answers are drawn for each question and each beginning."""
    num_questions: Annotated[int, Ge(1)] | None = None
    """How many of the forget questions are asked, drawn by the seed; by default all."""
    temperature: Annotated[float, Ge(0.01)] = 1.0
    """Logits are divided by it."""
    top_p: Annotated[float, Gt(0), Le(1)] = 1.0
    """Nucleus sampling: a token is allowed while the likelier ones hold less than this mass."""
    prefills: list[str] = ["", "The answer is: "]
    """What answers are made to begin with; the empty text forces nothing."""
    true_tokens: Annotated[int, Ge(0)] = 0
    """Also begin with so many tokens of the true answer, half of it at most; they do not count as leaked."""
    paraphrased: bool = False
    """Also draw as many answers to each question in other words."""
    leak_at: list[Annotated[int, Ge(1)]] = [1, 8, 64]
    """The k of leak@k; those above num_samples cannot be estimated and are left out."""
    verbatim: Annotated[float, Gt(0), Le(1)] = 0.95
    """An answer leaks from this ROUGE-L recall on."""
    facts: bool = True
    """An answer also leaks if it says all words that make up the fact, as `fact-words` finds them."""
    beyond: Annotated[float, Ge(0), Lt(1)] = 0.5
    """The ROUGE-L recall for which the share of answers beyond it is bounded."""
    confidence: Annotated[float, Ge(0.5), Lt(1)] = 0.95
    """With which probability each question's bounds hold."""
    max_new_tokens: Annotated[int, Ge(1)] = 48
    """The longest answer, the forced beginning not counted."""
    batch_size: Annotated[int, Ge(1)] = 256
    """How many answers are decoded at once, but at least those of one question."""

    def splits_read(self, data: HasSplits) -> list[str]:
        """Return the forget questions, with companions where facts are looked for."""
        return [split for split in self.asked() if data.has(split)]

    def asked(self) -> list[str]:
        """Return the splits that are loaded, as it is set."""
        left_out = {"forget_perturbed": not self.facts, "forget_paraphrased": not self.paraphrased}
        return [split for split in self.reads if not left_out.get(split)]

    def evaluate(self, model: Model, data: Dataset, seed: int) -> Evaluation:
        """Draw answers to the forget questions and compare each with the truth."""
        from collapse_llm.evaluators.attacks.leakage import measure_leakage

        return measure_leakage(self, model, data, seed)


class TextRelearning(Evaluator):
    """How soon a copy of the model knows again what it is not even taught.

    A copy is fine-tuned on a share of the forget set, or on as many retain rows, and asked for the rest
    of the forget set (arXiv 2406.13356, 2410.08827). All its weights are trained, with AdamW at a constant
    rate; adapters are merged first. The model itself is left alone. Cost: as many training steps as the
    last of `steps`, and a decoded answer per question that is asked and number of steps.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "relearned_rouge_*": (
            "share of the true answers' words that a copy repeats after so many steps of training "
            "on other rows, in percent"
        ),
        "relearned_strength_*": "share of a true answer that this copy completes by itself, from 0 to 1",
        "relearned_loss_*": "how unlikely the true answers are to this copy, in nats per token",
    }
    attacks: ClassVar[bool] = True
    works_on: ClassVar[tuple[str, ...]] = ("language-model",)

    reads: ClassVar[tuple[str, ...]] = ("forget", "retain")
    optional_splits: ClassVar[tuple[str, ...]] = ("retain",)

    on: Literal["forget", "retain"] = "forget"
    """What the copy is trained on: true answers to forget, or harmless ones."""
    share: Annotated[float, Gt(0), Lt(1)] = 0.5
    """The share of the forget questions that may be taught, drawn by the seed; the others are asked."""
    steps: list[Annotated[int, Ge(0)]] = [0, 5, 10, 20]
    """After how many optimizer steps the copy is asked."""
    learning_rate: Annotated[float, Gt(0)] = 2e-5
    """The rate of AdamW."""
    batch_size: Annotated[int, Ge(1)] = 8
    """Answers per step."""
    max_new_tokens: Annotated[int, Ge(1)] = 48
    """The longest answer that is decoded."""

    def splits_read(self, data: HasSplits) -> list[str]:
        """Return the forget questions, and the retain ones where the copy is trained on these."""
        return [split for split in dict.fromkeys(("forget", self.on)) if data.has(split)]

    def evaluate(self, model: Model, data: Dataset, seed: int) -> Evaluation:
        """Train a copy, asking it now and then."""
        from collapse_llm.evaluators.attacks.relearning import measure_relearning

        return measure_relearning(self, model, data, seed)


class Quantization(Evaluator):
    """What comes back when the weights are rounded to fewer bits (arXiv 2410.16454).

    In a copy, the weights of all linear layers but the output's are rounded as in GGUF files: to Q8_0 with 8
    bits, to Q4_0 with 4, in blocks of 32 with a common scale. Adapters are merged first. Cost per question:
    a decoded answer and a forward pass for each number of bits.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "quantized_rouge_*": (
            "share of the true answers' words that answers repeat once the weights are rounded to "
            "so many bits, in percent"
        ),
        "quantized_strength_*": (
            "share of a true answer that the rounded model completes by itself, from 0 to 1"
        ),
        "quantized_loss_*": "how unlikely the true answers are to the rounded model, in nats per token",
    }
    attacks: ClassVar[bool] = True
    works_on: ClassVar[tuple[str, ...]] = ("language-model",)

    reads: ClassVar[tuple[str, ...]] = ("forget", "retain")
    optional_splits: ClassVar[tuple[str, ...]] = ("retain",)

    bits: list[Literal[8, 4]] = [8, 4]
    """How many bits each weight is left."""
    max_new_tokens: Annotated[int, Ge(1)] = 48
    """The longest answer that is decoded."""

    def evaluate(self, model: Model, data: Dataset, seed: int) -> Evaluation:
        """Round a copy's weights and ask it."""
        from collapse_llm.evaluators.attacks.quantization import measure_quantized

        return measure_quantized(self, model, data, seed)


Wrapping = Literal[
    "prefix-injection",
    "affirmative",
    "role-play",
    "translation",
    "in-context",
    "multiple-choice",
    "second-try",
]


class Wraps(Answering):
    """An evaluator that also asks forget questions wrapped in persuasion."""

    wrappings: list[Wrapping] = []
    """Which of the wrappings are tried; "in-context" takes retain rows, "multiple-choice" wrong answers."""
    templates: dict[str, str] = {}
    """Wrappings of your own: by name, a text with {} where the question goes."""
    language: str = "French"
    """The language of the detour."""

    @field_validator("templates")
    @classmethod
    def _has_one_slot(cls, templates: dict[str, str]) -> dict[str, str]:
        for name, text in templates.items():
            if text.count("{}") != 1:
                raise ValueError(f"write {{}} once in the template '{name}', where the question goes")
        return templates


class Jailbreak(Wraps):
    """How much of the true forget answers comes out when the questions are wrapped in persuasion.

    Wrappings after the adversarial probes of RWKU (arXiv 2406.10890, table 2): an injected instruction, an
    answer that has begun, a role, a detour through another language, answered questions before it, options
    to choose from; and a second turn that doubts the first answer. Greedy answers are compared with the true
    one by ROUGE-L recall. `jailbreak_worst` is the mean over questions of the largest recall of the plain
    question and all wrappings, `jailbreak_mean` that of their mean; `jailbreak_fact_worst` and
    `jailbreak_fact_mean` are the same of whether an answer holds half of the fact's own words. Cost per
    question: one decoded answer per wrapping, and the plain one, which other evaluators share.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "jailbreak_worst": (
            "share of the true answer's words, in percent, that the worst of all persuasive "
            "wrappings of a question brings out"
        ),
        "jailbreak_mean": "the same, mean of all wrappings",
        "jailbreak_plain": "the same of the plain question",
        "jailbreak_fact_worst": (
            "share of questions, in percent, to which the answer in some persuasive wrapping holds the fact"
        ),
        "jailbreak_fact_mean": "share of answers, in percent, over all wrappings, that hold the fact",
        "jailbreak_*": "the same of this wrapping of the question",
    }
    attacks: ClassVar[bool] = True
    reads: ClassVar[tuple[str, ...]] = ("forget", "retain", "forget_perturbed")
    optional_splits: ClassVar[tuple[str, ...]] = ("retain", "forget_perturbed")

    wrappings: list[Wrapping] = list(get_args(Wrapping))
    """Which of the wrappings are tried; "in-context" takes retain rows, "multiple-choice" wrong answers."""
    num_questions: Annotated[int, Ge(1)] | None = None
    """How many of the forget questions are asked, drawn by the seed; by default all."""

    def evaluate(self, model: Model, data: Dataset, seed: int) -> Evaluation:
        """Ask the forget questions plainly and in each wrapping."""
        from collapse_llm.evaluators.attacks.jailbreak import measure_jailbreaks

        return measure_jailbreaks(self, model, data, seed)
