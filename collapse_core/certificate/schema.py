"""What certificate.json holds. Its version is raised whenever a field changes its meaning or goes."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

VERSION: Literal["collapse-certificate/1"] = "collapse-certificate/1"
FILE = "certificate.json"
PAGE = "certificate.html"
SIGNATURE = "certificate.sig"


class _Part(BaseModel):
    """A piece of a certificate: nothing unknown, nothing that changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Request(_Part):
    """Who asked, and what was decided, as the operator gave it."""

    id: str
    """The pseudonym of the request."""
    operator: str | None
    """Who answers for the run."""
    decision: str | None
    """What was decided about the request."""


class Forgotten(_Part):
    """What was to be forgotten, without any of its text."""

    prompts: int | None
    """How many prompts the forget set has; null where the run did not record it."""
    digest: str | None
    """SHA-256 of the ids and contents of all forget prompts, as JSON."""
    data: list[str]
    """The digests that the data set recorded of its files and sources; their names are left out."""


class Weights(_Part):
    """A model by digest."""

    description: dict[str, Any]
    """Where it came from: digests of its files, or a revision of the hub, and what it was taught."""
    files: dict[str, str]
    """SHA-256 by file, for the model that resulted; empty where there are none."""
    digest: str | None
    """SHA-256 over the digests of all files, in the order of their names; null where there are none."""


class Method(_Part):
    """How the model was made to forget."""

    sampler: str
    rewards: list[str]
    filter: str
    updater: str
    iterations: int
    completions_per_prompt: int
    seed: int


class RecipeRecord(_Part):
    """The recipe that the run began with."""

    digest: str
    """The digest of the recipe with every default, criteria included, as recorded when the run began."""
    criteria_set_before_the_run: bool
    """Whether the recipe that the run began with has criteria."""
    redacted: bool
    """Whether texts of the recipe were removed by a scrub."""


class Made(_Part):
    """By what, and on what."""

    code: dict[str, str]
    """Digests of the source code."""
    python: str | None
    packages: dict[str, str]
    """The version of each installed package."""
    plugins: list[dict[str, Any]]
    platform: str | None
    hardware: dict[str, Any]
    processes: int | None


class AnswersRead(_Part):
    """Who read the true answers, and who read the model's own."""

    loop: str
    """What the run recorded of its loop: "never loaded", or "read, since a part needs them"."""
    parts: list[str] | None
    """The parts of the loop that needed them; null where the run did not record it."""
    model: list[str]
    """The splits that the model was taught before unlearning, with their true answers."""
    baselines: dict[str, list[str]]
    """The same for each baseline."""
    evaluators: dict[str, list[str]]
    """The splits that each evaluator read with true answers."""
    reference_answers: str
    """A sentence on the model's own answers before unlearning."""


class Measured(_Part):
    """A number with its 95 % interval over questions; null where there is none."""

    value: float
    low: float | None
    high: float | None


class Outcome(_Part):
    """One criterion, and whether it is met."""

    criterion: dict[str, Any]
    """The criterion as the recipe has it, with every default."""
    described: str
    """The criterion in words."""
    after: Measured | None
    """The metric of the model after the run; null where it was not measured."""
    before: Measured | None
    """The same of the model before the run."""
    other: Measured | None
    """The metric of the model that the criterion is set against."""
    compared: Measured | None
    """What the bound is about: the metric, or its difference to the other one."""
    test: str
    """The test by name; "none" where none could be made."""
    p_met: float | None
    """The p-value of "met", corrected for the number of criteria."""
    p_not_met: float | None
    """The p-value of "not met", corrected for the number of criteria."""
    verdict: Literal["met", "not met", "cannot be told"]
    why: str


class Attack(_Part):
    """An attack that was tried."""

    evaluator: str
    settings: dict[str, Any]
    """Those of its settings in the recipe that are numbers."""
    results: dict[str, dict[str, Measured]]
    """By metric and by model, what came out."""
    missing: dict[str, str]
    """What it could not measure, and why."""


class ClaimMade(_Part):
    """What the numbers bear."""

    level: Literal["none", "does-not-say", "cannot-be-made-to-say", "cannot-be-told-apart"]
    sentence: str
    why: str
    """Why it is not a stronger claim."""


class Copy(_Part):
    """Something that may still hold what was to be forgotten."""

    where: str
    """A file or folder of the run directory or of the cache, or what is outside both."""
    what: str
    files: int | None
    """How many files there are; null where they are not within reach."""


class Previous(_Part):
    """An earlier run whose model this one began with, directly or through others."""

    recipe: str
    """The digest of its recipe."""
    certificate: str | None
    """SHA-256 of its certificate.json, as recorded when the next run began, else as it is now."""
    unchanged: bool | None
    """Whether it is still the recorded one; null where nothing was recorded, or it is gone."""
    request: str | None
    """The pseudonym of its request."""
    outcomes: list[Outcome] | None
    """Its criteria, held against the model of this run; null where they were not checked again."""
    why_not: str
    """Why they were not checked again; empty if they were."""


class Scrubbed(_Part):
    """That texts were removed from the run."""

    when: str
    removed: int
    """How many files were removed."""
    redacted: list[str]
    """The files of which texts were removed."""
    searched: int
    """For how many texts all that is left was searched."""
    found: int
    """How often one was found that is more than a single word."""


class Certificate(_Part):
    """What a run shows, and does not show, of what its model has forgotten."""

    version: Literal["collapse-certificate/1"]
    made: str
    """When the certificate was made: UTC, ISO 8601."""
    request: Request
    claim: ClaimMade
    criteria: list[Outcome]
    attacks: list[Attack]
    forgotten: Forgotten
    base_model: Weights
    resulting_model: Weights
    method: Method
    recipe: RecipeRecord
    true_answers: AnswersRead
    not_shown: list[str]
    """What the certificate does not show, a sentence each."""
    assumptions: list[str]
    """What the tests take for granted, a sentence each."""
    notes: list[str]
    """What evaluators noted, such as reference answers that stood in for true ones."""
    copies: list[Copy]
    previous: list[Previous]
    """The earlier runs, the latest first; empty where the model came from none."""
    scrubbed: Scrubbed | None
    """Null where the run was not scrubbed."""
    made_by: Made


def certificate_schema() -> dict[str, Any]:
    """The JSON schema of certificate.json."""
    return Certificate.model_json_schema() | {"title": VERSION}
