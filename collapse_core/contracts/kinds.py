"""Check that a part has got the kind of model or data set that it works on."""

from typing import TypeVar

from collapse_core.contracts.interfaces import Dataset, Model
from collapse_core.errors import CollapseError

Kind = TypeVar("Kind", bound=Model | Dataset)


def require(given: Model | Dataset, kind: type[Kind], part: str) -> Kind:
    """Return a model or data set, known to be of the kind that a part works on.

    Args:
        given: The model or data set that the recipe chose.
        kind: The class that it must be an instance of.
        part: The name of the part, as the recipe writes it.

    Raises:
        CollapseError: It is of another kind.
    """
    if isinstance(given, kind):
        return given
    name, key = ("model", "model") if isinstance(given, Model) else ("data set", "data")
    raise CollapseError(
        f"the {name} is of the class {type(given).__name__}, but '{part}' needs the class {kind.__name__}; "
        f"choose another under {key}:"
    )
