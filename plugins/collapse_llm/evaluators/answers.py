"""What the paper measures: unlearn quality, utility, and the likelihood of true answers."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge

from collapse_core import (
    PERCENT,
    Dataset,
    Evaluation,
    Evaluator,
    Metric,
    Model,
    Prompt,
    load_answered,
    mean_metric,
)
from collapse_llm.conversations import transcript_of
from collapse_llm.evaluators.cautions import say_cut, say_cut_before, say_empty, say_unseen
from collapse_llm.rewards import rouge_recall

Row = dict[str, Any]


class Answering(Evaluator):
    """An evaluator that compares greedy answers with true ones."""

    works_on: ClassVar[tuple[str, ...]] = ("language-model",)

    max_new_tokens: Annotated[int, Ge(1)] = 48
    """The longest answer; TOFU's own evaluation allows 200."""
    batch_size: Annotated[int, Ge(1)] = 256
    """How many answers are decoded at once."""

    def answers(self, model: Model, splits: Mapping[str, Sequence[Prompt]]) -> dict[str, list[Row]]:
        """Return a row to read for each prompt of each split, with its ROUGE-L recall as the score."""
        asked = [(split, prompt) for split, prompts in splits.items() for prompt in prompts]
        say_unseen([prompt.target for _, prompt in asked])
        answers = answers_once(model, [p for _, p in asked], self.max_new_tokens, self.batch_size)
        say_empty(answers)
        rows: dict[str, list[Row]] = {split: [] for split in splits}
        for (split, prompt), answer in zip(asked, answers, strict=True):
            asked_for = {"split": split, "prompt": transcript_of(prompt.content)}
            said = {"answer": answer, "target": prompt.target, "score": rouge_recall(prompt.target, answer)}
            rows[split].append(asked_for | said)
        return rows


def answers_once(
    model: Model, prompts: Sequence[Prompt], max_new_tokens: int, batch_size: int, opening: str = ""
) -> list[str]:
    """Greedy answers; what another evaluator has asked of the same weights is not decoded again.

    Args:
        model: A language model.
        prompts: What is asked.
        max_new_tokens: The longest answer.
        batch_size: How many are decoded at once.
        opening: What each answer is made to begin with; it is not returned.
    """
    from collapse_llm.evaluators.scoring import fingerprint
    from collapse_llm.sampler.answering import greedy_answers

    key = (fingerprint(model), max_new_tokens, opening)
    known = _remembered.pop(key, {})
    say_cut(model, prompts, max_new_tokens)
    new = {p.content_key: p for p in prompts if p.content_key not in known}
    answers = greedy_answers(model, list(new.values()), max_new_tokens, batch_size, opening)
    known |= dict(zip(new, answers, strict=True))
    while len(_remembered) >= MOST_REMEMBERED:
        del _remembered[next(iter(_remembered))]
    _remembered[key] = known
    return [known[p.content_key] for p in prompts]


MOST_REMEMBERED = 4
_remembered: dict[tuple[str, int, str], dict[str, str]] = {}
"""By weights, longest answer and its forced beginning: the answer to each question, by its `content_key`."""


