"""RWKU's membership texts and its five tests of abilities, by the rules of its code (arXiv 2406.10890)."""

import math
import re
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Literal

from collapse_core import PERCENT, Metric, Prompt, mean_metric
from collapse_llm.data.formats import LETTERS
from collapse_llm.evaluators.answers import answers_once
from collapse_llm.evaluators.scoring import score_examples
from collapse_llm.model.encoding import Example
from collapse_llm.model.language_model import LanguageModel

NO_SHARES = ("mia_forget", "mia_retain", "utility_fluency")
LONGEST = {"utility_reason": 256, "utility_factuality": 30, "utility_fluency": 256}
"""By split, how many tokens an answer has at most."""
SAID = re.compile(r"[t|T]he answer is (.*?)\.")
"""Where an answer to a question of reasoning is."""
ARTICLES = re.compile(r"\b(a|an|the)\b")
SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
WEIGHTS = {2: 2 / 3, 3: 4 / 3}
"""By the length of n-grams, what their entropy counts in a text's."""

Test = Callable[[LanguageModel, Sequence[Prompt], int], list[float]]


def split_metrics(
    language: LanguageModel, splits: Mapping[str, Sequence[Prompt]], batch_size: int, seed: int
) -> dict[str, Metric]:
    """Return a metric for each split: 100 times the mean of its test, so a percentage, or nats or bits."""
    found = {}
    for split, prompts in splits.items():
        values = [100 * value for value in TESTS[split](language, list(prompts), batch_size)]
        better: Literal["up", "down"] = "down" if split == "mia_retain" else "up"
        scale = None if split in NO_SHARES else PERCENT
        found[f"rwku_{split}"] = mean_metric([values], seed, better, scale=scale)
    return found


def losses(language: LanguageModel, prompts: Sequence[Prompt], batch_size: int) -> list[float]:
    """The mean loss per token of each text, in nats; a text is cut at the longest example allowed."""
    texts = [language.encoder.tokenizer(prompt.target).input_ids for prompt in prompts]
    examples = [Example(list(ids)[: language.encoder.max_length], 1) for ids in texts]
    return [one.loss for one in score_examples(language, examples, batch_size)]


def chosen_letters(language: LanguageModel, prompts: Sequence[Prompt], batch_size: int) -> list[float]:
    """Whether the right letter is the likeliest of the letters after "Answer:"."""
    tokenize = language.encoder.tokenizer
    opening = tokenize("Answer:", add_special_tokens=False).input_ids
    letters = [tokenize(f" {letter}", add_special_tokens=False).input_ids[-1] for letter in LETTERS]
    asked = [
        [Example([*ids, letter], len(ids)) for letter in letters[: len(prompt.extra["choices"])]]
        for prompt in prompts
        for ids in [[*language.encoder.prompt(prompt.content), *opening]]
    ]
    return [
        float(sums.index(max(sums)) == prompt.extra["answer_number"])
        for prompt, sums in zip(prompts, _sums(language, asked, batch_size), strict=True)
    ]


def told_truths(language: LanguageModel, prompts: Sequence[Prompt], batch_size: int) -> list[float]:
    """Whether the true answer has a higher log-likelihood than each false one (MC1)."""
    tokenize = language.encoder.tokenizer
    asked = []
    for prompt in prompts:
        ids = language.encoder.prompt(prompt.content)
        opening = _opening(language, ids)
        start = len(ids) + len(tokenize(opening, add_special_tokens=False).input_ids)
        said = [f"{opening} {choice}" for choice in prompt.extra["choices"]]
        tokens = [tokenize(text, add_special_tokens=False).input_ids for text in said]
        asked.append([Example([*ids, *more], start) for more in tokens])
    return [float(true > max(false)) for true, *false in _sums(language, asked, batch_size)]


def _sums(language: LanguageModel, asked: Sequence[Sequence[Example]], batch_size: int) -> list[list[float]]:
    """By question and option, the log-likelihood of the option."""
    scored = iter(score_examples(language, [one for some in asked for one in some], batch_size))
    return [[float(next(scored).log_probs.sum()) for _ in some] for some in asked]


def _opening(language: LanguageModel, ids: Sequence[int]) -> str:
    """What an answer is made to begin with, after the last character of the prompt."""
    return "A:" if language.encoder.tokenizer.decode(ids)[-1:] in ("\n", " ") else " A:"


def reasoned(language: LanguageModel, prompts: Sequence[Prompt], batch_size: int) -> list[float]:
    """Whether what follows "the answer is" is the right answer, up to case, articles and punctuation."""
    opening = _opening(language, language.encoder.prompt(prompts[0].content)) if prompts else ""
    answers = answers_once(language, prompts, LONGEST["utility_reason"], batch_size, opening)
    found = [match[1].strip() if (match := SAID.search(one)) else one.strip() for one in answers]
    return [
        float(any(plain_words(one) == plain_words(right) for right in prompt.extra["answers"]))
        for prompt, one in zip(prompts, (one or "NOANSWER" for one in found), strict=True)
    ]


def recalled_facts(language: LanguageModel, prompts: Sequence[Prompt], batch_size: int) -> list[float]:
    """The F1 of the words of each answer and of the right answer that it is most like."""
    answers = answers_once(language, prompts, LONGEST["utility_factuality"], batch_size, "A:")
    return [
        max(word_f1(plain_words(right), plain_words(one)) for right in prompt.extra["answers"])
        for prompt, one in zip(prompts, answers, strict=True)
    ]


def plain_words(text: str) -> list[str]:
    """The words of a text, without case, punctuation and articles."""
    bare = "".join(letter for letter in text.lower() if letter not in string.punctuation)
    return ARTICLES.sub(" ", bare).split()


def word_f1(reference: Sequence[str], words: Sequence[str]) -> float:
    """Return the harmonic mean of precision and recall, counting repeated words; 1 where both have none."""
    if not reference or not words:
        return float(list(reference) == list(words))
    return 2 * sum((Counter(reference) & Counter(words)).values()) / (len(reference) + len(words))


def fluency(language: LanguageModel, prompts: Sequence[Prompt], batch_size: int) -> list[float]:
    """The entropy of the n-grams of what is written to each instruction, in bits."""
    answers = answers_once(language, prompts, LONGEST["utility_fluency"], batch_size)
    return [ngram_entropy(answer) for answer in answers]


def ngram_entropy(text: str) -> float:
    """Return the weighted mean of the entropies of pairs and triples of nltk's tokens, in bits.

    The benchmark splits sentences by a model that nltk downloads; here a space after a full stop does.
    """
    from nltk.tokenize.destructive import NLTKWordTokenizer

    tokenizer = NLTKWordTokenizer()
    tokens = [token for sentence in SENTENCE_END.split(text) for token in tokenizer.tokenize(sentence)]
    entropies = []
    for n, weight in WEIGHTS.items():
        counts = Counter(zip(*(tokens[start:] for start in range(n)), strict=False)).values()
        shares = [count / sum(counts) for count in counts]
        entropies.append(weight * -sum(share * math.log2(share) for share in shares))
    return fmean(entropies)


TESTS: dict[str, Test] = {
    "mia_forget": losses,
    "mia_retain": losses,
    "utility_general": chosen_letters,
    "utility_reason": reasoned,
    "utility_truthfulness": told_truths,
    "utility_factuality": recalled_facts,
    "utility_fluency": fluency,
}
