"""Questions with options, as a model is asked them, and what it chooses."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from collapse_core import CollapseError, Model, Prompt, derive_seed, note, require
from collapse_llm.conversations import text_of
from collapse_llm.data.formats import LETTERS
from collapse_llm.evaluators.perturbed import check_companions, paraphrase, wrong_answers
from collapse_llm.evaluators.scoring import score_examples
from collapse_llm.model.encoding import Example
from collapse_llm.model.language_model import LanguageModel


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with its options."""

    text: str
    options: Sequence[str]
    right: int
    """The place of the right one."""
    subject: str = ""
    """What it is about, where its row says so."""


def as_choice(prompt: Prompt, seed: int) -> Asked:
    """Return a prompt as a question of multiple choice.

    Its own options stay in their order; those made of a true answer and wrong ones are shuffled by the seed.

    Raises:
        CollapseError: It has neither options nor wrong answers, or more than there are letters.
    """
    subject = str(prompt.columns.get("subject", "")).replace("_", " ")
    if isinstance(options := prompt.extra.get("choices"), list):
        texts, right = [str(option) for option in options], int(prompt.extra["answer_number"])
    else:
        check_companions([prompt])
        texts = list(dict.fromkeys([paraphrase(prompt), *wrong_answers(prompt)]))
        random.Random(derive_seed(seed, "options", prompt.id)).shuffle(texts)
        right = texts.index(paraphrase(prompt))
    if len(texts) > len(LETTERS):
        raise CollapseError(f"the question '{prompt.id}' has {len(texts)} options; there are 26 letters")
    return Asked(text_of(prompt.content).strip(), texts, right, subject)


@dataclass(frozen=True, slots=True)
class Form:
    """How questions with options are put."""

    description: str
    """What stands before a question whose subject is known, with {} where that goes."""
    chat: bool
    """Whether the chat template puts them."""

    def continuations(self, one: Asked, way: str) -> Iterator[tuple[str, str]]:
        """Yield the prompt and what follows it, for each option."""
        letters = LETTERS[: len(one.options)]
        listed = "".join(f"{a}. {b}\n" for a, b in zip(letters, one.options, strict=True))
        about = self.description.replace("{}", one.subject) if one.subject else ""
        delimiter = "" if self.chat else " "
        for letter, option in zip(letters, one.options, strict=True):
            if way == "letter":
                yield f"{about}{one.text}\n{listed}Answer:", f"{delimiter}{letter}"
            else:
                yield f"Question: {one.text}\nAnswer:", f"{delimiter}{option}"


def choose(
    model: Model, asked: Sequence[Asked], ways: Sequence[str], form: Form, batch_size: int
) -> dict[str, list[int]]:
    """Return the place of the option that is chosen, by way of asking: letter, option, option_norm."""
    language = require(model, LanguageModel, "multiple choice")
    chosen: dict[str, list[int]] = {}
    for way in dict.fromkeys(ways):
        pairs = [list(form.continuations(one, way)) for one in asked]
        examples = [_example(language, *pair, chat=form.chat) for one in pairs for pair in one]
        scored = iter(score_examples(language, examples, batch_size))
        sums = [[float(next(scored).log_probs.sum()) for _ in one] for one in pairs]
        _say_ties(sums, way)
        chosen[way] = [int(np.argmax(one)) for one in sums]
        if way == "option":
            lengths = [[len(option) for option in one.options] for one in asked]
            chosen["option_norm"] = [
                int(np.argmax(np.array(a) / np.array(b))) for a, b in zip(sums, lengths, strict=True)
            ]
    return chosen


def _say_ties(sums: Sequence[Sequence[float]], way: str) -> None:
    """Note of how many questions the likeliest option is not the only one."""
    if num := sum(one.count(max(one)) > 1 for one in map(list, sums)):
        note(
            f"by {way}, {num} of {len(sums)} questions have several options that are equally likely, of "
            "which the first counts as chosen"
        )


def _example(language: LanguageModel, context: str, said: str, *, chat: bool) -> Example:
    """Tokenize both together, so that what follows begins where the tokens of the context end.

    With a chat template these are the prompt's tokens; without, those that the tokenizer gives by default.

    Nothing is generated or learned, so that the model's own context is what counts, where it names one.

    Raises:
        CollapseError: Both are longer than the model can read.
    """
    encoder = language.encoder
    if chat:
        ids = encoder.prompt([{"role": "user", "content": context}])
        start, ids = len(ids), [*ids, *encoder.tokenizer(said, add_special_tokens=False).input_ids]
    else:
        ids = list(encoder.tokenizer(context + said).input_ids)
        start = len(encoder.tokenizer(context).input_ids)
    longest = max(encoder.max_length, getattr(language.module.config, "max_position_embeddings", 0) or 0)
    if len(ids) > longest:
        raise CollapseError(
            f"a question with an option has {len(ids)} tokens, and the model reads {longest}; leave out long "
            f"questions: {context[:60]!r}"
        )
    return Example(ids, start)
