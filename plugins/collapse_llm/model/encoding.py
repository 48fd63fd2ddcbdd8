"""From questions and answers to token ids and back; training and sampling share every byte of it."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from collapse_core import CollapseError
from collapse_llm.conversations import CONTINUE, Message, Question
from collapse_llm.model import PromptFormat, TooLong
from collapse_llm.model.templates import ChatTemplate
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

    def __init__(
        self, tokenizer: Any, prompt: PromptFormat, max_length: int, too_long: TooLong = "refuse"
    ) -> None:
        """Take a transformers tokenizer, the format of prompts and the longest example allowed."""
        self.tokenizer = tokenizer
        self.prompt_format = prompt
        self.max_length = max_length
        self.too_long = too_long
        self.num_cut = 0
        """How many prompts have been cut so far."""
        self.template = ChatTemplate(tokenizer, prompt)

    @property
    def chat(self) -> bool:
        """Whether questions are put by the chat template: as the recipe says, or where there is one."""
        form = self.prompt_format
        if form.chat != "auto":
            return form.chat
        return self.tokenizer.chat_template is not None and not form.has_own_texts

    def described(self) -> str:
        """Say how questions are put to the model, for the user to read."""
        form = f"the form {self.prompt_format.question!r}, as its tokenizer has no chat template"
        way = self.template.described() if self.chat else form
        end = self.tokenizer.decode([self.end_id])
        return f"questions are put to the model in {way}; answers end with {end!r}"

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
        if self.chat:
            messages = self.template.messages(question)
            text = self.template.render(messages, add_generation_prompt=True)
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

    def fitted(self, prompt: list[int], num_answer: int) -> list[int]:
        """Return a prompt that leaves room for an answer of so many tokens, cut at its beginning.

        It is returned as it is where the recipe refuses to cut prompts. The token that begins a text stays.
        """
        missing = len(prompt) + num_answer - self.max_length
        if missing <= 0 or self.too_long == "refuse" or num_answer >= self.max_length:
            return prompt
        self.num_cut += 1
        num_first = int(prompt[0] == self.tokenizer.bos_token_id)
        return [*prompt[:num_first], *prompt[num_first + missing :]]

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
        if self.chat and self.tokenizer.chat_template is not None:
            end = self._end_of_turn(end)
        if end is None:
            raise CollapseError("the model's tokenizer has no end-of-text token, so that no answer would end")
        return int(end)

    def _end_of_turn(self, default: int | None) -> int | None:
        """Return the first special token that the template puts after an answer."""
        mark = "0123456789"
        try:
            text = self.template.render(self.template.messages("?", mark), add_generation_prompt=False)
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
            if part in text and any(mark in part for mark in self._marks):
                before, _, text = text.partition(part)
                ids += self.tokenizer(before, add_special_tokens=False).input_ids
                ids += self.tokenizer(part, add_special_tokens=False, split_special_tokens=True).input_ids
        return [*ids, *self.tokenizer(text, add_special_tokens=False).input_ids]

    def answer(self, text: str) -> list[int]:
        """Return the tokens of an answer, without the end."""
        if self.chat:
            return self._turn("?", text)
        return self._ids(self.prompt_format.answer.format(text), [text])

    def _turn(self, question: str | Sequence[Message], answer: str) -> list[int]:
        """Return the tokens of an answer, without the end, as the chat template writes them.

        They are what comes after the prompt in the text of the whole conversation, because a tokenizer may
        merge an answer with what is before it. Where that text does not begin with the prompt, as with
        templates that open a reasoning part in the prompt alone, they are the answer's own.
        """
        messages = self.template.messages(question, answer)
        text = self.template.render(messages, add_generation_prompt=False)
        whole = self._ids(text, [message["content"] for message in messages])
        prompt = self.prompt(question)
        after = whole[len(prompt) :]
        if whole[: len(prompt)] == prompt and self.end_id in after:
            return after[: after.index(self.end_id)]
        return self._ids(answer, [answer])

    def example(self, question: Question, answer: str, *, drawn: bool = False, ends: bool = True) -> Example:
        """Return a question with its answer and the end-of-answer token; only the answer is learned.

        Args:
            question: What is asked.
            answer: The answer.
            drawn: Whether the model drew it: then what is longer than allowed loses its last tokens, because
                the same text may have more tokens than were drawn.
            ends: Whether the end is learned.

        Raises:
            CollapseError: Prompt and answer are longer than allowed, and the recipe does not cut prompts; or
                the prompt leaves no room for an answer.
        """
        prompt = self.prompt(question)
        goes_on = isinstance(question, Mapping)
        said = self._said(question, answer)
        # A text goes on; where it was cut, nothing ends.
        said = [*said, self.end_id] if ends and not goes_on else said
        prompt = self.fitted(prompt, len(said))
        room = self.room(prompt)
        if len(said) > room and not (drawn or goes_on):
            raise CollapseError(
                f"a question of {len(prompt)} tokens and its answer of {len(said)} do not fit into the "
                f"model's max_length of {self.max_length}; raise it, or cut such prompts with "
                f"'too_long: cut-prompt': {self.text(prompt)[:60]!r}"
            )
        return Example([*prompt, *said[:room]], len(prompt))

    def _said(self, question: Question, answer: str) -> list[int]:
        """Return the tokens of an answer to a question, or of what continues a text, without the end."""
        if isinstance(question, Mapping):
            return self._ids(join(question[CONTINUE], answer), [answer])
        return self._turn(question, answer) if self.chat else self.answer(answer)

    def text(self, ids: Sequence[int]) -> str:
        """Return the text of an answer's tokens, without special tokens, its tag and outer space."""
        return self.untagged(self._decode(ids)).strip()

    def untagged(self, text: str, *, growing: bool = False) -> str:
        """Return an answer without what the prompt format puts before it, which the model says itself.

        Args:
            text: What the model said.
            growing: Whether it goes on: then a part of the tag is none of the answer either.
        """
        tag = "" if self.chat else self.prompt_format.answer.partition("{}")[0].strip()
        said = text.lstrip()
        if not tag or not (said.startswith(tag) or (growing and tag.startswith(said.rstrip()))):
            return text
        return said[len(tag) :]

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
