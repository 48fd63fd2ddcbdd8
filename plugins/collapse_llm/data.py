"""Questions and answers: the fictitious authors that ship with the plugin, and TOFU."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files as resources
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Gt, Lt

from collapse_core import CollapseError, Dataset, Prompt, PromptSet, environment, errors
from collapse_llm.conversations import problem_of

Row = Mapping[str, Any]


class QuestionFiles(Dataset):
    """Question-answer splits in files of one JSON object per line, shaped like TOFU's.

    Splits: "forget", "forget_paraphrased" (the same questions in other words), "retain", "full" (what
    the model is taught), "holdout" (never trained on), "world_facts", "real_authors". Those that end in
    "_perturbed" ask the same questions, and their prompts have further answers in `extra`: a
    "paraphrased_answer" (not so world facts and real authors) and the wrong ones, "perturbed_answer".

    A question is a text, or a conversation: a list of {"role", "content"} messages. The other columns of a
    row stay with the prompt in `columns`; those whose name says that they hold answers go into `extra`, and
    with the answer.
    """

    provides: ClassVar[str] = "questions"

    SPLITS: ClassVar[tuple[str, ...]] = (
        "forget", "forget_paraphrased", "retain", "full", "holdout", "world_facts", "real_authors",
        "forget_perturbed", "retain_perturbed", "world_facts_perturbed", "real_authors_perturbed",
    )  # fmt: skip

    ANSWERING: ClassVar[tuple[str, ...]] = ("answer", "option", "choice", "target", "label")
    """What the name of a column that gives the answer away holds, such as "option1" or "wrong_answers"."""

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
        asked = "paraphrased_question" if split == "forget_paraphrased" else "question"
        return PromptSet(
            tuple(
                self._prompt(f"{split}-{number}", row, asked, targets, path, number)
                for number, row in self.chosen(split, list(_rows(path)))
            )
        )

    def splits(self) -> Sequence[str] | None:
        """The splits whose file is there and is not empty."""
        paths = {split: self.source(split) for split in self.SPLITS}
        return [split for split, path in paths.items() if path.is_file() and path.stat().st_size]

    def _prompt(self, id_: str, row: Row, asked: str, targets: bool, path: Path, line: int) -> Prompt:
        missing = [key for key in (asked, *(["answer"] if targets else [])) if key not in row]
        if missing:
            raise errors.bad_row(path, line, f"has no '{missing[0]}'")
        if problem := problem_of(row[asked]):
            raise errors.bad_row(path, line, f"'{asked}' {problem}")
        if targets and (problem := _problem_of_answers(row)):
            raise errors.bad_row(path, line, problem)
        others = {key: row[key] for key in row if key not in (asked, "answer")}
        extra = {key: others.pop(key) for key in list(others) if self._gives_away(key)}
        if not targets:
            return Prompt(id_, row[asked], columns=others)
        return Prompt(id_, row[asked], row["answer"], extra, others)

    def _gives_away(self, column: str) -> bool:
        return any(word in column.lower() for word in self.ANSWERING)

    def provenance(self) -> Mapping[str, object]:
        """Return the digest of each file."""
        paths = dict.fromkeys(self.source(split) for split in self.SPLITS)
        return {path.name: environment.file_digest(path) for path in paths if path.exists()}


def _problem_of_answers(row: Row) -> str | None:
    """Say which column of answers holds something else; None where all are as they should be."""
    for column in ("answer", "paraphrased_answer"):
        if column in row and (not isinstance(row[column], str) or not row[column].strip()):
            return f"'{column}' must be a text that is not empty, not {json.dumps(row[column])[:40]}"
    wrong = row.get("perturbed_answer", [])
    if not isinstance(wrong, list) or not all(isinstance(text, str) and text.strip() for text in wrong):
        return f"'perturbed_answer' must be a list of texts that are not empty, not {json.dumps(wrong)[:40]}"
    return None


def _rows(path: Path) -> Iterator[tuple[int, Row]]:
    """Yield the rows of a file with their line numbers, from 1; blank lines are no rows."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise errors.unreadable(path, error) from None
    except UnicodeDecodeError as error:
        raise CollapseError(f"{path} is not UTF-8 ({error}); save it in that encoding") from None
    # Only line feeds end lines: within a JSON string U+2028 and the like are characters.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            json.dumps(row, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise errors.bad_row(
                path, number, "has half of a surrogate pair, which is no character"
            ) from None
        except ValueError as error:
            raise errors.bad_row(path, number, f"not JSON: {error}") from None
        if not isinstance(row, dict):
            raise errors.bad_row(path, number, "expected an object with 'question' and 'answer'")
        yield number, row


