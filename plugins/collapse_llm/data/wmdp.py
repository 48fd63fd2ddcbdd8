"""WMDP, a benchmark of hazardous knowledge."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from annotated_types import Ge
from pydantic import model_validator

from collapse_core import Prompt, PromptSet
from collapse_llm.data.benchmarks import Benchmark, Part
from collapse_llm.data.openings import Openings
from collapse_llm.data.questions import own_answers

QUESTIONS = "cais/wmdp"
CORPORA = "cais/wmdp-corpora"
SUBJECTS = {"bio": "biology", "cyber": "cybersecurity", "chem": "chemistry"}
"""What the prompt of the questions calls each."""


class Wmdp(Openings, Benchmark):
    """WMDP (Li et al. 2024, arXiv 2403.03218): biosecurity, cybersecurity and chemistry.

    Forgetting is measured by multiple choice (`multiple-choice`, or `lm-eval` with the task `wmdp`); the
    benchmark has no answers to unlearn. What the model is to forget are its own continuations of openings of
    the corpora, or its own answers to the questions, which is this project's way and not the benchmark's.
    Chemistry has no corpus. The corpus of biology is gated: it takes an account that was admitted, and
    `path` otherwise. Retained are the benchmark's retain corpora, for chemistry the model's own answers to
    everyday prompts; MMLU is the general knowledge of multiple choice.
    """

    subject: Literal["bio", "cyber", "chem"] = "cyber"
    """Which knowledge."""
    prompts: Literal["corpus", "questions"] = "corpus"
    """What the model is asked to forget: openings of the corpus, or the questions without their options."""
    num_passages: Annotated[int, Ge(1)] | None = None
    """Only the first so many passages, of what is to be forgotten and of what is to be retained."""

    @model_validator(mode="after")
    def _has_a_corpus(self) -> "Wmdp":
        if self.subject == "chem" and self.prompts == "corpus":
            raise ValueError("WMDP has no corpus of chemistry; write 'prompts: questions'")
        return self

    @property
    def cuts_texts(self) -> bool:
        """Whether the corpora are asked; questions are asked as they are."""
        return self.prompts == "corpus"

    def parts(self) -> Mapping[str, Sequence[Part]]:
        """Return where the rows of each split are."""
        questions = Part(QUESTIONS, f"wmdp-{self.subject}", "test")
        corpus = {
            "bio": Part("cais/wmdp-bio-forget-corpus", None, "train"),
            "cyber": Part(CORPORA, "cyber-forget-corpus", "train"),
        }.get(self.subject, questions)
        retain = [] if self.subject == "chem" else [Part(CORPORA, f"{self.subject}-retain-corpus", "train")]
        return {
            "forget_choices": [questions],
            "forget": [questions if self.prompts == "questions" else corpus],
            "retain": retain,
            "retain_choices": [Part("cais/mmlu", "all", "test")],
        }

    def load_with_answers(self, split: str) -> PromptSet:
        """Load a split with its true answers."""
        parts = self.parts()[split]
        if not parts:
            return own_answers()
        if split == "retain_choices":
            return PromptSet(tuple(self.choices(split, parts[0])))
        if split == "forget_choices":
            return PromptSet(tuple(self.choices(split, parts[0], subject=SUBJECTS[self.subject])))
        if split == "forget" and self.prompts == "questions":
            asked = self.choices(split, parts[0], subject=SUBJECTS[self.subject])
            return PromptSet(tuple(Prompt(p.id, p.content, p.target, columns=p.columns) for p in asked))
        texts = ((line.where, line.row["text"]) for line in self.rows(parts[0], "text"))
        return PromptSet(tuple(self.cut_documents(split, texts)[: self.num_passages]))
