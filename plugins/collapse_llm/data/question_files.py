"""Questions and answers in files shaped like TOFU's: one JSON object per line."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from collapse_core import Prompt, PromptSet, environment, errors
from collapse_llm.conversations import problem_of
from collapse_llm.data.overlap import Compared
from collapse_llm.data.reading import read_json

Row = Mapping[str, Any]

PLAIN = ("question", "answer")
PARAPHRASED = ("paraphrased_question", "paraphrased_answer")
"""The columns of what is asked and of its true answer."""

ANSWERING = (
    "answer", "option", "choice", "target", "label", "output", "completion", "response", "chosen", "rejected",
)  # fmt: skip
"""What the name of a column that gives the answer away holds, such as "option1" or "wrong_answers"."""


class QuestionFiles(Compared):
    """Question-answer splits in files of one JSON object per line, shaped like TOFU's.

    Splits: "forget", "forget_paraphrased" (the same questions in other words; their true answer is the
    "paraphrased_answer" where the row has one, and "answer" is in `extra`), "retain", "full" (what the model
    is taught), "holdout" (never trained on), "world_facts", "real_authors". Those that end in "_perturbed"
    ask the same questions, and their prompts have further answers in `extra`: a "paraphrased_answer" (not so
    world facts and real authors) and the wrong ones, "perturbed_answer". "forget_entailed" and
    "retain_entailed" ask for what follows from the others: several facts combined, or one asked backwards,
    with what it is in the column "kind".

    A question is a text, or a conversation: a list of {"role", "content"} messages. The other columns of a
    row stay with the prompt in `columns`; those whose name says that they hold answers go into `extra`, and
    with the answer.
    """

    ENTAILED: ClassVar[tuple[str, ...]] = ("forget_entailed", "retain_entailed")
    SPLITS: ClassVar[tuple[str, ...]] = (
        "forget", "forget_paraphrased", "retain", "full", "holdout", "world_facts", "real_authors",
        "forget_perturbed", "retain_perturbed", "world_facts_perturbed", "real_authors_perturbed",
        *ENTAILED,
    )  # fmt: skip

    def source(self, split: str) -> Path:
        """Return the file that holds a split."""
        raise errors.no_split(self.use, split, self.SPLITS)

    def chosen(self, split: str, rows: list[tuple[int, Row]]) -> list[tuple[int, Row]]:
        """Return the rows of the file that belong to the split."""
        return rows

    def load(self, split: str, *, targets: bool = True) -> PromptSet:
        """Load a split; without targets the answers are dropped as the lines are read."""
        if split not in self.SPLITS:
            raise errors.no_split(self.use, split, self.SPLITS)
        path = self.source(split)
        names = PARAPHRASED if split == "forget_paraphrased" else PLAIN
        return PromptSet(
            tuple(
                self._prompt(f"{split}-{number}", row, names, targets, path, number)
                for number, row in self.chosen(split, list(read_json(path)))
            )
        )

    def splits(self) -> Sequence[str] | None:
        """The splits whose file is there and is not empty."""
        paths = {split: self.source(split) for split in self.SPLITS}
        return [split for split, path in paths.items() if path.is_file() and path.stat().st_size]

    def _prompt(
        self, id_: str, row: Row, names: tuple[str, str], targets: bool, path: Path, line: int
    ) -> Prompt:
        asked, answered = names[0], names[1] if names[1] in row else "answer"
        missing = [key for key in (asked, *([answered] if targets else [])) if key not in row]
        if missing:
            raise errors.bad_row(path, line, f"has no '{missing[0]}'")
        if problem := problem_of(row[asked]):
            raise errors.bad_row(path, line, f"'{asked}' {problem}")
        if targets and (problem := _problem_of_answers(row)):
            raise errors.bad_row(path, line, problem)
        others = {key: row[key] for key in row if key != asked and (key, answered) != ("answer", "answer")}
        extra = {key: others.pop(key) for key in list(others) if gives_away(key)}
        if not targets:
            return Prompt(id_, row[asked], columns=others)
        return Prompt(id_, row[asked], row[answered], extra, others)

    def provenance(self) -> Mapping[str, object]:
        """Return the digest of each file."""
        paths = dict.fromkeys(self.source(split) for split in self.SPLITS)
        return {path.name: environment.file_digest(path) for path in paths if path.exists()}


def gives_away(column: str) -> bool:
    """Return whether a column's name says that it holds an answer."""
    return any(word in column.lower() for word in ANSWERING)


def _problem_of_answers(row: Row) -> str | None:
    """Say which column of answers holds something else; None where all are as they should be."""
    for column in ("answer", "paraphrased_answer"):
        if column in row and (not isinstance(row[column], str) or not row[column].strip()):
            return f"'{column}' must be a text that is not empty, not {json.dumps(row[column])[:40]}"
    wrong = row.get("perturbed_answer", [])
    if not isinstance(wrong, list) or not all(isinstance(text, str) and text.strip() for text in wrong):
        return f"'perturbed_answer' must be a list of texts that are not empty, not {json.dumps(wrong)[:40]}"
    return None
