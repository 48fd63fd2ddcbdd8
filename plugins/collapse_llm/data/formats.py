"""Which format rows have, and what each calls the question and its answer."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from collapse_core import CollapseError
from collapse_llm.conversations import CONTINUE, Message, Question, problem_of
from collapse_llm.data.reading import Line

ROLES = {"human": "user", "gpt": "assistant", "observation": "tool", "function_call": "assistant"}
"""What `conversations` call the roles; others are called as they are."""


@dataclass(frozen=True, slots=True)
class Format:
    """One form that rows have."""

    name: str
    columns: tuple[str, ...]
    """Its columns; rows have the first, and perhaps the others."""


FORMATS = (
    Format("messages", ("messages",)),
    Format("conversations", ("conversations",)),
    Format("question/answer", ("question", "answer")),
    Format("prompt/completion", ("prompt", "completion")),
    Format("instruction/output", ("instruction", "input", "output")),
    Format("text", ("text",)),
)
"""In the order in which they are recognized."""
TEXT = FORMATS[-1]
CONTENT = tuple(dict.fromkeys(column for form in FORMATS for column in form.columns))
"""The columns of all formats."""
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""What the options of a question are called."""
COMPANIONS = ("paraphrased_question", "paraphrased_answer", "perturbed_answer")
"""Further columns with a meaning, as TOFU has them; a list `choices` makes one of multiple choice."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A row as a question, its answer if it has one, and its other columns."""

    question: Question
    answer: str | None
    others: Mapping[str, Any]
    is_cut: bool = False
    """Whether messages behind the last answer were left out."""


def renamed(line: Line, columns: Mapping[str, str]) -> Line:
    """Return a row whose columns are called as the formats call them.

    Raises:
        CollapseError: The row has such a column besides the one that is to be called so.
    """
    names = {theirs: ours for ours, theirs in columns.items()}
    row = {
        names.get(name, name): value
        for name, value in line.row.items()
        if name not in columns or name in names
    }
    return Line(line.where, line.number, row)


def recognized(lines: Sequence[Line], source: str) -> Format:
    """Return the one format that all rows have.

    Raises:
        CollapseError: A row has none, or another one than the first.
    """
    found = [next((form for form in FORMATS if form.columns[0] in line.row), None) for line in lines]
    for line, form in zip(lines, found, strict=True):
        if form is None:
            known = ", ".join(form.name for form in FORMATS)
            raise CollapseError(
                f"{line.where}: this row has none of the known formats ({known}); it has "
                f"{', '.join(line.row) or 'no columns'}; name its columns, such as "
                "'columns: {question: <name>, answer: <name>}'"
            )
        if form != found[0] and found[0] is not None:
            raise CollapseError(
                f"{line.where}: this row has the format {form.name}, and {lines[0].where} has "
                f"{found[0].name}; give the rows of '{source}' one format, or choose rows with 'where'"
            )
    assert found[0] is not None
    return found[0]


def asked(line: Line, form: Format) -> Asked:
    """Return a row's question and answer.

    Raises:
        CollapseError: A column holds something else than the format says.
    """
    if "choices" in line.row and form.name == "question/answer":
        line = _with_options(line)
    others = {name: _plain(value) for name, value in line.row.items() if name not in form.columns}
    cut = False
    question: Any
    answer: str | None
    if form.name in ("messages", "conversations"):
        question, answer, cut = _conversed(line, form.columns[0], line.row[form.columns[0]])
    elif form == TEXT:
        question, answer = {CONTINUE: ""}, _text(line, "text")
    elif isinstance(line.row.get("prompt"), list) and form.name == "prompt/completion":
        completion = line.row.get("completion", [])
        said = [{"role": "assistant", "content": completion}] if isinstance(completion, str) else completion
        question, answer, cut = _conversed(line, "prompt", [*line.row["prompt"], *said])
    else:
        question, answer = _in_texts(line, form)
    if problem := problem_of(question):
        raise CollapseError(f"{line.where}: '{form.columns[0]}' {problem}")
    return Asked(question, answer, others, cut)


