"""Whom or what to forget, by name alone: questions come from templates, answers from the model."""

from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files as resources
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, MinLen
from pydantic import BeforeValidator, Field, PrivateAttr, SerializeAsAny

from collapse_core import (
    CollapseError,
    ModelLoader,
    Prompt,
    PromptSet,
    Settings,
    digest,
    errors,
    part,
    progress,
)
from collapse_llm.data import reading
from collapse_llm.data.overlap import Compared
from collapse_llm.data.questions import OWN_ANSWERS, asked_rows, own_answers, prompt_of
from collapse_llm.data.sources import Named, Source
from collapse_llm.sentences import Sentences, read_sentences

BUNDLED = "subject questions"


class Subject(Settings):
    """A person or thing, and what else it is called."""

    secret_fields: ClassVar[tuple[str, ...]] = ("name", "aliases")

    name: Annotated[str, Field(pattern=r"\S")]
    """The name that questions use."""
    aliases: list[Annotated[str, Field(pattern=r"\S")]] = []
    """Other names, for questions and for the ban list."""


def _written_out(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


Someone = Annotated[Subject, BeforeValidator(_written_out, json_schema_input_type=str | dict)]


class Subjects(Compared):
    """Subjects to forget, of whom nothing is known here but their names.

    Every template asks after every name and alias; a model may write more questions. No question has a true
    answer; the reference answer stands in for it in evaluators. Each prompt has the names of its subject in
    the column "banned", for the reward `banned-content`. Retained are the model's own answers to the same
    questions about neighbors, and to everyday prompts or those of a source.
    """

    forget: Annotated[list[Someone], MinLen(1)] = Field(examples=[["Ada Lovelace"]])
    """The subjects: names, or mappings of `name` and `aliases`."""
    neighbors: list[Someone] = []
    """Subjects near these, which must not be forgotten with them."""
    templates: Sentences = BUNDLED
    """Questions with {} where the name goes: a list, a text file of one a line, or "subject questions", which
    come with the plugin."""
    asked_by: Annotated[SerializeAsAny[ModelLoader], part("model")] | None = None
    """A language model that writes further questions about each subject; usually it is the one to forget."""
    num_asked: Annotated[int, Ge(1)] = 10
    """How many questions it writes about each; one without the name, or one that is there, does not count."""
    retain: Named | Literal["own-answers"] | None = "own-answers"
    """What else is retained, as in the data set `questions`."""
    _said: set[str] = PrivateAttr(default_factory=set)
    _written: dict[str, list[str]] = PrivateAttr(default_factory=dict)

    def load(self, split: str, *, targets: bool = True) -> PromptSet:
        """Load a split; only rows of a source have answers."""
        if split == "forget":
            return PromptSet(tuple(self._asked("forget", self.forget)))
        if split != "retain":
            raise errors.no_split(self.use, split, self.splits())
        return PromptSet((*self._asked("neighbor", self.neighbors), *self._others(targets)))

    def splits(self) -> Sequence[str]:
        """Return the two splits; neither is read from a file of the subjects."""
        return ["forget", "retain"]

    def provenance(self) -> Mapping[str, object]:
        """Return the digest of the questions, and what is said of a source."""
        source = {"retain": reading.provenance(self.retain)} if isinstance(self.retain, Source) else {}
        asked = {"asked": digest(self._asked_by_model())} if self.asked_by else {}
        return {"templates": digest(self._questions()), **asked, **source}

    def _asked(self, kind: str, subjects: Sequence[Subject]) -> Iterator[Prompt]:
        for place, subject in enumerate(subjects, start=1):
            names = [subject.name, *subject.aliases]
            columns: dict[str, Any] = {"subject": subject.name} | (
                {"banned": names} if kind == "forget" else {}
            )
            asked = [template.replace("{}", name) for name in names for template in self._questions()]
            asked += self._asked_by_model().get(subject.name, [])
            for number, question in enumerate(dict.fromkeys(asked), start=1):
                yield Prompt(f"{kind}-{place}.{number}", question, columns=columns)

    def _asked_by_model(self) -> dict[str, list[str]]:
        """By subject, the questions that the model writes; it is loaded once."""
        if self.asked_by and not self._written:
            from collapse_llm.data.asking import questions_about

            subjects = {one.name: [one.name, *one.aliases] for one in (*self.forget, *self.neighbors)}
            self._written = questions_about(subjects, self.asked_by.load(self, 0), self.num_asked)
            num = sum(len(questions) for questions in self._written.values())
            progress.announce(f"the model wrote {num} questions about {', '.join(subjects)}")
        return self._written

    def _questions(self) -> list[str]:
        bundled = str(resources("collapse_llm") / "data" / "subject_questions.txt")
        found = read_sentences(bundled if self.templates == BUNDLED else self.templates)
        for template in found:
            if "{}" not in template:
                raise CollapseError(
                    f"the question {template!r} of 'templates' has no {{}} where the name goes"
                )
        return found

    def _others(self, targets: bool) -> PromptSet:
        """What is retained besides the neighbors."""
        if not isinstance(self.retain, Source):
            return own_answers() if self.retain == OWN_ANSWERS else PromptSet(())
        found, taken_for = asked_rows("retain", self.retain)
        if not self._said:
            self._said.add("retain")
            progress.announce(taken_for)
        return PromptSet(tuple(prompt_of("retain", line, one, targets) for line, one in found))
