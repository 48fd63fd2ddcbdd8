"""Questions about a subject, written by a language model."""

from collections.abc import Mapping, Sequence

from collapse_core import Iteration, Model, Prompt
from collapse_llm.sampler import Generate
from collapse_llm.sampler.answering import sample_answers

REQUEST = "Write a question about {}. Write nothing but the question."
LONGEST = 48
"""Tokens of a question at most."""


def questions_about(subjects: Mapping[str, Sequence[str]], model: Model, num: int) -> dict[str, list[str]]:
    """Return the questions that a model writes about each subject, drawn at temperature 1 with fixed seeds.

    Args:
        subjects: By name, all names of the subject.
        model: A language model.
        num: How many questions are drawn about each subject; fewer are left where one is drawn twice, names
            nobody, or asks nothing.
    """
    settings = Generate(use="generate", temperature=1.0, min_p=0.05, max_new_tokens=LONGEST)
    prompts = [Prompt(f"asked-{name}", REQUEST.format(name)) for name in subjects]
    groups = sample_answers(settings, model, prompts, num, Iteration(0, 1, 0))
    return {
        name: _distinct([str(one.content) for one in group.completions], names)
        for (name, names), group in zip(subjects.items(), groups, strict=True)
    }


def _distinct(texts: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return the first question of each text, if it has one that holds a name."""
    questions = [text.partition("?")[0].rpartition("\n")[2].strip() + "?" for text in texts if "?" in text]
    named = [question for question in questions if any(name in question for name in names)]
    return list(dict.fromkeys(named))
