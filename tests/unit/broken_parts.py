"""Parts with something broken, for the tests of the test kit."""

from typing import Any

from pydantic import ConfigDict


def breaks(base: type, doc: str | None = "A part.", **methods: Any) -> Any:
    """A subclass with something broken."""
    undocumented = ConfigDict(use_attribute_docstrings=False)  # else the source is searched for each
    return type(
        "Broken", (base,), {"__doc__": doc, "__module__": __name__, "model_config": undocumented, **methods}
    )
