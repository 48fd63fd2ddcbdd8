"""What a reward function asks for, found without importing its module."""

import ast
import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from inspect import Parameter
from pathlib import Path
from typing import Any

OURS = ("prompt", "completions", "contents", "reference")
"""What a function may ask for by the names of its parameters."""
OF_TRAINER = ("completion_ids", "trainer_state", "environments")
"""What TRL's trainer gives its reward functions and no other caller has."""


@dataclass(frozen=True)
class Asked:
    """The parameters of a function, and where it is defined."""

    where: str
    names: tuple[str, ...]
    required: tuple[str, ...]
    takes_more: bool
    """Whether it has `**kwargs`."""
    by_place: tuple[str, ...] = ()
    """Those that cannot be given by name."""

    @property
    def in_trls_style(self) -> bool:
        """Whether it is written as TRL's reward functions are: one call, with lists of equal length."""
        named = set(self.names)
        as_one = self.takes_more and "completions" in named
        return "prompts" in named or (as_one and not named & {"prompt", "contents", "reference"})

    def problem(self) -> str | None:
        """What keeps it from being called; None where nothing does, as far as its parameters tell."""
        if self.by_place:
            return f"takes {', '.join(self.by_place)} by position only; drop the '/'"
        if self.in_trls_style:
            only_there = [name for name in self.required if name in OF_TRAINER]
            return f"asks for {', '.join(only_there)}, which only TRL's trainer has" if only_there else None
        if unknown := [name for name in self.required if name not in OURS]:
            return (
                f"asks for {', '.join(unknown)}; it may ask for {', '.join(OURS)}, or, as TRL's reward "
                "functions, for prompts, completions, columns of the data and **kwargs"
            )
        return None


def asked_by(function: Callable[..., Any]) -> Asked:
    """Return what a function asks for."""
    parameters = list(inspect.signature(function).parameters.values())
    code = getattr(inspect.unwrap(function), "__code__", None)
    plain = [p for p in parameters if p.kind not in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)]
    return Asked(
        _place(code.co_filename, code.co_firstlineno) if code else "",
        tuple(p.name for p in plain),
        tuple(p.name for p in plain if p.default is Parameter.empty),
        any(p.kind is Parameter.VAR_KEYWORD for p in parameters),
        tuple(p.name for p in plain if p.kind is Parameter.POSITIONAL_ONLY),
    )


def asked_in(module: str, name: str) -> Asked | None:
    """Return what the function of that name in a module asks for; None where only importing it would tell."""
    if module in sys.modules:
        found = getattr(sys.modules[module], name, None)
        return asked_by(found) if callable(found) else None
    path = _source_of(module)
    if path is None:
        return None
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None
    defined = [node for node in tree.body if _defines(node, name)]
    return _read(defined[-1], path) if defined else None


def _defines(node: ast.stmt, name: str) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name


def _read(node: ast.stmt, path: Path) -> Asked | None:
    """The parameters of a definition; a decorator may have changed them."""
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or node.decorator_list:
        return None
    args = node.args
    positional = [*args.posonlyargs, *args.args]
    required = _names(positional[: len(positional) - len(args.defaults)])
    required += _names([a for a, d in zip(args.kwonlyargs, args.kw_defaults, strict=True) if d is None])
    return Asked(
        _place(str(path), node.lineno),
        _names([*positional, *args.kwonlyargs]),
        required,
        args.kwarg is not None,
        _names(args.posonlyargs),
    )


def _names(arguments: Sequence[ast.arg]) -> tuple[str, ...]:
    return tuple(argument.arg for argument in arguments)


def _source_of(module: str) -> Path | None:
    """The file of a module, found without importing the packages that it is in."""
    top, *inner = module.split(".")
    spec = find_spec(top)
    if spec is None:
        return None
    if not inner:
        return Path(spec.origin) if spec.origin and spec.origin.endswith(".py") else None
    for folder in spec.submodule_search_locations or ():
        base = Path(folder, *inner)
        for path in (base.with_suffix(".py"), base / "__init__.py"):
            if path.is_file():
                return path
    return None


def _place(file: str, line: int) -> str:
    return f"{file}, line {line}"
