"""The chat template of a tokenizer: what it makes of messages, and how it ends a turn."""

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import TemplateError

from collapse_core import CollapseError
from collapse_llm.conversations import Message
from collapse_llm.model import PromptFormat

THINKING = "enable_thinking"
"""The argument by which templates are told whether the model is to think before it answers."""


class ChatTemplate:
    """Renders conversations with a tokenizer's own template, always in the same way."""

    def __init__(self, tokenizer: Any, form: PromptFormat) -> None:
        """Take a transformers tokenizer and the format of prompts, with its arguments for the template."""
        self.tokenizer, self.form = tokenizer, form
        self.arguments: dict[str, Any] = dict(form.arguments)
        if THINKING in str(tokenizer.chat_template):
            # A reasoning part would be scored, cut at max_new_tokens and learned as if it were the answer.
            self.arguments.setdefault(THINKING, False)

    def described(self) -> str:
        """Say what is assumed about the template, for the user to read."""
        given = [f"{name}={str(value).lower()}" for name, value in self.arguments.items()]
        if self.form.system is None:
            given.append("no system message but the rows' own")
        if self.folds_system:
            given.append("the system message at the head of the first user message")
        return ", ".join(["its own chat template", *given])

    @property
    def folds_system(self) -> bool:
        """Whether the recipe has a system message and the template refuses that role."""
        if self.form.system is None:
            return False
        try:
            self._applied(self.messages("?"), add_generation_prompt=True)
        except TemplateError:
            return True
        return False

    def messages(self, question: str | Sequence[Message], answer: str | None = None) -> list[Message]:
        """Return the conversation, with the recipe's system message where it has none of its own."""
        asked = [{"role": "user", "content": question}] if isinstance(question, str) else question
        messages: list[Message] = list(asked)
        if self.form.system is not None and all(message["role"] != "system" for message in messages):
            messages.insert(0, {"role": "system", "content": self.form.system})
        return messages if answer is None else [*messages, {"role": "assistant", "content": answer}]

    def render(self, messages: Sequence[Message], *, add_generation_prompt: bool) -> str:
        """Return the text of a conversation.

        A system message goes into the first user message where the template refuses that role.

        Raises:
            CollapseError: There is no template, it prints today's date and the recipe sets none, or it
                refuses the messages.
        """
        if self.tokenizer.chat_template is None:
            raise CollapseError(
                "'chat: true' needs a chat template, which the model's tokenizer does not have; choose an "
                "instruction-tuned model, or ask questions as text with 'chat: false'"
            )
        try:
            return self._applied(messages, add_generation_prompt=add_generation_prompt)
        except TemplateError as error:
            folded = _without_system(messages)
            if folded is None:
                raise _refused(messages, error) from None
        try:
            return self._applied(folded, add_generation_prompt=add_generation_prompt)
        except TemplateError as error:
            raise _refused(messages, error) from None

    def _applied(self, messages: Sequence[Message], *, add_generation_prompt: bool) -> str:
        return str(
            self.tokenizer.apply_chat_template(
                list(messages),
                add_generation_prompt=add_generation_prompt,
                tokenize=False,
                **self.arguments,
                **self._dated(),
            )
        )

    def _dated(self) -> dict[str, str]:
        """Return what gives the template its date; today's would change prompts from day to day."""
        date, template = self.form.date, self.tokenizer.chat_template
        if "strftime_now" not in str(template):
            return {"date_string": date} if date else {}
        if date is None:
            raise CollapseError(
                "the model's chat template prints today's date, so that prompts would change every day; "
                "set 'date' under 'prompt' of the model, such as '10 Apr 2025'"
            )
        fixed = "{% macro strftime_now(form) %}{{ date_string }}{% endmacro %}"
        return {"date_string": date, "chat_template": fixed + template}


def _without_system(messages: Sequence[Message]) -> list[Message] | None:
    """Put the system message at the head of the user message after it; None where that cannot be done."""
    roles = [message["role"] for message in messages]
    if roles[:2] != ["system", "user"] or "system" in roles[1:]:
        return None
    system, first = (message["content"] for message in messages[:2])
    return [{"role": "user", "content": f"{system}\n\n{first}"}, *messages[2:]]


def _refused(messages: Sequence[Mapping[str, str]], error: TemplateError) -> CollapseError:
    return CollapseError(
        f"the model's chat template does not take these messages ({error}): "
        f"{', '.join(message['role'] for message in messages)}; give it others"
    )
