# collapse_politeness.py
from collections.abc import Sequence
from collapse_core import Completion, Entry, Prompt, Reward, hookimpl

class Politeness(Reward):
    """Prefer completions that decline courteously."""
    phrase: str = "I'm sorry"
    """What counts as courteous."""

    def score(self, prompt: Prompt, completions: Sequence[Completion], reference) -> list[float]:
        return [float(self.phrase in completion.content) for completion in completions]

@hookimpl
def collapse_components():
    yield Entry("reward", "politeness", Politeness)
