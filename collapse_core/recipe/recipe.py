"""What a recipe may say. A recipe that has been read holds its parts, ready to be called."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, Literal, get_args

from annotated_types import Ge, Le
from pydantic import (
    BeforeValidator,
    Field,
    SerializeAsAny,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from collapse_core import errors
from collapse_core.contracts.checks import at_work
from collapse_core.contracts.component import Settings
from collapse_core.contracts.interfaces import (
    Dataset,
    Evaluator,
    Filter,
    Model,
    ModelLoader,
    Reward,
    Sampler,
    Tracker,
    Updater,
)
from collapse_core.contracts.state import State, Watch
from collapse_core.contracts.types import Completion, Prompt, PromptSet
from collapse_core.parts.checked import CheckedFilter, CheckedSampler, CheckedUpdater
from collapse_core.parts.guard import TEMPERATURE, Guard
from collapse_core.plugins.registry import part
from collapse_core.recipe.criteria import Criterion, unknown_baselines
from collapse_core.recipe.fitting import misfits
from collapse_core.recipe.stopping import StopWhen
from collapse_core.rubric import Rubric

MOST = 10**9
"""The most iterations, prompts or checkpoints that anyone can mean."""
MOST_COMPLETIONS = 10**6


def _is_count(value: Any, least: int) -> bool:
    """Whether it is a whole number of at least `least` that a run can count to.

    Raises:
        ValueError: It is too large.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        return False
    if value > MOST:
        raise ValueError(f"expected at most {MOST}")
    return True


def _count(value: Any) -> Any:
    if value == "all" or _is_count(value, least=1):
        return value
    raise ValueError("expected a whole number of at least 1, or 'all'")


Count = Annotated[
    int | Literal["all"],
    BeforeValidator(_count),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1, "maximum": MOST}, {"const": "all"}]}),
]


def _retain_count(value: Any) -> Any:
    if value in ("all", "matched") or _is_count(value, least=0):
        return value
    raise ValueError("expected a whole number of at least 0, 'matched', or 'all'")


RetainCount = Annotated[
    int | Literal["all", "matched"],
    BeforeValidator(_retain_count),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": 0, "maximum": MOST}, {"enum": ["all", "matched"]}]}
    ),
]


Stage = Literal["before", "during", "after"]
"""What the run's own model is called where it is measured."""


class EvaluateWhen(Settings):
    """What is measured, and how often."""

    every: Annotated[int, Ge(0), Le(MOST)] = 0
    """Measure after each so many iterations; 0 measures only before and after the run."""
    with_: Annotated[
        list[Annotated[SerializeAsAny[Evaluator], part("evaluator")]],
        Field(alias="with", serialization_alias="with"),
    ] = []
    """The evaluators: names, or mappings with `use:`."""
    baselines: dict[str, Annotated[SerializeAsAny[ModelLoader], part("model")]] = {}
    """Other models to compare with, each measured once, by what to call them."""
    headline: list[str] = []
    """The metrics that the table at the end of the run has, and the report first; by default all."""

    @field_validator("baselines")
    @classmethod
    def _not_the_runs_own(cls, value: dict[str, ModelLoader]) -> dict[str, ModelLoader]:
        for name in value:
            if name in get_args(Stage):
                raise ValueError(f"'{name}' is what the run's own model is called; choose another name")
        return value


class CheckpointWhen(Settings):
    """How often the run can be resumed from."""

    every: Annotated[int, Ge(1), Le(MOST)] = 10
    """Save after each so many iterations."""
    keep: Annotated[int, Ge(1), Le(MOST)] = 2
    """How many checkpoints stay on disk."""


class Launch(Settings):
    """How many processes work on the run; it changes how long a run takes, not what comes out."""

    processes: Annotated[int, Ge(1), Le(10**5)] = 1
    """How many processes share the work, on this machine or, with a config, on several."""
    config: str | None = None
    """An accelerate config file, relative to the recipe: machines, GPUs, sharding."""