class UnlearnQuality(Answering):
    """The paper's unlearn quality: how little the greedy answers repeat of the true ones.

    UQ = 100 (2 - RL(forget) - RL(forget, paraphrased questions)) / 2 with RL the mean ROUGE-L recall
    against the true answers (arXiv 2507.04219, section 5). The true answer to a paraphrased question is the
    paraphrased one where the data set has it, as in the paper's implementation. A model that never saw the
    data does not reach 100: compare with a baseline. Cost per question: one decoded answer to it and one to
    its paraphrase, which other evaluators share.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "unlearn_quality": (
            "100 minus the mean of the two overlaps below: how little answers repeat of what was "
            "to be forgotten"
        ),
        "rouge_forget": (
            "share of the words of the true answers, in percent, that answers to the forget "
            "questions repeat in order"
        ),
        "rouge_forget_paraphrased": "the same, asked in other words",
    }
    reads: ClassVar[tuple[str, ...]] = ("forget", "forget_paraphrased")
    optional_splits: ClassVar[tuple[str, ...]] = ("forget_paraphrased",)
    known_from: ClassVar[tuple[str, float] | None] = ("rouge_forget", 50.0)
    repeatable: ClassVar[bool] = True
    definition: ClassVar[int] = 2

    def evaluate(self, model: Model, data: Dataset, seed: int) -> Evaluation:
        """Ask the forget questions, and the same in other words where there are any."""
        splits = load_answered(self, data)
        rows = self.answers(model, splits.found)
        overlap = {split: [row["score"] for row in found] for split, found in rows.items()}
        quality = by_question([[100 * (1 - score) for score in scores] for scores in overlap.values()])
        missing = splits.missing({"unlearn_quality": self.reads, **_by_split(self.reads)})
        return Evaluation(
            ({} if missing else {"unlearn_quality": mean_metric(quality, seed, "up", scale=PERCENT)})
            | {f"rouge_{split}": _percent(scores, seed, "down") for split, scores in overlap.items()},
            [row for found in rows.values() for row in found],
            missing,
        )


class Utility(Answering):
    """The paper's utility: how much the greedy answers still repeat of what is to be retained.

    100 (RL(retain) + RL(world facts) + RL(real authors)) / 3, where retain is 400 rows drawn with
    replacement by `numpy.random.default_rng(12345)` (arXiv 2507.04219 and its public implementation); the
    interval counts each distinct row once. Cost per question: one decoded answer, which others share.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "utility": (
            "mean of the overlaps with the true answers to what is to be retained: what the model "
            "still knows, in percent"
        ),
        "rouge_*": (
            "share of the words of the true answers, in percent, that answers to these questions "
            "repeat in order"
        ),
    }
    reads: ClassVar[tuple[str, ...]] = ("retain", "world_facts", "real_authors")
    optional_splits: ClassVar[tuple[str, ...]] = ("world_facts", "real_authors")
    repeatable: ClassVar[bool] = True

    num_retain: Annotated[int, Ge(1)] = 400
    """How many retain rows are drawn."""

    def evaluate(self, model: Model, data: Dataset, seed: int) -> Evaluation:
        """Ask each question once, however often it was drawn."""
        import numpy as np

        splits = load_answered(self, data)
        retain = splits.found["retain"]
        drawn = np.random.default_rng(12345).choice(len(retain), self.num_retain, replace=True).tolist()
        asked = sorted(set(drawn))
        rows = self.answers(model, {**splits.found, "retain": [retain[i] for i in asked]})
        overlap = {split: [row["score"] for row in found] for split, found in rows.items()}
        weights = {split: [1.0] * len(scores) for split, scores in overlap.items()}
        weights["retain"] = [float(drawn.count(i)) for i in asked]
        utility = [[100 * score for score in scores] for scores in overlap.values()]
        counted = list(weights.values())
        missing = splits.missing({"utility": self.reads, **_by_split(self.reads)})
        return Evaluation(
            ({} if missing else {"utility": mean_metric(utility, seed, "up", scale=PERCENT, weights=counted)})
            | {f"rouge_{split}": _percent(overlap[split], seed, "up", weights[split]) for split in overlap},
            [row for found in rows.values() for row in found],
            missing,
        )


def by_question(wordings: Sequence[Sequence[float]]) -> list[list[float]]:
    """Return the mean over the wordings of each question, where all wordings ask the same questions in order.

    One question drawn twice is no two questions. Where the numbers differ, each wording stays a set of its
    own.
    """
    if len({len(scores) for scores in wordings}) > 1:
        return [list(scores) for scores in wordings]
    return [[fmean(scores) for scores in zip(*wordings, strict=True)]]


class Likelihood(Evaluator):
    """The mean negative log-likelihood per token of true answers, to forget and to retain.

    Cost per question: a forward pass.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "forget_nll": (
            "how unlikely the true answers to forget are to the model, in nats per token; a high "
            "one is no proof of forgetting"
        ),
        "retain_nll": "how unlikely the true answers to retain are to the model, in nats per token",
    }
    works_on: ClassVar[tuple[str, ...]] = ("language-model",)
    repeatable: ClassVar[bool] = True

    reads: ClassVar[tuple[str, ...]] = ("forget", "retain")
    optional_splits: ClassVar[tuple[str, ...]] = ("retain",)

    num_retain: Annotated[int, Ge(1)] | None = None
    """Only the first so many retain questions."""
    batch_size: Annotated[int, Ge(1)] = 64
    """How many answers are scored at once."""

    def evaluate(self, model: Model, data: Dataset, seed: int) -> Evaluation:
        """Score the true answers, teacher-forced."""
        from collapse_llm.model.training import answer_losses

        metrics: dict[str, Metric] = {}
        splits = load_answered(self, data)
        for split, prompts in splits.found.items():
            num = self.num_retain if split == "retain" else None
            say_cut_before(model, [(prompt.content, prompt.target) for prompt in prompts[:num]])
            losses = answer_losses(model, prompts[:num], self.batch_size)
            means = [fmean(tokens) for tokens in losses]
            metrics[f"{split}_nll"] = mean_metric([means], seed, "down" if split == "retain" else "none")
        return Evaluation(metrics, missing=splits.missing({f"{split}_nll": (split,) for split in self.reads}))


def _by_split(splits: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """What each split's own overlap is measured on."""
    return {f"rouge_{split}": (split,) for split in splits}


def _percent(
    scores: Sequence[float],
    seed: int,
    direction: Literal["up", "down"],
    weights: Sequence[float] | None = None,
) -> Metric:
    counted = [weights] if weights else None
    return mean_metric([[100 * score for score in scores]], seed, direction, scale=PERCENT, weights=counted)
