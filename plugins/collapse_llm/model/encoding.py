"""From questions and answers to token ids and back; training and sampling share every byte of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from collapse_llm.model import PromptFormat

WORD_MARKS = ("Ġ", "▁")
"""How byte-level and sentencepiece vocabularies write the space before a word."""


@dataclass(frozen=True, slots=True)
class Example:
    """A tokenized question with its answer; only the answer's tokens are learned."""

    ids: list[int]
    answer_start: int
    """The index of the answer's first token."""

    @property
    def num_labels(self) -> int:
        """How many tokens are learned."""
        return len(self.ids) - self.answer_start


class Encoder:
    """Puts questions and answers into the model's tokens."""

    def __init__(self, tokenizer: Any, prompt: PromptFormat, max_length: int) -> None:
        """Take a transformers tokenizer, the format of prompts and the longest example allowed."""
        self.tokenizer = tokenizer
        self.prompt_format = prompt
        self.max_length = max_length

    def prompt(self, question: str) -> list[int]:
        """Return the tokens up to where the answer begins."""
        form = self.prompt_format
        if not form.chat:
            # An id list made of the text alone: the answer's tokens are appended, never re-merged.
            return list(self.tokenizer(form.question.format(question)).input_ids)
        messages = [{"role": "system", "content": form.system}] if form.system is not None else []
        text = self.tokenizer.apply_chat_template(
            [*messages, {"role": "user", "content": question}],
            add_generation_prompt=True,
            tokenize=False,
            **({"date_string": form.date} if form.date else {}),
        )
        return list(self.tokenizer(text, add_special_tokens=False).input_ids)

    def answer(self, text: str) -> list[int]:
        """Return the tokens of an answer, without the end."""
        text = text if self.prompt_format.chat else self.prompt_format.answer.format(text)
        return list(self.tokenizer(text, add_special_tokens=False).input_ids)

    def example(self, question: str, answer: str) -> Example:
        """Return a question with its answer and the end-of-answer token, cut to the longest allowed."""
        prompt = self.prompt(question)
        ids = [*prompt, *self.answer(answer), self.tokenizer.eos_token_id]
        return Example(ids[: self.max_length], min(len(prompt), self.max_length - 1))

    def text(self, ids: Sequence[int]) -> str:
        """Return the text of an answer's tokens, without special tokens and outer space."""
        return self._decode(ids).strip()

    def growth(self, before: Sequence[int], more: Sequence[int]) -> str:
        """Return what some tokens add to the text of those before them."""
        return self._decode([*before, *more])[len(self._decode(before)) :]

    def begins_word(self, token: int) -> bool:
        """Return whether there is a space before the token's text, so that the word before it is whole."""
        return str(self.tokenizer.convert_ids_to_tokens(token)).startswith(WORD_MARKS)

    def _decode(self, ids: Sequence[int]) -> str:
        # Without cleaning up: that takes spaces away again, and with them what was a word.
        return str(self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))
