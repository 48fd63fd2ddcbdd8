"""Which of the forget questions are asked."""

import random
from collections.abc import Sequence

from collapse_core import Prompt


def drawn(questions: Sequence[Prompt], num: int | None, seed: int) -> list[Prompt]:
    """Return so many of the questions, drawn by the seed, in their order; None means all."""
    if num is None or num >= len(questions):
        return list(questions)
    places = random.Random(seed).sample(range(len(questions)), num)
    return [questions[place] for place in sorted(places)]
