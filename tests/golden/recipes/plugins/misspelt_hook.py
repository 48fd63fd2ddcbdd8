from collapse_core import hookimpl


@hookimpl
def colapse_components():
    yield from ()
