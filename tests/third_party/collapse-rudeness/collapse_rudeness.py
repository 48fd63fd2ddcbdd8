"""Politeness' broken twin: a library that it needs is not there."""

import no_such_library_of_insults as insults

from collapse_core import Entry, hookimpl


@hookimpl
def collapse_components():
    yield Entry("reward", "rudeness", insults.Rudeness)
