"""RWKU, a benchmark of real people whom a model knows from pretraining."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from collapse_core import CollapseError, Prompt, PromptSet, errors
from collapse_llm.conversations import CONTINUE
from collapse_llm.data.benchmarks import Benchmark, Part
from collapse_llm.data.reading import Line
from collapse_llm.data.rwku_utility import COLUMNS, utility_prompt
from collapse_llm.data.sources import Named
from collapse_llm.data.subjects import BUNDLED, Subjects
from collapse_llm.sentences import Sentences

HUB = "jinzhuoran/RWKU"
PROBES = {
    "forget_fill_in": ("forget_level1", "test"),
    "forget_questions": ("forget_level2", "test"),
    "forget_adversarial": ("forget_level3", "test"),
    "neighbor_fill_in": ("neighbor_level1", "test"),
    "neighbor_questions": ("neighbor_level2", "test"),
    "retain_choices": ("utility_general", "test"),
    "mia_forget": ("mia_forget", "test"),
    "mia_retain": ("mia_retain", "test"),
    **{split: (split, "test") for split in COLUMNS},
}
"""By split, the configuration and the split of the hub."""
ANSWER = "Answer:"
"""What answers are made to begin with."""


class Rwku(Benchmark):
    """RWKU (Jin et al. 2024, arXiv 2406.10890): 200 famous people, one of whom is forgotten at a time.

    The benchmark gives a name and no answers. As in the data set `subjects`, templates ask after the name,
    and the model's own answers are what it forgets; what it retains are its answers to everyday prompts. The
    probes are for the evaluator `rwku-probes`: cloze texts, questions and adversarial questions about the
    person, and the first two about neighbors; texts about the person and about others ("mia_...", for the
    membership attack), and five tests of abilities ("utility_..."). MMLU questions are those that it chose
    for the person.
    """

    subject: Annotated[str, Field(pattern=r"\S", examples=["Stephen King"])]
    """The person, as the benchmark calls them."""
    templates: Sentences = BUNDLED
    """Questions with {} where the name goes, as in the data set `subjects`."""
    retain: Named | Literal["own-answers"] | None = "own-answers"
    """What is retained, as in the data set `questions`."""

    def parts(self) -> Mapping[str, Sequence[Part]]:
        """Return where the rows of each split are; those to forget and to retain come from templates."""
        probes = {split: [Part(HUB, *where)] for split, where in PROBES.items()}
        return {**probes, "forget": [], "retain": []}

    def load(self, split: str, *, targets: bool = True) -> PromptSet:
        """Load a split; without targets the answers are dropped."""
        if split in ("forget", "retain"):
            return self._asked().load(split, targets=targets)
        return super().load(split, targets=targets)

    def load_with_answers(self, split: str) -> PromptSet:
        """Load the probes of the person, of neighbors or of abilities in the benchmark's words."""
        [part] = self.parts()[split]
        if split == "retain_choices":
            # The column `subject` is the person; the field of knowledge is the task.
            found = self.choices(split, part)
            asked = [p for p in found if p.columns.get("subject") == self.subject]
            columns = [{**p.columns, "subject": p.columns.get("task", "")} for p in asked]
            pairs = zip(asked, columns, strict=True)
            return PromptSet(tuple(Prompt(p.id, p.content, p.target, p.extra, c) for p, c in pairs))
        if split in COLUMNS:
            lines = self._own(part, self.rows(part, *COLUMNS[split]))
            return PromptSet(tuple(utility_prompt(split, line) for line in lines))
        if split.startswith("mia"):
            lines = self._own(part, self.rows(part, "text"))
            texts = [(f"{split}-{line.number}", str(line.row["text"])) for line in lines]
            return PromptSet(tuple(Prompt(id_, {CONTINUE: ""}, text) for id_, text in texts))
        lines = self._own(part, self.rows(part, "query", "answer", "subject"))
        return PromptSet(tuple(_probe(split, line) for line in lines))

    def _own(self, part: Part, lines: Sequence[Line]) -> list[Line]:
        """The rows about the person; all where rows name nobody.

        Raises:
            CollapseError: There is none.
        """
        own = [line for line in lines if line.row.get("subject", self.subject) == self.subject]
        if not own:
            known = sorted({str(line.row["subject"]) for line in lines})
            raise CollapseError(
                f"RWKU's {part.config} has no rows about '{self.subject}'; "
                f"{errors.did_you_mean(self.subject, known)}"
            )
        return own

    def _asked(self) -> Subjects:
        return Subjects(
            use=self.use, forget=[{"name": self.subject}], templates=self.templates, retain=self.retain
        )


def _probe(split: str, line: Line) -> Prompt:
    """A row as the benchmark's code puts it to a model; the column `opening` begins the answer."""
    kind = str(line.row.get("type", ""))
    query = line.row["query"]
    how = "complete the blank in" if split.endswith("fill_in") else "briefly answer"
    about = f"Please {how} the following question.\n"
    columns: dict[str, Any] = {"subject": line.row["subject"], "type": kind, "opening": ANSWER}
    text = f"{about}Question: {query}\n"
    if kind == "affirmative suffix":
        text, columns["opening"] = text.rstrip("\n"), ""
    elif kind == "incontext learning":
        text = f"{about}{query}\n"
    return Prompt(f"{split}-{line.number}", text, str(line.row["answer"]), columns=columns)
