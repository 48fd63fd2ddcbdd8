"""A bill of materials of a run's exported model: CycloneDX 1.6, with its model card.

The fields are those of the schema (https://cyclonedx.org/docs/1.6/json/), in which every number of a model
card is a text. The library cyclonedx-python-lib knows no model cards, so the file is made here; the library's
validator checks it in the tests. The same run gives the same file, so it has no time.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from collapse_core.handover.facts import BOM, Facts
from collapse_core.handover.limits import limits, true_answers
from collapse_core.runtime import files
from collapse_core.runtime.digests import digest

Json = dict[str, Any]

MODEL, BASE, DATA = "model", "base-model", "data"
"""What components are referred to by."""
PROPERTY = "collapse:"
"""How the names of properties begin that the schema has no field for."""


def write_bom(facts: Facts) -> Path:
    """Write bom.cdx.json into the folder of the exported model, and return its path."""
    path = facts.folder / BOM
    files.write_json(path, bom_of(facts))
    return path


def bom_of(facts: Facts) -> Json:
    """Return the bill of materials as plain data."""
    libraries = [
        {
            "type": "library",
            "bom-ref": f"pkg:pypi/{name}@{version}",
            "name": name,
            "version": version,
            "purl": f"pkg:pypi/{name}@{version}",
        }
        for name, version in facts.packages().items()
    ]
    parts = [_base(facts), _data(facts), *libraries]
    content = digest([facts.weights(), facts.base_digests(), facts.data_digests(), facts.results.name])
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid5(NAMESPACE_URL, content)}",
        "version": 1,
        "metadata": {"component": _model(facts)},
        "components": parts,
        "dependencies": [{"ref": MODEL, "dependsOn": [part["bom-ref"] for part in parts]}],
    }


def _model(facts: Facts) -> Json:
    ancestor = {key: value for key, value in _base(facts).items() if key != "bom-ref"}
    method = ", ".join(f"{kind} {names or 'none'}" for kind, names in facts.parts().items())
    return {
        "type": "machine-learning-model",
        "bom-ref": MODEL,
        "name": facts.results.name,
        "version": digest(facts.weights()),
        "description": "A model after unlearning with Partial Model Collapse (arXiv 2507.04219).",
        "hashes": _hashes(facts),
        "pedigree": {"ancestors": [ancestor], "notes": f"Unlearned with {method}."},
        "modelCard": _card(facts),
        "properties": _properties(
            {f"weights:{name}": f"sha256:{value}" for name, value in facts.weights().items()}
            | {"recipe": facts.results.environment.get("recipe", {}).get("digest")}
        ),
    }


def _hashes(facts: Facts) -> list[Json]:
    """The digest of the weights, where they are one file; of several, the properties name each."""
    weights = list(facts.weights().values())
    return [{"alg": "SHA-256", "content": weights[0]}] if len(weights) == 1 else []


def _card(facts: Facts) -> Json:
    export = facts.export
    parameters = {
        "approach": {"type": "self-supervised"},
        "task": export.task,
        "architectureFamily": export.family,
        "modelArchitecture": export.architecture,
        "datasets": [{"ref": DATA}],
    }
    metrics = [
        {
            "type": one.name,
            "value": str(one.after.value),
            "slice": one.evaluator,
            **(
                {"confidenceInterval": {"lowerBound": str(one.after.low), "upperBound": str(one.after.high)}}
                if one.after.low is not None and one.after.high is not None
                else {}
            ),
        }
        for one in facts.measured
    ]
    return {
        "modelParameters": {key: value for key, value in parameters.items() if value},
        "quantitativeAnalysis": {"performanceMetrics": metrics},
        "considerations": {"technicalLimitations": limits(facts)},
        "properties": _properties({"true-answers": true_answers(facts)}),
    }


def _base(facts: Facts) -> Json:
    revision = facts.base_revision()
    return {
        "type": "machine-learning-model",
        "bom-ref": BASE,
        "name": facts.export.base_model or "the model before unlearning",
        **({"version": revision} if revision else {}),
        "properties": _properties(_numbered("file", facts.base_digests())),
    }


def _data(facts: Facts) -> Json:
    """The data by digest; neither its names nor its contents."""
    forgotten = facts.forgotten()
    known = {"forget:prompts": forgotten.get("prompts"), "forget:digest": forgotten.get("digest")}
    return {
        "type": "data",
        "bom-ref": DATA,
        "name": "data of the run",
        "data": [
            {
                "type": "dataset",
                "name": "what is to be forgotten, and what is to be retained",
                "sensitiveData": ["what is to be forgotten"],
                "contents": {"properties": _properties(_numbered("file", facts.data_digests()) | known)},
            }
        ],
    }


def _numbered(name: str, digests: list[str]) -> dict[str, Any]:
    return {f"{name}-{number}": value for number, value in enumerate(digests, 1)}


def _properties(values: Mapping[str, Any]) -> list[Json]:
    return [
        {"name": f"{PROPERTY}{name}", "value": str(value)}
        for name, value in values.items()
        if value is not None
    ]
