"""For plugin authors: what every part promises, as checks to call from a test.

Each `check_...` raises an AssertionError that names the broken promise. A test of a reward:

    def test_it_keeps_the_promises_of_a_reward():
        check_part("reward", Politeness)
        check_reward(Politeness(), ["I'm sorry, I can't recall.", "It was Ada."])
"""

from collapse_core.testing.choosing import (
    ITERATION,
    PROMPT,
    check_features,
    check_filter,
    check_reward,
    numbered,
    score,
    scored,
)
from collapse_core.testing.domain import (
    check_dataset,
    check_evaluator,
    check_loader,
    check_sampler,
    check_updater,
    saved,
    watched,
    without_splits,
)
from collapse_core.testing.parts import HEAVY, check_part, example

__all__ = [
    "HEAVY",
    "ITERATION",
    "PROMPT",
    "check_dataset",
    "check_evaluator",
    "check_features",
    "check_filter",
    "check_loader",
    "check_part",
    "check_reward",
    "check_sampler",
    "check_updater",
    "example",
    "numbered",
    "saved",
    "score",
    "scored",
    "watched",
    "without_splits",
]
