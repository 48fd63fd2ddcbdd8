"""`collapse plugins`: what is installed, what each part does, and what is broken."""

import inspect
import json
import types
import typing
from collections.abc import Iterator
from typing import Any

import click
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError, PydanticUndefined, to_jsonable_python

from collapse_core import errors
from collapse_core.contracts.component import Component
from collapse_core.contracts.part_kinds import INTERFACES
from collapse_core.errors import PluginError
from collapse_core.plugins.discovery import Plugin
from collapse_core.plugins.hookspecs import Entry
from collapse_core.plugins.registry import Registry, import_part

AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
LIMITS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<=", "min_length": "length >=", "max_length": "length <="}


@click.group(invoke_without_command=True, short_help="List plugins, show a part, find what is broken.")
@click.pass_context
def command(context: click.Context) -> None:
    """List the installed plugins, show a part, or find out what is broken."""
    if context.invoked_subcommand is None:
        context.invoke(list_)


# --- list ------------------------------------------------------------------------------------------


@command.command("list", short_help="List every plugin with its parts.")
@AS_JSON
def list_(as_json: bool) -> None:
    """List every plugin with its parts, the broken ones with the reason."""
    plugins = Registry().plugins
    if as_json:
        _print_json([_plugin_row(plugin) for plugin in plugins])
        return
    for plugin in plugins:
        click.echo(_title(plugin) + (f": broken: {plugin.error}" if plugin.error else ""))
        for kind, names in _parts_by_kind(plugin).items():
            click.echo(f"  {kind:<9}  {', '.join(names)}")


def _plugin_row(plugin: Plugin) -> dict[str, Any]:
    return {
        "name": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "error": plugin.error,
        "parts": _parts_by_kind(plugin),
    }


def _parts_by_kind(plugin: Plugin) -> dict[str, list[str]]:
    named = {kind: sorted(e.name for e in plugin.entries if e.kind == kind) for kind in INTERFACES}
    return {kind: names for kind, names in named.items() if names}


def _title(plugin: Plugin) -> str:
    return f"{plugin.distribution} {plugin.version} ({plugin.name})"


# --- show ------------------------------------------------------------------------------------------


@command.command(short_help="Show what a part does, and its fields.")
@click.argument("part", metavar="[KIND/]NAME")
@AS_JSON
def show(part: str, as_json: bool) -> None:
    """Show what a part does, its fields, and the plugin that it comes from.

    NAME is what a recipe writes after `use:`. Put a kind before it, as in reward/not-among, when parts of
    several kinds have the name.
    """
    registry = Registry()
    rows = [_part_row(plugin, entry) for plugin, entry in _named(registry, part)]
    if not rows:
        raise click.BadParameter(_unknown(registry, part), param_hint="'[KIND/]NAME'")
    if as_json:
        _print_json(rows)
        return
    click.echo("\n\n".join(_part_text(row) for row in rows))


def _named(registry: Registry, part: str) -> Iterator[tuple[Plugin, Entry]]:
    first, _, rest = part.partition("/")
    kind, use = (first, rest) if first in INTERFACES and rest else ("", part)
    for plugin, entry in registry.entries():
        if kind in ("", entry.kind) and use in (entry.name, f"{plugin.distribution}/{entry.name}"):
            yield plugin, entry


def _unknown(registry: Registry, part: str) -> str:
    kind, slash, name = part.partition("/")
    if slash and kind in INTERFACES:
        known = [entry.name for _, entry in registry.entries() if entry.kind == kind]
        return errors.unknown_part(kind, name, known)
    return errors.unknown_part("part", part, {entry.name for _, entry in registry.entries()})


def _part_row(plugin: Plugin, entry: Entry) -> dict[str, Any]:
    try:
        part = import_part(plugin, entry)
    except PydanticCustomError as error:
        raise PluginError(error.message()) from None
    fields = [(name, info) for name, info in part.model_fields.items() if name != "use"]
    fields.sort(key=lambda field: not field[1].is_required())
    return {
        "kind": entry.kind,
        "name": entry.name,
        "plugin": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "class": f"{part.__module__}:{part.__qualname__}",
        "doc": inspect.cleandoc(part.__doc__ or ""),
        "reads_true_answers": _reads(part),
        "fields": [_field_row(info.alias or name, info) for name, info in fields],
    }


