"""A run directory -> its certificate; nothing but what the run has stored is used."""

import hashlib
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from collapse_core.certificate.chain import earlier
from collapse_core.certificate.claims import assumptions, claim_of, not_shown
from collapse_core.certificate.criteria import criteria_of, measured_of, outcome
from collapse_core.certificate.deciding import decide
from collapse_core.certificate.schema import (
    VERSION,
    AnswersRead,
    Attack,
    Certificate,
    Copy,
    Forgotten,
    Made,
    Method,
    RecipeRecord,
    Request,
    Scrubbed,
    Weights,
)
from collapse_core.contracts.types import Metric
from collapse_core.errors import CollapseError
from collapse_core.results.copies import copies_left
from collapse_core.results.results import Results, load_results
from collapse_core.runtime import files
from collapse_core.runtime.digests import digest, file_digest, text_digest
from collapse_core.runtime.layout import MODEL

PSEUDONYM = re.compile(r"[\w.:-]{1,100}")
DIGEST = re.compile("[0-9a-f]{16}|[0-9a-f]{40}|[0-9a-f]{64}")
REFERENCES = (
    "The model answered every prompt of the forget set before the run. These reference answers are mostly "
    "the secret itself wherever the model knew it. Rewards and filters of the run compare with them, and "
    "checkpoints hold them until the run is scrubbed."
)


def make_certificate(directory: Path, request: Request, *, recheck: bool = False) -> Certificate:
    """Make the certificate of a finished run.

    Args:
        directory: The run.
        request: What the operator says of the request.
        recheck: Whether to measure its model by the criteria of the runs that it came from.

    Raises:
        CollapseError: The run is not finished, its recipe is not the one that it began with, or the request's
            id is no pseudonym.
    """
    results = load_results(directory)
    if not PSEUDONYM.fullmatch(request.id):
        raise CollapseError(
            f"--request {request.id!r} is no pseudonym; use letters, digits, '.', ':', '_' and '-', and no "
            "name or address of a person"
        )
    if results.status.get("status") != "finished":
        raise CollapseError(
            f"{directory} is {results.status.get('status', 'not started')}, and has no result to certify; "
            f"go on with 'collapse resume {directory}'"
        )
    record = check_recipe(results)
    decisions = decide(criteria_of(results), results)
    return Certificate(
        version=VERSION,
        made=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        request=request,
        claim=claim_of(decisions, results),
        criteria=[outcome(one, results) for one in decisions],
        attacks=list(_attacks(results)),
        forgotten=_forgotten(results),
        base_model=_base(results),
        resulting_model=_resulting(directory),
        method=_method(results.recipe),
        recipe=record,
        true_answers=_answers_read(results),
        not_shown=not_shown(decisions, results),
        assumptions=assumptions(decisions),
        notes=[f"{', '.join(names)}: {note}" for note, names in results.notes().items()],
        copies=[Copy(**asdict(one)) for one in copies_left(results)],
        previous=earlier(results, recheck=recheck),
        scrubbed=_scrubbed(results),
        made_by=_made(results.environment),
    )


# --- the recipe ------------------------------------------------------------------------------------


def check_recipe(results: Results) -> RecipeRecord:
    """The recipe by digest.

    Raises:
        CollapseError: It was changed since the run began, so that its criteria may have been set afterwards.
    """
    path = results.directory / "resolved.json"
    stored = files.read_json(path)
    recorded, now = str(stored.get("digest")), digest(stored["recipe"])
    redacted = results.scrubbed.get("recipe_digest_after") if results.scrubbed else None
    if now not in (recorded, redacted):
        raise _changed(path)
    written, known = results.directory / "recipe.yaml", results.environment.get("recipe", {}).get("digest")
    touched = results.scrubbed.get("redacted", [])
    if known and written.name not in touched and text_digest(written.read_text(encoding="utf-8")) != known:
        raise _changed(written)
    return RecipeRecord(
        digest=recorded,
        criteria_set_before_the_run=bool(results.recipe.get("criteria")),
        redacted=now != recorded,
    )


def _changed(path: Path) -> CollapseError:
    return CollapseError(
        f"{path} is not the recipe that the run began with, so its criteria may have been set afterwards; "
        "put the original back, or run it again"
    )


