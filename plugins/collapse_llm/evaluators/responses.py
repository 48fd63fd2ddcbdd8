"""What kind of answers are left: the truth, something invented, a refusal, gibberish, or nothing."""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Annotated, ClassVar, Literal, get_args

from annotated_types import Ge, Gt, Lt

from collapse_core import (
    PERCENT,
    Dataset,
    Evaluation,
    HasSplits,
    Metric,
    Model,
    NothingToCompareError,
    Prompt,
    load_answered,
    mean_metric,
    note,
)
from collapse_llm.conversations import Answered
from collapse_llm.evaluators.answers import Answering
from collapse_llm.evaluators.baselines import OtherModel, load_other
from collapse_llm.evaluators.fact_words import NO_OWN_WORDS, held_share, with_own_words
from collapse_llm.sentences import Sentences, read_sentences
from collapse_llm.words import words

Kind = Literal["true", "refusal", "empty", "gibberish", "hallucination"]
JUDGED: tuple[Kind, ...] = ("gibberish", "hallucination")
"""What only real answers can tell apart."""
JUDGE = (
    "a judge of fluency, a model that saw neither the forget set nor the answers: add 'judge_model: {use: "
    "causal-lm, path: <the untaught model>}'"
)


class Responses(Answering):
    """The percentages of true, invented, refusing, garbled and empty answers to the forget questions.

    The paper reports hallucinations, gibberish and refusals after unlearning (arXiv 2507.04219). In this
    order: an answer is true when it holds at least half of the fact's own words (see `fact-words`); a
    refusal when it is much like one of a list (ROUGE-L F1 of at least `refusal_overlap`), or speaks of what
    it does not know in one of the usual ways; empty when it has no words; gibberish when the judge finds it
    less likely a token than all but `tolerance` of real answers to such questions, or when fewer than half
    of its pairs of neighboring words are distinct; else a hallucination. A question without own words is
    left out. The real answers are those to retain and those never trained on; either will do. Cost per
    question: one decoded answer, which other evaluators share, and a forward pass of the judge; for each real
    answer a forward pass of the judge.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "answers_true": "percentage of answers to the forget questions that are true",
        "answers_refusal": "percentage of them that refuse, or say that they do not know",
        "answers_empty": "percentage of them without a word",
        "answers_gibberish": "percentage of them that are no readable text",
        "answers_hallucination": "percentage of them that are readable and invented",
    }
    reads: ClassVar[tuple[str, ...]] = ("forget", "retain", "forget_perturbed", "retain_perturbed", "holdout")
    optional_splits: ClassVar[tuple[str, ...]] = ("retain", "forget_perturbed", "retain_perturbed", "holdout")

    judge_model: OtherModel | None = None
    """Whose log-probabilities say what is fluent: a model that was not taught these answers."""
    tolerance: Annotated[float, Gt(0), Lt(1)] = 0.01
    """The share of real answers that may count as gibberish, which sets the threshold."""
    refusals: Sentences = "refusals"
    """Sentences, a text file of one per line, or "refusals" for the thirty that come with the plugin."""
    refusal_overlap: Annotated[float, Gt(0), Lt(1)] = 0.4
    """How much an answer must be like a refusal of the list."""
    scoring_batch_size: Annotated[int, Ge(1)] = 64
    """How many answers are scored at once."""

    def evaluate(self, model: Model, data: Dataset, seed: int) -> Evaluation:
        """Ask the forget questions, and sort the answers."""
        from collapse_llm.evaluators.perturbed import load_with_companions

        splits = load_with_companions(self, data)
        holdout = load_answered(self, data, ["holdout"])
        real = [*splits.found.get("retain", ()), *holdout.found.get("holdout", ())]
        judge = load_other(self, self.judge_model, data, JUDGE) if real else None
        if judge and judge.fingerprint() == model.fingerprint():
            note("the judge of fluency is the model itself, to which all that it says is fluent")
        prompts = with_own_words(splits.found["forget"])
        if not prompts:
            raise NothingToCompareError(NO_OWN_WORDS)
        rows = self.answers(model, {"forget": prompts})["forget"]
        asked = [(prompt.content, row["answer"]) for prompt, row in zip(prompts, rows, strict=True)]
        garbled = self._garbled(judge, asked, real) if judge else [None] * len(asked)
        known = read_sentences(self.refusals)
        kinds = [
            self._kind(prompt, row["answer"], is_garbled, known)
            for prompt, row, is_garbled in zip(prompts, rows, garbled, strict=True)
        ]
        better: dict[Kind, Literal["down", "none"]] = {"true": "down", "gibberish": "down"}
        metrics: dict[str, Metric] = {
            f"answers_{kind}": mean_metric(
                [[100.0 * (one == kind) for one in kinds]],
                seed,
                better.get(kind, "none"),
                scale=PERCENT,
            )
            for kind in get_args(Kind)
            if judge or kind not in JUDGED
        }
        lack = "; ".join({**splits.absent, **holdout.absent}.values())
        missing = {} if judge else dict.fromkeys([f"answers_{kind}" for kind in JUDGED], lack)
        examples = [row | ({"kind": kind} if kind else {}) for row, kind in zip(rows, kinds, strict=True)]
        return Evaluation(metrics, examples, missing)

    def splits_read(self, data: HasSplits) -> list[str]:
        """Return the splits with companions, or without where there are none, and the holdout set."""
        from collapse_llm.evaluators.perturbed import splits_with_companions

        return [*splits_with_companions(data), *(["holdout"] if data.has("holdout") else [])]

    def _kind(
        self, prompt: Prompt, answer: str, is_garbled: bool | None, known: Sequence[str]
    ) -> Kind | None:
        """The kind of an answer; None where nothing says what is gibberish."""
        if held_share(prompt, answer) >= 0.5:
            return "true"
        if refuses(answer, known, self.refusal_overlap):
            return "refusal"
        if not answer.split():
            return "empty"
        if is_garbled is None:
            return None
        return "gibberish" if is_garbled else "hallucination"

    def _garbled(self, judge: Model, asked: Sequence[Answered], real: Sequence[Prompt]) -> list[bool]:
        """Return whether each answer goes round in circles, or is less fluent than real answers are."""
        from collapse_llm.evaluators.scoring import mean_losses

        usual = [(prompt.content, prompt.target) for prompt in real]
        losses = mean_losses(judge, [*asked, *usual], self.scoring_batch_size)
        limit = quantile(losses[len(asked) :], 1 - self.tolerance)
        return [
            loss > limit or variety(answer) < LEAST_VARIETY
            for (_, answer), loss in zip(asked, losses, strict=False)
        ]


LEAST_VARIETY = 0.5
"""Below it a text goes round in circles; of 4160 true answers of TOFU and the authors none does."""

USUAL = re.compile(
    r"\b(?:i|my|we)\b.*\b(?:don't|do not|doesn't|can't|cannot|couldn't|haven't|not|no|unable|unaware"
    r"|unfamiliar|never|lack|lacking|beyond|outside|sorry|afraid|apologi[sz]e|pass)\b"
    r"|^that(?:'s| is| topic| information)\b.*\b(?:not|outside|beyond|out of|hasn't)\b"
    r"|\bnot (?:publicly )?(?:available|known)\b|\blanguage model\b|\bas an ai\b"
)
"""Ways to say that one does not know: of 4160 true answers of TOFU and the authors, ten are said so."""


def refuses(answer: str, known: Sequence[str], overlap: float) -> bool:
    """Return whether an answer is much like a known refusal, or says in a usual way that it has none."""
    from collapse_llm.rewards import rouge_f1

    if USUAL.search(answer.lower().replace("\u2019", "'")):
        return True
    return any(rouge_f1(refusal, answer) >= overlap for refusal in known)


def variety(text: str) -> float:
    """Distinct pairs of neighboring words / all pairs; 1 where there is none."""
    pairs = list(pairwise(words(text)))
    return len(set(pairs)) / len(pairs) if pairs else 1.0


def quantile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of the values does not exceed."""
    from math import ceil

    return sorted(values)[max(0, ceil(share * len(values)) - 1)]
