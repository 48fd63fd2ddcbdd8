"""Questions of one's own: what to forget and what to retain, from files in the formats of the field."""

from collections.abc import Mapping, Sequence
from importlib.resources import files as resources
from typing import Literal

from pydantic import PrivateAttr, model_validator

from collapse_core import (
    CollapseError,
    Prompt,
    PromptSet,
    all_hold,
    errors,
    progress,
    values_there,
)
from collapse_llm.data import formats, overlap, reading
from collapse_llm.data.formats import Asked, Format
from collapse_llm.data.overlap import Compared
from collapse_llm.data.question_files import gives_away
from collapse_llm.data.reading import Line
from collapse_llm.data.sources import THE_REST, Named, Source
from collapse_llm.sentences import read_sentences

OWN_ANSWERS = "own-answers"
REFERENCE = ", which the reference model gives"
SOURCES: dict[str, str] = {
    "forget": "forget",
    "retain": "retain",
    "holdout": "holdout",
    "forget_paraphrased": "paraphrased",
    "forget_entailed": "entailed",
    "world_facts": "general",
    "forget_choices": "choices",
    "retain_choices": "general_choices",
}
"""By split, the key of the recipe that names its source."""


class Questions(Compared):
    """Questions to forget and to retain, with or without answers, from files of your own or from the hub.

    The format is recognized by the columns of all rows, in this order: messages (the last assistant message
    is the answer, those before it the prompt), conversations (from and value), question and answer,
    prompt and completion (texts or messages), instruction, input and output, text. `columns` maps other
    names. A row of question and answer with a list `choices` is a question of multiple choice. Splits:
    "forget" and "retain", and those of the optional sources: "holdout" (never trained on),
    "forget_paraphrased" (the forget questions in other words), "forget_entailed" (what follows from them),
    "world_facts" (general knowledge), and of multiple choice "forget_choices" and "retain_choices".

    Questions to forget need no answers; evaluators that compare with true answers do. The other columns of a
    row stay with its prompt.
    """

    forget: Named
    """What is to be forgotten."""
    retain: Named | Literal["own-answers"] | None = None
    """What is to be retained; "own-answers" are the model's own to everyday prompts, which come along.
    Retain prompts without an answer are answered by the reference model as well."""
    holdout: Named | None = None
    """Questions of the same kind that the model was never trained on, for evaluators."""
    paraphrased: Named | None = None
    """The forget questions in other words, for evaluators."""
    entailed: Named | None = None
    """Questions whose answers follow from what is to be forgotten, for evaluators: several facts combined, or
    asked backwards. A column `kind` says what each is."""
    general: Named | None = None
    """Questions of common knowledge, for evaluators."""
    choices: Named | None = None
    """Questions of multiple choice about what is to be forgotten, for evaluators."""
    general_choices: Named | None = None
    """Questions of multiple choice about anything else, for evaluators."""
    allow_overlap: bool = False
    """Whether a question may be to forget and to retain at once."""
    _said: set[str] = PrivateAttr(default_factory=set)

    @model_validator(mode="after")
    def _the_rest_of_something(self) -> "Questions":
        if self.forget.where == THE_REST:
            raise ValueError(
                "'forget' cannot be the rest; say with conditions which rows are to be forgotten"
            )
        for key, source in self._sources().items():
            if source.where == THE_REST and not (self.forget.alike(source) and self.forget.selects):
                raise ValueError(
                    f"'{key}' is the rest of '{source.from_}', but 'forget' chooses no rows of it by 'where'"
                )
        return self

    def load(self, split: str, *, targets: bool = True) -> PromptSet:
        """Load a split; without targets the answers are dropped as the rows are read."""
        if split not in SOURCES:
            raise errors.no_split(self.use, split, self.splits())
        source = getattr(self, SOURCES[split])
        if split == "retain" and not isinstance(source, Source):
            return own_answers() if source == OWN_ANSWERS else PromptSet(())
        if source is None:
            raise errors.no_split(self.use, split, self.splits())
        found = self._asked(split, source)
        if split == "retain" and "same" not in self._said:
            forget = self._asked("forget", self.forget)
            for sentence in overlap.compare(_texts(forget), _texts(found), allowed=self.allow_overlap):
                progress.announce(sentence)
            self._said.add("same")
        return PromptSet(tuple(prompt_of(split, line, one, targets) for line, one in found))

    def splits(self) -> Sequence[str]:
        """Return the splits whose source is named."""
        return [split for split, key in SOURCES.items() if getattr(self, key) is not None]

    def provenance(self) -> Mapping[str, object]:
        """Return the digest of each file, and the commit of each data set of the hub."""
        return {key: reading.provenance(source) for key, source in self._sources().items()}

    def _sources(self) -> dict[str, Source]:
        named = ((key, getattr(self, key)) for key in SOURCES.values())
        return {key: source for key, source in named if isinstance(source, Source)}

    def _asked(self, split: str, source: Source) -> list[tuple[Line, Asked]]:
        """The rows of a split as questions; what they were taken for is said once."""
        found, taken_for = asked_rows(SOURCES[split], source, list(self._sources().values()))
        if split not in self._said:
            self._said.add(split)
            progress.announce(taken_for)
        return found