def _with_options(line: Line) -> Line:
    """A row of multiple choice with the right option as its answer, and the option's number next to it.

    Raises:
        CollapseError: `choices` is no list of two texts or more, or the answer is none of them.
    """
    options, right = line.row["choices"], line.row.get("answer")
    if not isinstance(options, list) or len(options) < 2 or not all(isinstance(o, str) for o in options):
        raise CollapseError(f"{line.where}: 'choices' must be a list of at least two texts")
    if isinstance(right, str) and right not in options and len(right) == 1:
        right = LETTERS.find(right.upper())
    number = options.index(right) if right in options else right
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < len(options):
        raise CollapseError(
            f"{line.where}: 'answer' must be one of the {len(options)} 'choices': its text, its letter, or "
            f"its number from 0, not {json.dumps(line.row.get('answer'), default=str)[:40]}"
        )
    row = {**line.row, "answer": options[number], "answer_number": number}
    return Line(line.where, line.number, row)


def _in_texts(line: Line, form: Format) -> tuple[Question, str | None]:
    first, *more, last = form.columns
    question = line.row[first]
    if form.name == "question/answer" and isinstance(question, list):
        question = _messages(line, first, question)
    else:
        parts = [_text(line, first), *(_text(line, name) for name in more if line.row.get(name))]
        question = "\n".join(parts)
    blank = not str(line.row.get(last, "")).strip()
    return question, None if blank else _text(line, last)


def _conversed(line: Line, column: str, value: Any) -> tuple[Question, str | None, bool]:
    """The messages before the last answer, that answer, and whether others follow it."""
    messages = _messages(line, column, value)
    last = next((i for i in reversed(range(len(messages))) if messages[i]["role"] == "assistant"), None)
    before = messages if last is None else messages[:last]
    if not before:
        raise CollapseError(f"{line.where}: '{column}' has no message before the answer")
    # A conversation of nothing but a question is that question: it can be asked without a template too.
    alone = len(before) == 1 and set(before[0]) == {"role", "content"} and before[0]["role"] == "user"
    question: Question = before[0]["content"] if alone else before
    if last is None:
        return question, None, False
    return question, messages[last]["content"].strip() or None, last < len(messages) - 1


def _messages(line: Line, column: str, value: Any) -> list[Message]:
    if isinstance(value, str):  # csv files hold lists as JSON
        try:
            value = json.loads(value)
        except ValueError:
            value = None
    if not isinstance(value, list) or not value:
        raise CollapseError(f"{line.where}: '{column}' must be a list of messages that is not empty")
    return [_message(line, column, one) for one in value]


def _message(line: Line, column: str, value: Any) -> Message:
    """One message, by role and content whatever it calls them."""
    if isinstance(value, Mapping):
        role = value.get("role", value.get("from"))
        content = value.get("content", value.get("value"))
        if isinstance(content, list) and all(
            isinstance(part, Mapping) and "text" in part for part in content
        ):
            content = "\n".join(str(part["text"]) for part in content)
        if content is None and "tool_calls" in value:
            content = ""
        if isinstance(role, str) and isinstance(content, str):
            rest = {k: v for k, v in value.items() if k not in ("role", "from", "content", "value")}
            return {"role": ROLES.get(role, role), "content": content, **rest}
    shown = json.dumps(value, ensure_ascii=False, default=str)[:60]
    raise CollapseError(
        f"{line.where}: '{column}' has a message that is not {{role, content}} or {{from, value}} of texts: "
        f"{shown}"
    )


def _text(line: Line, column: str) -> str:
    value = line.row[column]
    if not isinstance(value, str) or not value.strip():
        shown = json.dumps(value, ensure_ascii=False, default=str)[:40]
        raise CollapseError(f"{line.where}: '{column}' must be a text that is not empty, not {shown}")
    return value


def _plain(value: Any) -> Any:
    """A value as JSON has it; times and the like become texts."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)
