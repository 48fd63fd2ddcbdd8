"""Questions with their companions: the true answer in other words, and wrong answers."""

from collections.abc import Sequence

import numpy as np

from collapse_core import (
    CollapseError,
    Dataset,
    Evaluator,
    HasSplits,
    Model,
    Prompt,
    PromptSet,
    Splits,
    digest,
    load_answered,
)
from collapse_llm.conversations import Answered
from collapse_llm.evaluators.cautions import say_cut_before, say_true_among_wrong
from collapse_llm.evaluators.formulas import AnswerLosses
from collapse_llm.evaluators.scoring import Scored, fingerprint, score_answers


def score_companions(
    model: Model, prompts: Sequence[Prompt], batch_size: int
) -> tuple[list[Scored], AnswerLosses]:
    """Score the true answers, the paraphrased and the wrong ones of each question, all in one go.

    Where there is no paraphrase, as for world facts, the true answer stands for it. Questions may have no
    wrong answers; then nothing can be computed that compares with these.
    """
    texts = [[prompt.target, paraphrase(prompt), *wrong_answers(prompt)] for prompt in prompts]
    # A text that is there twice, such as a true answer in place of its paraphrase, is scored once.
    asked = [
        (p.content, text) for p, said in zip(prompts, texts, strict=True) for text in dict.fromkeys(said)
    ]
    say_cut_before(model, asked)
    say_true_among_wrong(sum({*said[:2]} & {*said[2:]} != set() for said in texts), len(texts))
    scored = iter(_scored_once(model, asked, batch_size))
    found = [dict(zip(dict.fromkeys(said), scored, strict=False)) for said in texts]
    losses = AnswerLosses(
        np.array([by_text[said[0]].loss for by_text, said in zip(found, texts, strict=True)]),
        np.array([by_text[said[1]].loss for by_text, said in zip(found, texts, strict=True)]),
        [[by_text[text].loss for text in said[2:]] for by_text, said in zip(found, texts, strict=True)],
    )
    return [by_text[said[0]] for by_text, said in zip(found, texts, strict=True)], losses


def _scored_once(model: Model, asked: Sequence[Answered], batch_size: int) -> list[Scored]:
    """Return the scores, kept for the next evaluator that asks the same of the same weights."""
    key = (fingerprint(model), digest([list(pair) for pair in asked]), batch_size)
    if key not in _remembered:
        while len(_remembered) >= MOST_REMEMBERED:
            del _remembered[next(iter(_remembered))]
        _remembered[key] = score_answers(model, asked, batch_size)
    return _remembered[key]


MOST_REMEMBERED = 8
_remembered: dict[tuple[str, str, int], list[Scored]] = {}


def paraphrase(prompt: Prompt) -> str:
    """Return the true answer in other words, or as it is where there are none."""
    return str(prompt.extra.get("paraphrased_answer", prompt.target))


def wrong_answers(prompt: Prompt) -> list[str]:
    """Return the wrong answers of a question; none where its row has none."""
    wrong = prompt.extra.get("perturbed_answer")
    return [str(answer) for answer in wrong] if isinstance(wrong, list) else []


def lack_of_companions(prompts: Sequence[Prompt]) -> str | None:
    """Say which question has no wrong answers; None where all have some."""
    bare = next((prompt for prompt in prompts if not wrong_answers(prompt)), None)
    if bare is None:
        return None
    return (
        f"the question '{bare.id}' has no wrong answers; give its row a list 'perturbed_answer', as TOFU's "
        "files have it that end in _perturbed"
    )


def check_companions(prompts: Sequence[Prompt]) -> None:
    """Refuse questions without wrong answers.

    Raises:
        CollapseError: One has none.
    """
    if lack := lack_of_companions(prompts):
        raise CollapseError(lack)


def load_with_companions(evaluator: Evaluator, data: Dataset) -> Splits:
    """Load "forget" and "retain" with answers, from the splits with companions where there are such.

    Returns:
        The splits by these two names; why one is absent stands by its name, too.
    """
    found: dict[str, PromptSet] = {}
    absent: dict[str, str] = {}
    for split in ("forget", "retain"):
        there = load_answered(evaluator, data, [f"{split}_perturbed"]).found
        plain = Splits({}, {}) if there else load_answered(evaluator, data, [split])
        found |= dict.fromkeys([split], next(iter(there.values()))) if there else dict(plain.found)
        absent |= {} if there else dict(plain.absent)
    return Splits(found, absent)


def splits_with_companions(data: HasSplits) -> list[str]:
    """Return the splits that `load_with_companions` reads."""
    both = ((f"{split}_perturbed", split) for split in ("forget", "retain"))
    first = (next((split for split in pair if data.has(split)), None) for pair in both)
    return [split for split in first if split]
