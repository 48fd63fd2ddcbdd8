"""What is checked of any part."""

import atexit
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from typing import Any, cast

from pydantic import ValidationError

from collapse_core.contracts.component import Component
from collapse_core.contracts.part_kinds import INTERFACES, Kind

HEAVY = ("torch", "numpy", "scipy", "pandas", "sklearn", "transformers", "diffusers", "torch_geometric")
"""Libraries that a part may use, but not load before its method is called."""


def example(part: type[Component], **fields: Any) -> Component:
    """An instance of a part; what it requires and `fields` leaves out is made up.

    For a required field the first of `Field(examples=[...])` is taken, else a value of its type.
    """
    schema = part.model_json_schema(by_alias=True)
    made = {
        name: _made_up(schema["properties"][name], schema.get("$defs", {}))
        for name in schema.get("required", [])
        if name not in fields
    }
    return part.model_validate(made | fields)


def _made_up(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Any:
    if "$ref" in schema:
        return _made_up(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    for choices in ("examples", "enum", "anyOf"):
        if choices in schema:
            first = schema[choices][0]
            return _made_up(first, definitions) if choices == "anyOf" else first
    if "const" in schema:
        return schema["const"]
    if schema.get("type") in ("integer", "number"):
        return schema.get("minimum", schema.get("exclusiveMinimum", schema.get("maximum", 1) - 1) + 1)
    if schema.get("type") == "object":
        inner = schema.get("properties", {})
        return {name: _made_up(inner[name], definitions) for name in schema.get("required", [])}
    return {"string": "example", "boolean": False, "array": [], "null": None}.get(str(schema.get("type")))


def check_part(kind: Kind, part: type[Component], **fields: Any) -> Component:
    """Check what holds for a part of any kind; returns an instance of it.

    It is a finished subclass of its interface; it and its fields are documented; its instances are
    frozen and survive JSON; its digest and its module's import are the same in a fresh process, and the
    import loads no heavy library.

    Args:
        kind: What it is, such as "reward".
        part: The class.
        **fields: Values for its fields; for required ones that are left out, see `example`.
    """
    name = part.__name__
    assert issubclass(part, INTERFACES[kind]), f"{name} is no subclass of {INTERFACES[kind].__name__}"
    missing = sorted(getattr(part, "__abstractmethods__", ()))
    assert not missing, f"{name} does not define {', '.join(missing)}"
    assert vars(part).get("__doc__"), f"{name} has no docstring: what does it do?"
    for field, info in part.model_fields.items():
        assert info.description, f"{name}.{field} has no docstring below it: what does it mean?"
    one = example(part, **fields)
    _check_settings(one)
    if getattr(sys.modules.get(part.__module__), "__spec__", None) and "<locals>" not in part.__qualname__:
        seen = _seen_from_outside(part.__module__, part.__qualname__, _plain(one))
        assert not seen["heavy"], f"importing {part.__module__} loads {', '.join(seen['heavy'])}"
        assert seen["digest"] == one.digest(), f"the digest of {name} changes from process to process"
    return one


def _plain(part: Component) -> str:
    return json.dumps(part.model_dump(mode="json", by_alias=True))


def _check_settings(part: Component) -> None:
    name, field = type(part).__name__, next(iter(type(part).model_fields))
    try:
        setattr(part, field, getattr(part, field))
    except ValidationError:
        pass
    else:
        raise AssertionError(f"{name} is not frozen: a part holds settings, never state")
    again = type(part).model_validate_json(_plain(part), by_alias=True)
    assert again == part, f"{name} is not the same after a round trip through JSON"
    assert again.digest() == part.digest(), f"the digest of {name} is not stable"
    try:
        type(part).model_validate({**json.loads(_plain(part)), "no_such_field": 1})
    except ValidationError:
        return
    raise AssertionError(f"{name} takes keys that it does not know; a misspelt one would pass")


_LOOK = """
import importlib, json, os, sys, traceback
before = set(sys.modules)
import collapse_core

def look(module, name, text, heavy):
    part = importlib.import_module(module)
    for piece in name.split("."):
        part = getattr(part, piece)
    digest = part.model_validate_json(text, by_alias=True).digest()
    return {"digest": digest, "heavy": sorted(set(heavy) & (set(sys.modules) - before))}

answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
for line in sys.stdin:
    path, directory, *asked = json.loads(line)
    if child := os.fork():
        if os.waitpid(child, 0)[1]:
            print(json.dumps({"error": "the process died"}), file=answers, flush=True)
        continue
    try:
        sys.path[:] = path
        os.chdir(directory)
        found = look(*asked)
    except BaseException:
        found = {"error": traceback.format_exc()}
    print(json.dumps(found), file=answers, flush=True)
    os._exit(0)
"""
"""Answers each line of its input from a fork of its own, so that no part meets what another imported."""


def _seen_from_outside(module: str, name: str, text: str) -> dict[str, Any]:
    """What a fresh process finds when it imports the part."""
    process = _observer()
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps([sys.path, os.getcwd(), module, name, text, HEAVY]) + "\n")
    process.stdin.flush()
    seen = cast(dict[str, Any], json.loads(process.stdout.readline()))
    assert "error" not in seen, f"{module} cannot be imported by itself:\n{seen['error']}"
    return seen


@cache
def _observer() -> subprocess.Popen[str]:
    """Starts the process that looks at parts, once: its start takes longer than most looks."""
    process = subprocess.Popen(
        [sys.executable, "-c", _LOOK],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONHASHSEED": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(process.communicate)
    return process
