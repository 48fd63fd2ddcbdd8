"""What language models are to forget and to retain."""

from collapse_llm.data.authors import Authors
from collapse_llm.data.muse import Muse
from collapse_llm.data.passages import Passages
from collapse_llm.data.question_files import QuestionFiles
from collapse_llm.data.questions import Questions
from collapse_llm.data.rwku import Rwku
from collapse_llm.data.sources import Source
from collapse_llm.data.subjects import Subjects
from collapse_llm.data.tofu import Tofu
from collapse_llm.data.wmdp import Wmdp

__all__ = [
    "Authors",
    "Muse",
    "Passages",
    "QuestionFiles",
    "Questions",
    "Rwku",
    "Source",
    "Subjects",
    "Tofu",
    "Wmdp",
]
