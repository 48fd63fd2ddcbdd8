"""What may be said of a run to anyone: numbers, names of parts, digests; never a text of the data."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collapse_core import errors
from collapse_core.contracts.exports import ExportedModel
from collapse_core.contracts.types import Metric
from collapse_core.errors import CollapseError
from collapse_core.plugins.registry import Registry
from collapse_core.recipe.loading import parse_recipe
from collapse_core.recipe.recipe import Recipe
from collapse_core.recipe.stored import stored_document
from collapse_core.results.results import Results, load_results
from collapse_core.runtime.digests import file_digest

FOLDER = "model"
"""The folder of a run directory that holds the exported model."""
CARD = "README.md"
BOM = "bom.cdx.json"
BASE_CARD = "BASE_MODEL_CARD.md"
"""What the card that came with the model before unlearning is kept as."""
WRITTEN = (CARD, BASE_CARD, BOM)
"""The files that a hand-over adds to a model."""
DIGEST = re.compile(r"[0-9a-f]{16}|[0-9a-f]{64}")


@dataclass(frozen=True)
class Measured:
    """A metric of the final model, and of the models that it is compared with."""

    name: str
    evaluator: str
    after: Metric
    others: Sequence[Metric | None]
    """In the order of `Facts.compared`."""


@dataclass(frozen=True)
class Facts:
    """A finished run, as cards and bills of materials describe it."""

    results: Results
    folder: Path
    """Where the exported model is."""
    export: ExportedModel
    compared: Sequence[str]
    """The models that are measured besides the final one, by what may be said of them."""
    measured: Sequence[Measured]
    not_measured: Sequence[str]
    """The evaluators of the domain that were not run."""

    @property
    def recipe(self) -> Mapping[str, Any]:
        """The resolved recipe."""
        return self.results.recipe

    def data_digests(self) -> list[str]:
        """The digests of the files of data, without their names, which may say what is forgotten."""
        return sorted(set(_digests(self.results.environment.get("data", {}))))

    def base_digests(self) -> list[str]:
        """The digests of the files of the model before unlearning."""
        return sorted(set(_digests(self.results.environment.get("model", {}))))

    def base_revision(self) -> str | None:
        """The revision of the model before unlearning, where it came from the hub."""
        model = self.results.environment.get("model", {})
        return str(model["revision"]) if isinstance(model, Mapping) and model.get("revision") else None

    def forgotten(self) -> Mapping[str, Any]:
        """How many prompts were to be forgotten ("prompts"), and their "digest"; what is known of it."""
        return dict(self.results.environment.get("forgotten", {}))

    def parts(self) -> dict[str, str]:
        """The names of the parts that did it, by kind."""
        chosen = {kind: [self.recipe[kind]] for kind in ("sampler", "filter", "updater")}
        chosen["rewards"] = self.recipe["rewards"]
        return {kind: ", ".join(part["use"] for part in chosen[kind]) for kind in sorted(chosen)}

    def packages(self) -> dict[str, str]:
        """The versions of the libraries that the run used, as far as they matter to it."""
        installed = self.results.environment.get("packages", {})
        wanted = (
            "collapse-unlearning",
            "torch",
            "transformers",
            "peft",
            "diffusers",
            "safetensors",
            "accelerate",
        )
        return {name: installed[name] for name in wanted if name in installed}

    def weights(self) -> dict[str, str]:
        """The SHA-256 of each file of weights of the exported model."""
        paths = sorted(self.folder.rglob("*.safetensors"))
        return {path.relative_to(self.folder).as_posix(): file_digest(path) for path in paths}


def gather(directory: Path, recipe: Recipe | None = None) -> Facts | None:
    """Return the facts of a finished run; None where its domain does not hand models over.

    Args:
        directory: The run.
        recipe: Its recipe, by default the stored one, whose parts must be installed.

    Raises:
        CollapseError: The run is not finished, or its parts are not installed here.
    """
    results = load_results(directory)
    folder = directory / FOLDER
    if results.status.get("status") != "finished" or not folder.is_dir():
        raise CollapseError(
            f"{directory} has no exported model; finish the run first with 'collapse resume {directory}'"
        )
    recipe = recipe or parse_recipe(stored_document(directory))
    export = recipe.model.describe_export(folder)
    if export is None:
        return None
    own = ("before", "during", "after")
    baselines = [name for name in results.models() if name not in own]
    others = [name for name in ("before",) if name in results.models()] + baselines
    return Facts(
        results,
        folder,
        export,
        [_public_name(name, baselines) for name in others],
        list(_measured(results, others)),
        _not_run(recipe),
    )


def needed(directory: Path) -> Facts:
    """Return the facts of a finished run.

    Raises:
        CollapseError: There are none, since its domain does not hand models over.
    """
    if (facts := gather(directory)) is None:
        raise CollapseError(
            f"the models of {directory} are not handed over: their part does not describe its exports "
            "(ModelLoader.describe_export)"
        )
    return facts


def _public_name(model: str, baselines: Sequence[str]) -> str:
    """What a model is called in public; baselines are named by a user, and may name whom it is about."""
    return "before" if model == "before" else f"baseline {baselines.index(model) + 1}"


def _measured(results: Results, others: Sequence[str]) -> Iterator[Measured]:
    for row in results.evaluations:
        if row["model"] == "after":
            for name, metric in row["metrics"].items():
                found = [results.metric(name, other) for other in others]
                yield Measured(name, row["evaluator"], Metric(**metric), found)


def _not_run(recipe: Recipe) -> list[str]:
    """The evaluators that could have measured this kind of model, and were not asked to."""
    registry = Registry()
    run = {evaluator.use.rpartition("/")[2] for evaluator in recipe.evaluate.with_}
    kind = recipe.model.provides
    found = []
    for name in registry.names("evaluator"):
        try:
            part = registry.find("evaluator", name)
        except ValueError:
            continue
        if kind in part.works_on and name not in run:
            found.append(name)
    return found


def _digests(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        for piece in value.values():
            yield from _digests(piece)
    elif isinstance(value, list | tuple):
        for piece in value:
            yield from _digests(piece)
    elif isinstance(value, str) and DIGEST.fullmatch(value):
        yield value


def missing_library(purpose: str) -> CollapseError:
    """The library of the hub is not installed."""
    return errors.missing_extra("huggingface_hub", "llm", purpose)
