"""The JSON schema of a recipe, for editors that complete and check as one types."""

from typing import Any

from pydantic_core import PydanticCustomError

from collapse_core.contracts.component import Settings
from collapse_core.contracts.part_kinds import INTERFACES
from collapse_core.parts.guard import Guard
from collapse_core.plugins.registry import Registry
from collapse_core.recipe.recipe import Recipe


def recipe_schema(registry: Registry) -> dict[str, Any]:
    """The JSON schema of a recipe with every installed part, for editors."""
    schema = Recipe.model_json_schema(by_alias=True)
    parts: dict[str, Any] = {}
    for kind in INTERFACES:
        choices = []
        for name in registry.names(kind):
            try:
                found = registry.find(kind, name)
            except PydanticCustomError:
                continue
            part = found.model_json_schema(by_alias=True)
            _let_hold_parts(part["properties"], found)
            schema.setdefault("$defs", {}).update(part.pop("$defs", {}))
            part["properties"]["use"] = {"const": name}
            part["required"] = sorted({*part.get("required", []), "use"})
            choices.append(part)
        parts[kind] = {"oneOf": choices}
    return _fill_parts(schema | {"title": "collapse recipe"}, parts)


_PLACES = {
    "data": "dataset",
    "model": "model",
    "sampler": "sampler",
    "filter": "filter",
    "updater": "updater",
}
_OF_A_RUN = {
    "type": "object",
    "properties": {"from": {"type": "string", "description": "A run, whose exported model is opened."}},
    "required": ["from"],
}
_LISTS = {"rewards": "reward", "track": "tracker"}


def _let_hold_parts(properties: dict[str, Any], settings: type[Settings]) -> None:
    """Where a field holds a part, let it be any of the kind."""
    kinds = {interface: kind for kind, interface in INTERFACES.items()}
    for key, info in settings.model_fields.items():
        if info.annotation in kinds:
            choices = [{"type": "string"}, {"$ref": f"#/$defs/part-{kinds[info.annotation]}"}]
            properties[key] = {"anyOf": choices, "description": info.description}


def _fill_parts(schema: dict[str, Any], parts: dict[str, Any]) -> dict[str, Any]:
    """Put the parts of each kind where the recipe holds one."""
    schema["$defs"] |= {f"part-{kind}": part for kind, part in parts.items()}
    properties = schema["properties"]
    properties["extends"] = {"type": "string", "description": "A recipe to take all other keys from."}
    properties["without"] = {
        "type": "array",
        "items": {"type": "string"},
        "description": "Dotted paths of keys of that recipe that are taken away.",
    }
    for key, kind in _PLACES.items():
        properties[key] = {"$ref": f"#/$defs/part-{kind}"}
    for key, kind in _LISTS.items():
        properties[key]["items"] = {"$ref": f"#/$defs/part-{kind}"}
    _let_hold_parts(schema["$defs"]["Guard"]["properties"], Guard)
    stop = schema["$defs"]["StopWhen"]["properties"]
    stop["data"] = {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/part-dataset"}]}
    stop["evaluator"] = {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/part-evaluator"}]}
    evaluate = schema["$defs"]["EvaluateWhen"]["properties"]
    name_or_part = {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/part-evaluator"}]}
    evaluate["with"]["items"] = name_or_part
    properties["model"] = evaluate["baselines"]["additionalProperties"] = {
        "anyOf": [{"$ref": "#/$defs/part-model"}, _OF_A_RUN]
    }
    return schema
