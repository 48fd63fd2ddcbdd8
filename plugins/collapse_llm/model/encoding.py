"""From questions and answers to token ids and back; training and sampling share every byte of it."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jinja2 import TemplateError

from collapse_core import CollapseError
from collapse_llm.conversations import CONTINUE, Message, Question
from collapse_llm.model import PromptFormat
from collapse_llm.words import join

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
        if isinstance(question, Mapping):
            return self._opened(question[CONTINUE])
        if form.chat:
            messages = self._messages(question)
            text = self._rendered(messages, add_generation_prompt=True)
            return self._ids(text, [message["content"] for message in messages])
        if not isinstance(question, str):
            raise CollapseError(
                "a prompt is a conversation, which only a chat template can put to the model; set "
                "'chat: true' under 'prompt' of the model, or give the question as text"
            )
        # An id list made of the text alone: the answer's tokens are appended, never re-merged.
        return self._begun(form.question.format(question), [question])

    def _opened(self, text: str) -> list[int]:
        """Return the tokens of a text to be continued; an empty one begins with what begins texts."""
        beginning = self.tokenizer.bos_token_id
        first = self.end_id if beginning is None else beginning
        return self._begun(text, [text]) if text else [int(first)]

    def _begun(self, text: str, said: Sequence[str]) -> list[int]:
        bare = self._ids(text, said)
        # What a tokenizer puts before a text begins the prompt; what it puts after, such as an end, does not.
        full, plain = (list(self.tokenizer(text, add_special_tokens=add).input_ids) for add in (True, False))
        return next((full[:i] + bare for i in range(len(full)) if full[i : i + len(plain)] == plain), bare)

    def room(self, ids: Sequence[int]) -> int:
        """Return how many tokens an answer may have after a prompt of these.

        Raises:
            CollapseError: There is no room for any.
        """
        if len(ids) >= self.max_length:
            raise CollapseError(
                f"a prompt of {len(ids)} tokens leaves no room for an answer; set the model's max_length "
                f"above that (it is {self.max_length}): {self.text(ids)[:60]!r}"
            )
        return self.max_length - len(ids)

    @cached_property
    def end_id(self) -> int:
        """The token that ends an answer: the end of turn of the chat template, or the end of a text.

        Raises:
            CollapseError: The tokenizer has none.
        """
        end = self.tokenizer.eos_token_id
        if self.prompt_format.chat and self.tokenizer.chat_template is not None:
            end = self._end_of_turn(end)
        if end is None:
            raise CollapseError("the model's tokenizer has no end-of-text token, so that no answer would end")
        return int(end)

    def _end_of_turn(self, default: int | None) -> int | None:
        """Return the first special token that the template puts after an answer."""
        mark = "0123456789"
        try:
            messages = [*self._messages("?"), {"role": "assistant", "content": mark}]
            text = self._rendered(messages, add_generation_prompt=False)
        except CollapseError:
            return default
        after = self.tokenizer(text.rpartition(mark)[2], add_special_tokens=False).input_ids
        special = self.tokenizer.all_special_ids
        return next((id_ for id_ in after if id_ in special or self._is_mark(id_)), default)

    def _is_mark(self, id_: int) -> bool:
        return str(self.tokenizer.convert_ids_to_tokens(id_)) in self._marks

    @cached_property
    def _marks(self) -> frozenset[str]:
        """The texts of the tokenizer's special tokens."""
        added = self.tokenizer.added_tokens_decoder.values()
        return frozenset([*self.tokenizer.all_special_tokens, *(str(one) for one in added if one.special)])

    def _ids(self, text: str, said: Sequence[str]) -> list[int]:
        """Tokenize a text; special tokens in what is said there are taken for the text that they are."""
        ids: list[int] = []
        for part in (part.strip() for part in said):
            if any(mark in part for mark in self._marks):
                before, _, text = text.partition(part)
                ids += self.tokenizer(before, add_special_tokens=False).input_ids
                ids += self.tokenizer(part, add_special_tokens=False, split_special_tokens=True).input_ids
        return [*ids, *self.tokenizer(text, add_special_tokens=False).input_ids]

    def _messages(self, question: str | Sequence[Message]) -> list[Message]:
        form = self.prompt_format
        asked = [{"role": "user", "content": question}] if isinstance(question, str) else question
        messages: list[Message] = list(asked)
        if form.system is not None and all(message["role"] != "system" for message in messages):
            messages.insert(0, {"role": "system", "content": form.system})
        return messages

    def _rendered(self, messages: Sequence[Message], *, add_generation_prompt: bool) -> str:
        if self.tokenizer.chat_template is None:
            raise CollapseError(
                "'chat: true' needs a chat template, which the model's tokenizer does not have; choose an "
                "instruction-tuned model, or ask questions as text with 'chat: false'"
            )
        dated = self._dated()
        try:
            return str(
                self.tokenizer.apply_chat_template(
                    list(messages),
                    add_generation_prompt=add_generation_prompt,
                    tokenize=False,
                    **dated,
                )
            )
        except TemplateError as error:
            raise CollapseError(
                f"the model's chat template does not take these messages ({error}): "
                f"{', '.join(message['role'] for message in messages)}; give it others"
            ) from None

    def _dated(self) -> dict[str, str]:
        """Return what gives the template its date; today's would change prompts from day to day."""
        date, template = self.prompt_format.date, self.tokenizer.chat_template
        if "strftime_now" not in str(template):
            return {"date_string": date} if date else {}
        if date is None:
            raise CollapseError(
                "the model's chat template prints today's date, so that prompts would change every day; "
                "set 'date' under 'prompt' of the model, such as '10 Apr 2025'"
            )
        fixed = "{% macro strftime_now(form) %}{{ date_string }}{% endmacro %}"
        return {"date_string": date, "chat_template": fixed + template}

    def answer(self, text: str) -> list[int]:
        """Return the tokens of an answer, without the end."""
        whole = text if self.prompt_format.chat else self.prompt_format.answer.format(text)
        return self._ids(whole, [text])

    def example(self, question: Question, answer: str) -> Example:
        """Return a question with its answer and the end-of-answer token, cut to the longest allowed.

        Raises:
            CollapseError: The prompt leaves no room for an answer.
        """
        prompt = self.prompt(question)
        self.room(prompt)
        if isinstance(question, Mapping):
            # A text goes on; where it was cut, nothing ends.
            ids = [*prompt, *self._ids(join(question[CONTINUE], answer), [answer])]
        else:
            ids = [*prompt, *self.answer(answer), self.end_id]
        return Example(ids[: self.max_length], len(prompt))

    def text(self, ids: Sequence[int]) -> str:
        """Return the text of an answer's tokens, without special tokens and outer space."""
        return self._decode(ids).strip()

    def texts(self, ids: Sequence[int]) -> list[str]:
        """Return what each token adds to the text, special ones included."""
        so_far = [
            str(self.tokenizer.decode(ids[:num], clean_up_tokenization_spaces=False))
            for num in range(len(ids) + 1)
        ]
        return [text[len(before) :] for before, text in itertools.pairwise(so_far)]

    def growth(self, before: Sequence[int], more: Sequence[int]) -> str:
        """Return what some tokens add to the text of those before them."""
        return self._decode([*before, *more])[len(self._decode(before)) :]

    def begins_word(self, token: int) -> bool:
        """Return whether there is a space before the token's text, so that the word before it is whole."""
        return str(self.tokenizer.convert_ids_to_tokens(token)).startswith(WORD_MARKS)

    def _decode(self, ids: Sequence[int]) -> str:
        # Without cleaning up: that takes spaces away again, and with them what was a word.
        return str(self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))
