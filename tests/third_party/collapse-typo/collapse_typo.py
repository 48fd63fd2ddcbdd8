"""Its author meant collapse_components."""

from collapse_core import Entry, hookimpl


@hookimpl
def collapse_component():
    yield Entry("reward", "typo", "collapse_typo:Typo")
