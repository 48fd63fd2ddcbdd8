from collapse_core import Entry, Reward, hookimpl
from pydantic import field_validator


class Unfinished(Reward):
    """Forgot to score."""


class Raises(Reward):
    """Divides by zero when it should check its field."""

    field: int = 0
    """Any number."""

    @field_validator("field")
    @classmethod
    def check(cls, value):
        return 1 / 0

    def score(self, prompt, completions, reference):
        return [0.0 for _ in completions]


@hookimpl
def collapse_components():
    yield Entry("reward", "unfinished", Unfinished)
    yield Entry("reward", "wrong-class", dict)
    yield Entry("reward", "nowhere", "collapse_core:Nowhere")
    yield Entry("reward", "no-module", "nowhere_to_be_found:Nowhere")
    yield Entry("reward", "raises", Raises)