# --- what was measured -----------------------------------------------------------------------------


def _attacks(results: Results) -> Iterator[Attack]:
    """Every attack with what came out of each model at its last measurement."""
    settings = results.recipe.get("evaluate", {}).get("with", [])
    for name in results.environment.get("attacks", []):
        rows = [row for row in results.evaluations if row["evaluator"] == name]
        last = {row["model"]: row for row in rows}
        metrics = dict.fromkeys(metric for row in last.values() for metric in row["metrics"])
        yield Attack(
            evaluator=name,
            settings=_numbers(next((one for one in settings if one.get("use") == name), {})),
            results={
                metric: {
                    model: found
                    for model, row in last.items()
                    if metric in row["metrics"] and (found := measured_of(Metric(**row["metrics"][metric])))
                }
                for metric in metrics
            },
            missing={key: why for row in last.values() for key, why in row.get("missing", {}).items()},
        )


def _numbers(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that are numbers or lists of them: texts may be what is to be forgotten."""

    def is_number(value: Any) -> bool:
        return isinstance(value, int | float) or (isinstance(value, list) and all(map(is_number, value)))

    return {key: value for key, value in settings.items() if is_number(value) and value != []}


# --- what it was made of ---------------------------------------------------------------------------


def _forgotten(results: Results) -> Forgotten:
    known = results.environment.get("forgotten", {})
    return Forgotten(
        prompts=known.get("prompts"),
        digest=known.get("digest"),
        data=sorted(set(_digests(results.environment.get("data", {})))),
    )


def _digests(value: Any) -> Iterator[str]:
    """The digests within plain data, whatever they are called: names of files may say whom it is about."""
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _digests(inner)
    elif isinstance(value, str) and DIGEST.fullmatch(value):
        yield value


def _base(results: Results) -> Weights:
    origin = {"loader": results.recipe["model"]["use"], **results.environment.get("model", {})}
    return Weights(description=origin, files={}, digest=None)


def _resulting(directory: Path) -> Weights:
    found = model_files(directory)
    return Weights(description={}, files=found, digest=root_digest(found) if found else None)


def model_files(directory: Path) -> dict[str, str]:
    """SHA-256 by name of the files of the exported model of a run."""
    folder = directory / MODEL
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): file_digest(path) for path in paths}


def root_digest(found: Mapping[str, str]) -> str:
    """SHA-256 over the raw digests of files in the order of their names, as model-signing 1.1 computes it."""
    return hashlib.sha256(b"".join(bytes.fromhex(found[name]) for name in sorted(found))).hexdigest()


def _method(recipe: Mapping[str, Any]) -> Method:
    return Method(
        sampler=recipe["sampler"]["use"],
        rewards=[reward["use"] for reward in recipe.get("rewards", [])],
        filter=recipe["filter"]["use"],
        updater=recipe["updater"]["use"],
        iterations=recipe["iterations"],
        completions_per_prompt=recipe["completions_per_prompt"],
        seed=recipe["seed"],
    )


def _answers_read(results: Results) -> AnswersRead:
    known = results.environment.get("true_answers", {})
    return AnswersRead(
        loop=known.get("loop", "not recorded"),
        parts=known.get("parts"),
        model=known.get("model", []),
        baselines=known.get("baselines", {}),
        evaluators=known.get("evaluators", {}),
        reference_answers=REFERENCES,
    )


def _scrubbed(results: Results) -> Scrubbed | None:
    if not (record := results.scrubbed):
        return None
    proof = record["proof"]
    return Scrubbed(
        when=record["when"],
        removed=len(record["removed"]),
        redacted=record["redacted"],
        searched=proof["texts"],
        found=len(proof["found"]),
    )


def _made(known: Mapping[str, Any]) -> Made:
    plugins: Sequence[Mapping[str, Any]] = known.get("plugins", [])
    return Made(
        code=known.get("code", {}),
        python=known.get("python"),
        packages=known.get("packages", {}),
        plugins=[dict(one) for one in plugins],
        platform=known.get("platform"),
        hardware=known.get("hardware", {}),
        processes=known.get("processes"),
    )