class Recipe(Settings):
    """One run in full."""

    version: Literal[1]
    """The version of the recipe language."""
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=100)]
    """What the run is called; its directory is runs/<name>/."""
    seed: Annotated[int, Ge(0)] = 0
    """The seed that every draw is derived from."""
    plugins: list[str] = []
    """Plugins that are single files, relative to the recipe. They are run."""
    data: Annotated[SerializeAsAny[Dataset], part("dataset")]
    """Where the prompts come from."""
    model: Annotated[SerializeAsAny[ModelLoader], part("model")]
    """The model that is to forget."""
    sampler: Annotated[SerializeAsAny[Sampler], part("sampler")]
    """How completions are drawn."""
    rewards: list[Annotated[SerializeAsAny[Reward], part("reward")]] = []
    """What is preferred among them; the weighted sum counts."""
    filter: Annotated[SerializeAsAny[Filter], part("filter")]
    """Which of them are trained on."""
    updater: Annotated[SerializeAsAny[Updater], part("updater")]
    """How the model is trained on what was kept."""
    iterations: Annotated[int, Ge(0), Le(MOST)]
    """How often to sample, filter and update."""
    prompts_per_iteration: Count = "all"
    """How many forget prompts take part in an iteration, or all."""
    retain_per_iteration: RetainCount = "matched"
    """How many retain prompts are drawn for an iteration: a number, one for each forget prompt, or all."""
    completions_per_prompt: Annotated[int, Ge(1), Le(MOST_COMPLETIONS)] = 5
    """How many completions are drawn for each of them."""
    guard: Guard = Guard()
    """Watches for prompts that do not forget, and acts on them; off by default."""
    evaluate: EvaluateWhen = EvaluateWhen()
    """What is measured, and how often."""
    stop_when: StopWhen | None = None
    """What ends the run before its last iteration; by default nothing does."""
    criteria: list[Criterion] = []
    """What must hold of the result; `collapse certify` says whether it does."""
    checkpoint: CheckpointWhen = CheckpointWhen()
    """How often the run can be resumed from."""
    keep_text: bool = True
    """Whether what was sampled is written down. Checkpoints hold what resuming needs in either case."""
    launch: Launch = Launch()
    """How many processes work on the run."""
    track: list[Annotated[SerializeAsAny[Tracker], part("tracker")]] = []
    """Trackers that the run reports to; none by default."""

    @field_validator("model", "sampler", "rewards", "filter", "updater", "evaluate", "stop_when")
    @classmethod
    def _goes_with_what_is_above(cls, value: Any, info: ValidationInfo) -> Any:
        if problem := next(misfits(info.field_name or "", value, info.data), None):
            raise ValueError(problem)
        return value

    @field_validator("stop_when")
    @classmethod
    def _is_a_reward_that_there_is(cls, value: StopWhen | None, info: ValidationInfo) -> StopWhen | None:
        names = Rubric(info.data.get("rewards", ())).rewards
        if value and "rewards" in info.data and (problem := value.unknown_reward(names)):
            raise ValueError(problem)
        return value

    @field_validator("criteria")
    @classmethod
    def _are_set_against_what_is_measured(
        cls, value: list[Criterion], info: ValidationInfo
    ) -> list[Criterion]:
        evaluate = info.data.get("evaluate")
        if evaluate and (problems := unknown_baselines(value, evaluate.baselines)):
            raise ValueError(problems[0])
        return value

    @field_validator("guard")
    @classmethod
    def _has_what_it_raises(cls, value: Guard, info: ValidationInfo) -> Guard:
        sampler = info.data.get("sampler")
        if value.then == "raise-temperature" and sampler and TEMPERATURE not in type(sampler).model_fields:
            raise ValueError(
                f"the sampler '{sampler.use}' has no temperature to raise; choose another 'then'"
            )
        return value

    @cached_property
    def rubric(self) -> Rubric:
        """The weighted sum of the rewards."""
        return Rubric(self.rewards)

    @property
    def needs_targets(self) -> bool:
        """Whether any part of the loop needs the true forget answers."""
        return bool(self.target_readers())

    def target_readers(self) -> list[str]:
        """The parts of the loop that need the true forget answers, by name."""
        parts = (self.sampler, *self.rewards, self.filter, self.guard.fall_back, self.updater)
        return [part.use for part in parts if part.reads_targets()]

    def stops_by_splits(self) -> list[str]:
        """The splits that decide with their true answers when the run stops."""
        if self.stop_when is None or self.stop_when.evaluator is None:
            return []
        return sorted(self.stop_when.evaluator.splits_read(self.stop_when.data or self.data))

    def stops_by_answers(self) -> bool:
        """Whether true forget answers decide when the run stops, though it may not train on them."""
        return any(split.startswith("forget") or split == "full" for split in self.stops_by_splits())

    def stop_line(self, state: State) -> dict[str, Any]:
        """What the journal says of the stop condition: one more key where it was looked at, else none."""
        if (
            self.stop_when is None
            or state.stop_check is None
            or state.stop_check.iteration != state.iteration
        ):
            return {}
        return {"stop_when": self.stop_when.line(state.stop_check)}

    def load_model(self, loader: ModelLoader | None = None) -> Model:
        """The model that is to forget, or that of another loader; it knows its reference model."""
        loader = loader or self.model

        def load() -> Model:
            with at_work("model", loader.use):
                return loader.load(self.data, self.seed)

        model = load()
        model.set_reference(load)
        return model

    def guarded(self, watched: dict[str, Watch]) -> "Recipe":
        """The recipe with its sampler and its filter under its guard, which keeps `watched` up to date."""
        sampler, filter_ = self.guard.wrap(self.sampler, self.filter, watched)
        return self.model_copy(update={"sampler": sampler, "filter": filter_}).checked()

    def checked(self) -> "Recipe":
        """The recipe with its sampler, filter and updater checked at their border."""
        return self.model_copy(
            update={
                "sampler": CheckedSampler(use=self.sampler.use, sampler=self.sampler),
                "filter": CheckedFilter(use=self.filter.use, filter=self.filter),
                "updater": CheckedUpdater(use=self.updater.use, updater=self.updater),
            }
        )

    def load_retain(self) -> PromptSet:
        """The data to retain, with its answers."""
        with at_work("dataset", self.data.use):
            return self.data.load("retain")

    def load_forget(self) -> PromptSet:
        """The forget prompts, without their true answers unless a part of the loop needs them.

        Raises:
            CollapseError: There are none.
        """
        with at_work("dataset", self.data.use):
            forget = self.data.load("forget", targets=self.needs_targets)
        if not forget:
            raise errors.nothing_to_forget(self.data.use)
        return forget if self.needs_targets else forget.without_targets()

    def prepare_rewards(
        self, model: Model, forget: Sequence[Prompt], references: Mapping[str, Completion]
    ) -> None:
        """Give each reward the model and let it learn what it needs."""
        for reward in self.rewards:
            with at_work("reward", reward.use):
                reward.use_model(model)
        self.rubric.prepare(self.data, forget, references)

    def num_retain(self, prompts: Sequence[Prompt]) -> int | Literal["all"]:
        """How many retain prompts an iteration over these forget prompts takes."""
        return len(prompts) if self.retain_per_iteration == "matched" else self.retain_per_iteration

    def resolved(self) -> dict[str, Any]:
        """The recipe as plain data, with every default spelled out.

        Criteria, and what stops the run, are there only where the recipe has some: so a run from before there
        were any is still the same run.
        """
        whole = self.model_dump(mode="json", by_alias=True)
        return {key: value for key, value in whole.items() if value or key not in ("criteria", "stop_when")}