def _reads(part: type[Component]) -> list[str]:
    """The splits of which the part is given the true answers."""
    needed = ["forget"] if getattr(part, "needs_targets", False) else []
    return sorted({*needed, *getattr(part, "reads", ())})


def _field_row(name: str, info: FieldInfo) -> dict[str, Any]:
    row = {"name": name, "type": _type_text(info), "required": info.is_required()}
    if not info.is_required():
        default = info.get_default(call_default_factory=True, validated_data={})
        row["default"] = to_jsonable_python(default) if default is not PydanticUndefined else None
    return row | {"description": info.description or ""}


def _type_text(info: FieldInfo) -> str:
    limits = [
        f"{sign} {getattr(piece, limit):g}"
        for piece in info.metadata
        for limit, sign in LIMITS.items()
        if getattr(piece, limit, None) is not None
    ]
    return ", ".join([_annotation_text(info.annotation), *limits])


def _annotation_text(annotation: Any) -> str:
    """A type as a recipe's reader would call it: no modules, no metadata."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation in (None, type(None)):
        return "null"
    if origin is typing.Annotated:
        return _annotation_text(arguments[0])
    if origin is typing.Literal:
        return " | ".join(json.dumps(to_jsonable_python(value)) for value in arguments)
    if origin in (typing.Union, types.UnionType):
        return " | ".join(_annotation_text(argument) for argument in arguments)
    if origin:
        inner = ", ".join(_annotation_text(argument) for argument in arguments if argument is not Ellipsis)
        return f"{origin.__name__.lower()}[{inner}]"
    return getattr(annotation, "__name__", str(annotation))


def _part_text(row: dict[str, Any]) -> str:
    lines = [f"{row['kind']}/{row['name']}", "", *row["doc"].splitlines(), ""]
    for field in row["fields"]:
        default = "required" if field["required"] else f"default {json.dumps(field['default'])}"
        lines.append(f"  {field['name']}: {field['type']}; {default}")
        lines += [f"      {line}".rstrip() for line in field["description"].splitlines()]
    if not row["fields"]:
        lines.append("  It has no fields.")
    reads = ", ".join(row["reads_true_answers"]) or "none"
    lines += ["", f"reads the true answers of: {reads}"]
    return "\n".join(
        [*lines, f"from: {row['distribution']} {row['version']} ({row['plugin']}), {row['class']}"]
    )


# --- doctor ----------------------------------------------------------------------------------------


@command.command(short_help="Import every part; exit 3 if one is broken.")
def doctor() -> None:
    """Load every plugin and import every part; exit 3 if anything is broken."""
    registry = Registry()
    num_broken = 0
    for plugin in registry.plugins:
        complaints = _complaints(plugin)
        num_broken += bool(complaints)
        for complaint in complaints:
            click.echo(f"{_title(plugin)}: broken: {complaint}")
        if not complaints:
            click.echo(f"{_title(plugin)}: ok, {errors.counted(len(plugin.entries), 'part')}")
    for clash in _clashes(registry):
        click.echo(f"note: {clash}")
    if num_broken:
        every, is_ = errors.counted(len(registry.plugins), "plugin"), "is" if num_broken == 1 else "are"
        raise PluginError(f"{num_broken} of {every} {is_} broken; fix, update or uninstall it")


def _complaints(plugin: Plugin) -> list[str]:
    """Everything that is wrong with a plugin, a sentence each."""
    if plugin.error:
        return [f"it cannot be loaded: {plugin.error}"]
    found = []
    for entry in plugin.entries:
        try:
            import_part(plugin, entry)
        except PydanticCustomError as error:
            found.append(error.message())
    return found


def _clashes(registry: Registry) -> Iterator[str]:
    """The names that several plugins claim; a recipe that uses one must name the plugin it means."""
    owners: dict[tuple[str, str], list[str]] = {}
    for plugin, entry in registry.entries():
        owners.setdefault((entry.kind, entry.name), []).append(plugin.distribution)
    for (kind, name), claimed in owners.items():
        if len(claimed) > 1:
            yield errors.ambiguous_part(kind, name, claimed)


def _print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))
