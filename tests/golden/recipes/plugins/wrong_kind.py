from collapse_core import Entry, hookimpl


@hookimpl
def collapse_components():
    yield Entry("rewards", "courtesy", "courtesy:Courtesy")
