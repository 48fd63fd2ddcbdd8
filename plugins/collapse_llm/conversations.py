"""What language models are asked: a text, or a conversation of messages."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

Message: TypeAlias = Mapping[str, str]
"""Who speaks, and what is said: {"role": "user", "content": "Where was Ada born?"}."""
Opening: TypeAlias = Mapping[str, str]
"""How a text begins that the model is to continue: {"continue": "It was the best of times"}."""
Question: TypeAlias = str | Sequence[Message] | Opening
"""The content of a prompt: a text, the messages of a conversation to answer, or an opening to continue."""
Answered: TypeAlias = tuple[Question, str]
"""A question with an answer to it."""


CONTINUE = "continue"
"""The key of an opening."""


def problem_of(content: object) -> str | None:
    """Say what keeps a prompt's content from being asked; None where nothing does."""
    if isinstance(content, str):
        return None
    if isinstance(content, dict) and isinstance(content.get(CONTINUE), str):
        return None
    if not isinstance(content, list) or not content:
        return "is neither text nor a list of messages"
    for message in content:
        texts = isinstance(message, dict) and [message.get("role"), message.get("content")]
        if not texts or not all(isinstance(text, str) for text in texts):
            return "has a message that is not of the form {'role': <text>, 'content': <text>}"
    if content[-1]["role"] in ("assistant", "system"):
        return f"ends with a message of the role '{content[-1]['role']}', which leaves nothing to answer"
    return None


def text_of(content: Question) -> str:
    """Give the words of a prompt: its text, or what all messages say, one a line."""
    if isinstance(content, str):
        return content
    if isinstance(content, Mapping):
        return content[CONTINUE]
    return "\n".join(message["content"] for message in content)


def transcript_of(content: Question) -> str:
    """Give a prompt for people and judges to read: its text, or each message after its role."""
    if isinstance(content, str | Mapping):
        return text_of(content)
    return "\n".join(f"{message['role']}: {message['content']}" for message in content)
