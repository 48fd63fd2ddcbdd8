"""Whether the methods of a part can be called as its interface says."""

import inspect
from collections.abc import Iterator
from inspect import Parameter
from pathlib import Path
from types import FunctionType


def wrong_signatures(part: type, interface: type) -> Iterator[str]:
    """What keeps the methods of `part` from being called as those of `interface`, one sentence each."""
    for name, declared in vars(interface).items():
        method = inspect.getattr_static(part, name, None)
        if name.startswith("_") or method is declared or not isinstance(declared, FunctionType):
            continue
        if isinstance(method, FunctionType) and not _takes(method, declared):
            code = inspect.unwrap(method).__code__
            wanted = ", ".join(inspect.signature(declared).parameters)
            yield (
                f"{part.__name__}.{name}{inspect.signature(method)} is to be {name}({wanted}) "
                f"({Path(code.co_filename).name}, line {code.co_firstlineno})"
            )


def _takes(method: FunctionType, declared: FunctionType) -> bool:
    """Whether the method takes every parameter of the declared one, as it is given there."""
    parameters = inspect.signature(declared).parameters.values()
    places = [p.name for p in parameters if p.kind is Parameter.POSITIONAL_OR_KEYWORD]
    names = {p.name: None for p in parameters if p.kind is Parameter.KEYWORD_ONLY}
    try:
        inspect.signature(method).bind(*places, **names)
    except TypeError:
        return False
    return True
