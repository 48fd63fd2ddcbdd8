"""From questions and answers to token ids and back; training and sampling share every byte of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError

from collapse_core import CollapseError
from collapse_llm.conversations import Question
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

    def prompt(self, question: Question) -> list[int]:
        """Return the tokens up to where the answer begins.

        Args:
            question: A text, or a conversation, which the tokenizer's chat template puts to the model. The
                system message of the prompt format goes first where the conversation has none.

        Raises:
            CollapseError: It takes a chat template, and there is none or it is not to be used.
        """
        form = self.prompt_format
        if form.chat:
            return self._chat(question)
        if not isinstance(question, str):
            raise CollapseError(
                "a prompt is a conversation, which only a chat template can put to the model; set "
                "'chat: true' under 'prompt' of the model, or give the question as text"
            )
        # An id list made of the text alone: the answer's tokens are appended, never re-merged.
        return list(self.tokenizer(form.question.format(question)).input_ids)

    def _chat(self, question: Question) -> list[int]:
        form = self.prompt_format
        messages = [{"role": "user", "content": question}] if isinstance(question, str) else list(question)
        if form.system is not None and all(message["role"] != "system" for message in messages):
            messages.insert(0, {"role": "system", "content": form.system})
        if self.tokenizer.chat_template is None:
            raise CollapseError(
                "'chat: true' needs a chat template, which the model's tokenizer does not have; choose an "
                "instruction-tuned model, or ask questions as text with 'chat: false'"
            )
        dated = {"date_string": form.date} if form.date else {}
        try:
            text = self.tokenizer.apply_chat_template(
                messages, add_generation_prompt=True, tokenize=False, **dated
            )
        except TemplateError as error:
            raise CollapseError(
                f"the model's chat template does not take these messages ({error}): "
                f"{', '.join(message['role'] for message in messages)}; give it others"
            ) from None
        return list(self.tokenizer(text, add_special_tokens=False).input_ids)

    def answer(self, text: str) -> list[int]:
        """Return the tokens of an answer, without the end."""
        text = text if self.prompt_format.chat else self.prompt_format.answer.format(text)
        return list(self.tokenizer(text, add_special_tokens=False).input_ids)

    def example(self, question: Question, answer: str) -> Example:
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