# --- rows ------------------------------------------------------------------------------------------


def asked_rows(
    key: str, source: Source, others: Sequence[Source] = ()
) -> tuple[list[tuple[Line, Asked]], str]:
    """Return the rows that a source chooses as questions, and in one line what they were taken for.

    Args:
        key: The key that names the source; "retain" may hold texts.
        source: Where the rows are.
        others: The sources that take rows from the same file, for one that is the rest.

    Raises:
        CollapseError: They cannot be read, have no format that is known, or no rows or all are chosen.
    """
    lines = _chosen(source, others)
    form = formats.recognized(lines, source.from_)
    if form == formats.TEXT and key != "retain":
        raise CollapseError(
            f"{lines[0].where}: '{key}' has texts, which ask nothing; use the data set 'passages' to have "
            "texts continued, or name the columns with 'columns'"
        )
    found = [(line, formats.asked(line, form)) for line in lines]
    return found, _description(key, source, form, [one for _, one in found])


def first_format(source: Source) -> Format:
    """Return the format of a source's first row.

    Raises:
        CollapseError: It cannot be read, or the row has no format that is known.
    """
    return formats.recognized(_lines(source)[:1], source.from_)


def _chosen(source: Source, others: Sequence[Source]) -> list[Line]:
    lines = _lines(source)
    if source.where == THE_REST:
        takers = [
            other for other in others if other.where != THE_REST and other.selects and source.alike(other)
        ]
        taken = {line.number for other in takers for line in _chosen(other, ())}
        if rest := [line for line in lines if line.number not in taken]:
            return rest
        raise CollapseError(f"{source.from_}: nothing is left for 'where: the rest'; others take all rows")
    if isinstance(source.where, str) or not source.where:
        return lines
    where = list(source.where)
    rows = [dict.fromkeys(_columns(lines)) | dict(line.row) for line in lines]
    chosen = [line for line, row in zip(lines, rows, strict=True) if all_hold(where, row)]
    if not 0 < len(chosen) < len(lines):
        wanted = " and ".join(map(str, where))
        raise CollapseError(
            f"{source.from_}: {'all' if chosen else 'none'} of the {len(lines)} rows are chosen by "
            f"'where: {wanted}'; {values_there(where, rows)}"
        )
    return chosen


def _lines(source: Source) -> list[Line]:
    known = (*formats.CONTENT, *formats.COMPANIONS)
    lines = reading.read_lines(source, (*known, *source.columns.values()))
    there = _columns(lines)
    for ours, theirs in source.columns.items():
        if ours not in known:
            raise CollapseError(
                f"'columns' of {source.from_} names '{ours}'; {errors.did_you_mean(ours, known)}"
            )
        if theirs not in there:
            raise CollapseError(
                f"{source.from_} has no column '{theirs}'; {errors.did_you_mean(theirs, there)}"
            )
    return [formats.renamed(line, source.columns) for line in lines]


def everyday_prompts() -> list[str]:
    """Return the prompts that come along, for the model's own answers to be retained."""
    return read_sentences(str(resources("collapse_llm") / "data" / "everyday.txt"))


def own_answers() -> PromptSet:
    """Return these as prompts without answers: the reference model answers them when a run begins."""
    return PromptSet(tuple(Prompt(f"own-{i}", text) for i, text in enumerate(everyday_prompts(), start=1)))


def _texts(found: Sequence[tuple[Line, Asked]]) -> list[tuple[str, str]]:
    """Where each question is, and what it asks, without the instructions that many share."""
    return [(line.where, overlap.compared(Prompt("", one.question))) for line, one in found]


def _columns(lines: Sequence[Line]) -> list[str]:
    return list(dict.fromkeys(name for line in lines for name in line.row))


def prompt_of(split: str, line: Line, one: Asked, targets: bool) -> Prompt:
    """Return a row as a prompt; without targets, without its answer and what gives it away."""
    id_ = f"{split}-{line.number}"
    extra = {name: value for name, value in one.others.items() if gives_away(name)}
    columns = {name: value for name, value in one.others.items() if name not in extra}
    if not targets:
        return Prompt(id_, one.question, columns=columns)
    return Prompt(id_, one.question, one.answer, extra, columns)


def _description(key: str, source: Source, form: Format, rows: Sequence[Asked]) -> str:
    """What a split was taken for, in one line."""
    bare = sum(one.answer is None for one in rows)
    cut = sum(one.is_cut for one in rows)
    chosen = ""
    if source.where:
        chosen = f" ({source.where if source.where == THE_REST else ' and '.join(map(str, source.where))})"
    more = [
        *([f"{bare} without an answer{REFERENCE if key == 'retain' else ''}"] if bare else []),
        *([f"{cut} with messages after the last answer, which are left out"] if cut else []),
    ]
    return f"{key}: {errors.counted(len(rows), 'row')} of {source.from_}{chosen}, read as {form.name}" + (
        f"; {', '.join(more)}" if more else ""
    )
