"""Notes on what would make numbers of language models look better than they are."""

from collections.abc import Sequence

from collapse_core import Model, Prompt, note, require
from collapse_llm.conversations import Answered
from collapse_llm.words import share_unseen, stems, words

MOST_UNSEEN = 0.1
"""The share of letters that may stay unseen without a note."""
MOST_EMPTY = 0.1
"""The share of the model's answers that may be empty without a note."""


def say_unseen(answers: Sequence[str]) -> None:
    """Note that measures of overlap do not see many letters of true answers, or any word of some."""
    share = share_unseen(answers)
    if share > MOST_UNSEEN:
        note(
            "ROUGE-L sees a to z, digits and other scripts, but no letters with accents, which "
            f"{share:.0%} of those of the answers are; extraction strength and likelihood see all"
        )
    if num := sum(not stems(answer) for answer in answers):
        note(
            f"{num} of {len(answers)} true answers have no word that ROUGE-L sees, so that any answer to "
            "these questions scores 0"
        )


def say_empty(answers: Sequence[str]) -> None:
    """Note that the model's answers have no word in many cases: they repeat nothing, and say nothing."""
    num = sum(not words(answer) for answer in answers)
    if num > MOST_EMPTY * len(answers):
        note(
            f"{num} of {len(answers)} answers of the model are empty, which counts as repeating nothing of "
            "the true ones"
        )


def say_cut(model: Model, prompts: Sequence[Prompt], max_new_tokens: int) -> None:
    """Note how many prompts lose their beginning so that an answer has room; the recipe must allow it."""
    from collapse_llm.model.language_model import LanguageModel
    from collapse_llm.sampler.answering import room_for_answer

    encoder = require(model, LanguageModel, "greedy answers").encoder
    if encoder.too_long == "refuse":
        return
    most = encoder.max_length - room_for_answer(encoder, max_new_tokens)
    _say_cut(sum(len(encoder.prompt(p.content)) > most for p in prompts), len(prompts), encoder.max_length)


def say_cut_before(model: Model, asked: Sequence[Answered]) -> None:
    """Note how many prompts lose their beginning so that their true answer fits."""
    from collapse_llm.model.language_model import LanguageModel

    encoder = require(model, LanguageModel, "answer scoring").encoder
    if encoder.too_long == "refuse":
        return
    before = encoder.num_cut
    for question, answer in asked:
        encoder.example(question, answer)
    _say_cut(encoder.num_cut - before, len(asked), encoder.max_length)


def _say_cut(num: int, of: int, max_length: int) -> None:
    if num:
        note(
            f"{num} of {of} prompts were cut at their beginning, since they and their answers exceed the "
            f"model's max_length of {max_length}; raise it to ask them whole"
        )


def say_shared(members: Sequence[str], others: Sequence[str]) -> None:
    """Note that texts stand on both sides of an attack, which no attack can tell apart."""
    if num := len({*members} & {*others}):
        note(
            f"{num} texts of the holdout set are to be forgotten as well, so that no attack tells them "
            "apart; take them out of the holdout set"
        )


def say_true_among_wrong(num: int, of: int) -> None:
    """Note that true answers stand among the wrong ones, which makes both look equally likely."""
    if num:
        note(
            f"{num} of {of} questions have their true answer among the wrong ones, which makes both look "
            "equally likely; take it out of 'perturbed_answer'"
        )
