"""Do answers still hold the fact's own words?"""

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, Le

from collapse_core import (
    PERCENT,
    Dataset,
    Evaluation,
    Evaluator,
    HasSplits,
    Metric,
    Model,
    Prompt,
    load_answered,
    mean_metric,
    note,
)
from collapse_llm.conversations import text_of
from collapse_llm.data import QuestionFiles
from collapse_llm.evaluators.answers import Answering, Row

FUNCTION_WORDS = """
a about after also an and are as at be been before both but by did do does during for from had has have he her
his how i in into is it its many more most much no not of often on one or other s she so some such than that
the their them then there these they this through to under was well were what when where which while who whom
whose why will with would yes
"""
"""Words that say nothing of any fact."""


class FactWords(Answering):
    """The percentage of greedy answers that still hold the fact's own words.

    ROUGE counts all words of the true answer, most of which only dress the fact. The fact's own words are
    found by what the data say of it: stems that are in the true answer and in its paraphrase, but neither in
    the question nor in any wrong answer, and are no function words. A question without any is left out.
    Without paraphrases and wrong answers, all words of the answer count that the question does not have. With
    `entailed` the same of questions that combine forgotten facts, or ask them backwards, also by kind. Cost
    per question: one decoded answer, which other evaluators share.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "fact_words_asked_*": (
            "number of questions that have words of the fact's own, which the other two are about"
        ),
        "fact_words_any_*": (
            "percentage of answers that hold at least one word of the fact's own, such as a name or a date"
        ),
        "fact_words_*_entailed*": (
            "percentage of answers to questions that combine facts, or ask them backwards, that hold "
            "at least half of the words of what follows"
        ),
        "fact_words_*": (
            "percentage of answers that hold at least half of the words of the fact's own, such as "
            "a name or a date"
        ),
    }
    repeatable: ClassVar[bool] = True

    reads: ClassVar[tuple[str, ...]] = (
        "forget",
        "retain",
        "forget_perturbed",
        "retain_perturbed",
        *QuestionFiles.ENTAILED,
    )
    optional_splits: ClassVar[tuple[str, ...]] = reads[1:]
    known_from: ClassVar[tuple[str, float] | None] = ("fact_words_forget", 50.0)

    share: Annotated[float, Gt(0), Le(1)] = 0.5
    """The share of the fact's own words that an answer must hold to count."""
    num_retain: Annotated[int, Ge(1)] | None = None
    """Only the first so many retain questions, the control."""
    entailed: bool = False
    """Also ask what follows from the facts ("forget_entailed", and "retain_entailed" as the control)."""

    def evaluate(self, model: Model, data: Dataset, seed: int) -> Evaluation:
        """Ask what is to be forgotten and, as a control, what is to be retained."""
        from collapse_llm.evaluators.perturbed import load_with_companions

        splits = load_with_companions(self, data)
        prompts = {name: list(found) for name, found in splits.found.items()}
        if "retain" in prompts:
            prompts["retain"] = prompts["retain"][: self.num_retain]
        asked = {name: with_own_words(all_) for name, all_ in prompts.items()}
        absent = dict(splits.absent)
        if self.entailed:
            more = load_answered(self, data, QuestionFiles.ENTAILED)
            asked |= {name: with_own_words(list(found)) for name, found in more.found.items()}
            absent |= more.absent
        absent |= {name: NO_OWN_WORDS for name, some in asked.items() if not some}
        asked = {name: some for name, some in asked.items() if some}
        rows = self.answers(model, asked)
        metrics: dict[str, Metric] = {}
        for name, found in rows.items():
            held = [held_share(p, row["answer"]) for p, row in zip(asked[name], found, strict=True)]
            better: Literal["up", "down"] = "down" if name.startswith("forget") else "up"
            kept = [100.0 * (share >= self.share) for share in held]
            metrics[f"fact_words_{name}"] = mean_metric([kept], seed, better, scale=PERCENT)
            any_ = [100.0 * (share > 0) for share in held]
            metrics[f"fact_words_any_{name}"] = mean_metric([any_], seed, better, scale=PERCENT)
            metrics[f"fact_words_asked_{name}"] = Metric(len(held))
            for kind, some in _by_kind(asked[name], kept).items():
                metrics[f"fact_words_{name}_{kind}"] = mean_metric([some], seed, better, scale=PERCENT)
            rows[name] = _with_scores(found, held)
        missing = {
            f"fact_words_{what}{name}": reason
            for name, reason in absent.items()
            for what in ("", "any_", "asked_")
        }
        return Evaluation(metrics, [row for found in rows.values() for row in found], missing)

    def splits_read(self, data: HasSplits) -> list[str]:
        """Return the splits with companions, or without where there are none."""
        from collapse_llm.evaluators.perturbed import splits_with_companions

        entailed = QuestionFiles.ENTAILED if self.entailed else ()
        return [*splits_with_companions(data), *(split for split in entailed if data.has(split))]


def _by_kind(prompts: Sequence[Prompt], values: Sequence[float]) -> dict[str, list[float]]:
    """The values of the questions that follow from others, by what they are."""
    found: dict[str, list[float]] = {}
    for prompt, value in zip(prompts, values, strict=True):
        if prompt.id.partition("-")[0] in QuestionFiles.ENTAILED and (kind := prompt.columns.get("kind")):
            found.setdefault(str(kind).replace("-", "_").replace(" ", "_"), []).append(value)
    return found


NO_OWN_WORDS = "no answer has a word that is neither in its question nor a function word"


def with_own_words(prompts: Sequence[Prompt]) -> list[Prompt]:
    """Return the prompts whose facts have words of their own; it is noted where nothing else says which."""
    from collapse_llm.evaluators.perturbed import lack_of_companions

    if lack_of_companions(prompts):
        note(
            "a fact's own words are all words of its answer that are neither in the question nor function "
            "words, since rows have no wrong answers ('perturbed_answer')"
        )
    return [prompt for prompt in prompts if own_words(prompt)]


def own_words(prompt: Prompt) -> frozenset[str]:
    """The stems of the fact itself, as far as the prompt's companions say; empty where there are none."""
    from collapse_llm.evaluators.perturbed import paraphrase, wrong_answers
    from collapse_llm.rewards import stems

    asked = {*stems(text_of(prompt.content)), *stems(str(prompt.columns.get("paraphrased_question", "")))}
    wrong = {stem for answer in wrong_answers(prompt) for stem in stems(answer)}
    said = {*stems(prompt.target)} & {*stems(paraphrase(prompt))}
    return frozenset(said - asked - wrong - {*stems(FUNCTION_WORDS)})


def known_facts(evaluator: Evaluator, data: Dataset, questions: Sequence[Prompt]) -> list[Prompt]:
    """Return each forget question with its companions, as far as "forget_perturbed" has it."""
    there = load_answered(evaluator, data, ("forget_perturbed",)).found.get("forget_perturbed", ())
    known = {(prompt.content_key, prompt.target): prompt for prompt in there}
    return [known.get((prompt.content_key, prompt.target), prompt) for prompt in questions]


def held_share(prompt: Prompt, answer: str) -> float:
    """Return the share of the fact's own words that an answer holds."""
    from collapse_llm.rewards import stems

    own = own_words(prompt)
    return len(own & {*stems(answer)}) / len(own)


def _with_scores(rows: Sequence[Row], scores: Sequence[float]) -> list[Row]:
    return [row | {"score": score} for row, score in zip(rows, scores, strict=True)]
