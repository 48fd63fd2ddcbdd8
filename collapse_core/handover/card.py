"""The model card of a run's exported model, as the hub reads it."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from collapse_core.contracts.types import Metric
from collapse_core.handover.facts import BASE_CARD, CARD, Facts, missing_library
from collapse_core.handover.limits import limits, true_answers
from collapse_core.results.formatting import format_metric
from collapse_core.runtime import files

TEMPLATE = Path(__file__).with_name("templates") / "card.md"
TAG = "machine-unlearning"
PLACE = "path-or-repository"
"""What stands in the code of a card until it is known where the model goes."""
OF_THE_BASE = ("license", "license_name", "license_link", "language")
"""What a card takes over from the card of the model before unlearning."""
ARROWS = {"up": " ↑", "down": " ↓", "none": ""}


def write_card(facts: Facts, *, license_id: str | None = None, datasets: Sequence[str] = ()) -> Path:
    """Write README.md into the folder of the exported model, and return its path.

    A card that came with the model before unlearning is kept as BASE_MODEL_CARD.md.

    Args:
        facts: What there is to say.
        license_id: The license of the model; by default that of the base model's card.
        datasets: The hub's ids of data sets that may be named.

    Raises:
        CollapseError: huggingface_hub is not installed.
    """
    try:
        from huggingface_hub import ModelCard
    except ModuleNotFoundError:
        raise missing_library("a model card") from None
    path = facts.folder / CARD
    if path.exists() and not is_ours(path):
        path.replace(facts.folder / BASE_CARD)
    kept = _of_the_base(facts.folder / BASE_CARD)
    data = _card_data(facts, kept | ({"license": license_id} if license_id else {}), datasets)
    card = ModelCard.from_template(data, template_path=str(TEMPLATE), **_variables(facts))
    files.write_text(path, re.sub(r"\n{3,}", "\n\n", card.content).rstrip() + "\n")
    return path


def is_ours(path: Path) -> bool:
    """Whether a card was written by `write_card`."""
    from huggingface_hub import ModelCard

    data = ModelCard.load(path, ignore_metadata_errors=True).data
    return TAG in (data.tags or ()) and "collapse" in (data.tags or ())


def _of_the_base(path: Path) -> dict[str, Any]:
    from huggingface_hub import ModelCard

    if not path.exists():
        return {}
    data = ModelCard.load(path, ignore_metadata_errors=True).data.to_dict()
    return {key: data[key] for key in OF_THE_BASE if data.get(key)}


def _card_data(facts: Facts, kept: dict[str, Any], datasets: Sequence[str]) -> Any:
    from huggingface_hub import EvalResult, ModelCardData

    digests = facts.data_digests()
    data = f"data of the run ({digests[0][:12]})" if digests else "data of the run"
    results = [
        EvalResult(
            task_type=facts.export.task,
            dataset_type=facts.recipe["data"]["use"],
            dataset_name=data,
            dataset_args={"sha256": digests} if digests else None,
            metric_type=one.name,
            metric_name=one.name,
            metric_value=float(one.after.value),
            metric_config=one.evaluator,
            metric_args=_ends(one.after),
        )
        for one in facts.measured
    ]
    base = facts.export.base_model
    more: dict[str, Any] = {"base_model": base, "base_model_relation": facts.export.relation} if base else {}
    return ModelCardData(
        model_name=facts.results.name,
        library_name=facts.export.library,
        pipeline_tag=facts.export.task,
        tags=[TAG, "partial-model-collapse", "collapse"],
        datasets=list(datasets) or None,
        eval_results=results or None,
        **more,
        **kept,
    )


def _ends(metric: Metric) -> dict[str, Any] | None:
    if metric.low is None or metric.high is None:
        return None
    return {"low": float(metric.low), "high": float(metric.high), "confidence": 0.95}


def _variables(facts: Facts) -> dict[str, Any]:
    return {
        "name": facts.results.name,
        "base": facts.export.base_model or "A model",
        "forgotten": facts.forgotten(),
        "method": list(_method(facts)),
        "true_answers": true_answers(facts),
        "data": facts.data_digests(),
        "compared": facts.compared,
        "rows": [
            [one.name + ARROWS[one.after.direction], *map(format_metric, [*one.others, one.after])]
            for one in facts.measured
        ],
        "limits": limits(facts),
        "load": facts.export.load.replace("{}", PLACE).rstrip(),
        "weights": list(facts.weights().items()),
    }


def _method(facts: Facts) -> Iterator[tuple[str, str]]:
    recipe, environment = facts.recipe, facts.results.environment
    yield "base model", facts.export.base_model or "not on the hub"
    if revision := facts.base_revision():
        yield "its revision", revision
    if digests := facts.base_digests():
        yield "its files, by digest", ", ".join(f"`{digest}`" for digest in digests)
    for kind, names in facts.parts().items():
        yield kind, names or "none"
    yield "iterations", str(recipe["iterations"])
    yield "completions per prompt", str(recipe["completions_per_prompt"])
    yield "seed", str(recipe["seed"])
    if digest := environment.get("recipe", {}).get("digest"):
        yield "recipe, by digest", f"`{digest}`"
    yield "hardware", str(environment.get("hardware", {}).get("processor", "not recorded"))
    yield "versions", ", ".join(f"{name} {version}" for name, version in facts.packages().items())