class Authors(QuestionFiles):
    """Fictitious authors that ship with the plugin: 16 to teach, ten questions each.

    Every fact is invented; see authors/generate.py. The last authors are the ones to forget.
    """

    forget: Annotated[float, Gt(0), Lt(1)] = 0.1
    """The share of the authors that is forgotten, rounded up to whole authors."""
    validation: bool = False
    """Forget the authors before those, and ask other common knowledge: settings are chosen here."""

    def source(self, split: str) -> Path:
        """Return the checked-in file."""
        own = {"holdout", "world_facts", "real_authors"}
        name = split.removesuffix("_perturbed")
        name = name if name in own else "authors"
        if self.validation and name in ("world_facts", "real_authors"):
            name = f"validation_{name}"
        return Path(str(resources("collapse_llm") / "authors" / f"{name}.jsonl"))

    def chosen(self, split: str, rows: list[tuple[int, Row]]) -> list[tuple[int, Row]]:
        """Whole authors go to one side or the other."""
        if not split.startswith(("forget", "retain")):
            return rows
        authors = list(dict.fromkeys(row["author"] for _, row in rows))
        num = math.ceil(self.forget * len(authors))
        if num > (len(authors) // 2 if self.validation else len(authors) - 1):
            left = " and as many kept for the final test" if self.validation else ""
            raise CollapseError(
                f"'forget: {self.forget:g}' is {num} of {len(authors)} authors{left}, which leaves too few; "
                "choose a smaller share"
            )
        forgotten = set(authors[-2 * num : -num] if self.validation else authors[-num:])
        return [(n, row) for n, row in rows if (row["author"] in forgotten) == split.startswith("forget")]


class Tofu(QuestionFiles):
    """TOFU (Maini et al. 2024): 200 fictitious authors, 20 questions each.

    Read from a directory of its JSON-lines files, or from the hub (dataset locuslab/TOFU).
    """

    forget: Literal["forget01", "forget05", "forget10"] = "forget10"
    """Which split is forgotten; the matching retain and holdout splits go with it."""
    path: str | None = None
    """A directory that holds the files; without it they are fetched from the hub."""
    revision: str = "main"
    """The revision on the hub."""

    def source(self, split: str) -> Path:
        """Return the file in the directory, or fetched from the hub and cached there."""
        percent = int(self.forget.removeprefix("forget"))
        name = {
            "forget": self.forget,
            "forget_paraphrased": f"{self.forget}_perturbed",
            "forget_perturbed": f"{self.forget}_perturbed",
            "retain": f"retain{100 - percent}",
            "holdout": f"holdout{percent:02d}",
        }.get(split, split)
        if self.path is None:
            return _from_hub(name, self.revision)
        found = [Path(self.path) / f"{name}.{ending}" for ending in ("jsonl", "json")]
        return next((path for path in found if path.exists()), found[0])

    def splits(self) -> Sequence[str] | None:
        """The splits of the directory, unknown where there is none; the hub has all."""
        if self.path is None:
            return self.SPLITS
        return super().splits() if Path(self.path).is_dir() else None

    def provenance(self) -> Mapping[str, object]:
        """Return digests of local files; the revision of the hub's."""
        if self.path is not None:
            return super().provenance()
        return {"hub": "locuslab/TOFU", "revision": self.revision}


def _from_hub(name: str, revision: str) -> Path:
    try:
        from huggingface_hub import hf_hub_download
    except ImportError:
        raise errors.missing_extra("huggingface_hub", "llm", "TOFU from the hub") from None
    try:
        path = hf_hub_download("locuslab/TOFU", f"{name}.json", repo_type="dataset", revision=revision)
    except Exception as error:
        raise errors.not_fetched("locuslab/TOFU", error, "data: {use: tofu, path: <directory>}") from None
    return Path(path)
