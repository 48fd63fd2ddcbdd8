"""How long a run takes and how much memory, from small iterations that are timed with its own parts."""

import math
import resource
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from collapse_core.contracts.interfaces import Model
from collapse_core.contracts.state import State
from collapse_core.contracts.types import Completion, Iteration, Prompt, PromptSet
from collapse_core.evaluation.during import evaluate_each, measure_for_stop
from collapse_core.recipe.recipe import Recipe
from collapse_core.rubric import RubricBound
from collapse_core.run.environment import hardware
from collapse_core.runtime import files, waiting
from collapse_core.runtime.cache import cache_root, timing
from collapse_core.runtime.digests import digest
from collapse_core.session.pace import clock

SMALL = (2, 6)
"""How many prompts the timed iterations have; a line through the first and the last gives that of all."""
CHEAP, GROWTH = 2.0, 4
"""While an iteration takes fewer seconds, one with so many times as many prompts is timed as well."""
NOTEWORTHY = 1.2
"""From which slowdown by other programs an estimate mentions it."""
MOST_NAMED = 3
"""How many evaluators an estimate names."""
FIGURES = 4
"""Raised when other figures are kept than before."""
IMMATERIAL = (
    "name",
    "seed",
    "iterations",
    "checkpoint",
    "track",
    "launch",
    "keep_text",
    "plugins",
    "version",
)
"""The keys of a recipe on which none of the timed figures depends."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Costs:
    """What the pieces of a run cost on this machine."""

    load: float
    """Seconds to load the model, once it is taught."""
    teach: float
    """Seconds to teach it, if that was done to load it; a baseline may still have to be taught."""
    references: tuple[float, float]
    """Seconds for the reference answers and to prepare rewards: at once, and for each prompt."""
    iteration: tuple[float, float]
    """Seconds for an iteration: at once, and for each prompt."""
    evaluators: dict[str, float]
    """Seconds that each evaluator takes to measure a model, after those before it."""
    stop_check: float
    """Seconds to measure what the run may stop by; 0 where it stops by nothing that is measured."""
    save: float
    """Seconds to write a checkpoint."""
    num_prompts: int
    """How many prompts there are to forget."""
    memory: int
    """The most bytes that were in use, of the GPU's memory where one is used."""

    @property
    def measurement(self) -> float:
        """Seconds to measure a model."""
        return sum(self.evaluators.values())

    def seconds(self, recipe: Recipe) -> float:
        """How long a run of the recipe takes, from loading to the last measurement."""
        asked = recipe.prompts_per_iteration
        prompts = self.num_prompts if asked == "all" else min(asked, self.num_prompts)
        others = len(recipe.evaluate.baselines)
        saves = 2 + math.ceil(recipe.iterations / recipe.checkpoint.every)
        return (
            self.load * (1 + others)
            + self.teach * others
            + _at(self.references, self.num_prompts)
            + recipe.iterations * _at(self.iteration, prompts)
            + num_measurements(recipe) * self.measurement
            + num_stop_checks(recipe) * self.stop_check
            + saves * self.save
        )

    def describe(self, recipe: Recipe, slowdown: float = 1.0) -> str:
        """The estimate in one sentence.

        Args:
            recipe: What is run.
            slowdown: How many times as long it takes because other programs use the processors.
        """
        asked = recipe.prompts_per_iteration
        prompts = self.num_prompts if asked == "all" else min(asked, self.num_prompts)
        return (
            f"estimate: {clock(self.seconds(recipe) * slowdown)} minutes and {self.memory / 1e9:.1f} GB of "
            f"memory ({recipe.iterations} iterations of {_at(self.iteration, prompts) * slowdown:.1f} s, "
            f"{self.measurement * slowdown:.1f} s for each measurement){self._costliest(slowdown)}"
            + (f"; {slowdown:.1f} times as long as alone" if slowdown >= NOTEWORTHY else "")
        )

    def _costliest(self, slowdown: float) -> str:
        """The evaluators that take longest, where there are several."""
        ranked = sorted(self.evaluators.items(), key=lambda one: -one[1])[:MOST_NAMED]
        named = ", ".join(f"{name} {seconds * slowdown:.1f} s" for name, seconds in ranked)
        return f"; of each measurement {named}" if len(self.evaluators) > 1 else ""


def num_measurements(recipe: Recipe) -> int:
    """How often a model is measured: before, during and after the run, and each baseline."""
    every, last = recipe.evaluate.every, recipe.iterations - 1
    return 2 + (last // every if every and last > 0 else 0) + len(recipe.evaluate.baselines)


def num_stop_checks(recipe: Recipe) -> int:
    """How often what a run may stop by is measured, if it does not stop: before the run, and during it."""
    stop = recipe.stop_when
    return 1 + recipe.iterations // stop.every if stop and stop.measured else 0


def _at(line: tuple[float, float], num: int) -> float:
    return line[0] + num * line[1]


def known_costs(recipe: Recipe) -> Costs | None:
    """What was timed on this machine for such a recipe before; None where nothing was."""
    if not (cache_root() / "costs").exists() or not (path := _kept_at(recipe)).exists():
        return None
    found = files.read_json(path)
    return Costs(**found | {key: tuple(found[key]) for key in ("references", "iteration")})


def time_costs(recipe: Recipe) -> Costs:
    """Time the pieces of a run, and keep the figures for later runs of the recipe on this machine.

    The model is loaded, small iterations are carried out, and it is measured once; then it is dropped.

    Raises:
        CollapseError: As the run would.
    """
    forget, retain = recipe.load_forget(), recipe.load_retain()
    taught: list[float] = []
    load, model = _timed(recipe.load_model, taught)
    small = _SmallIterations(recipe.checked(), model, forget, retain)
    timed = small.timed()
    stand_ins = small.references(forget)
    evaluators = _timed_evaluators(recipe, model, stand_ins)
    stops = recipe.stop_when and recipe.stop_when.measured
    stop_check = _timed(lambda: measure_for_stop(recipe, model, stand_ins))[0] if stops else 0.0
    with TemporaryDirectory() as folder:
        save, _ = _timed(lambda: model.save(Path(folder)))
    references = _line([(size, seconds) for size, seconds, _ in timed])
    iteration = _line([(size, seconds) for size, _, seconds in timed])
    costs = Costs(
        load,
        sum(taught),
        references,
        iteration,
        evaluators,
        stop_check,
        save,
        len(forget),
        _most_memory(),
    )
    path = _kept_at(recipe)
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_json(path, asdict(costs))
    return costs


def _timed_evaluators(recipe: Recipe, model: Model, references: dict[str, Completion]) -> dict[str, float]:
    """Seconds by evaluator; what one decodes and another one needs is the first one's."""
    found: dict[str, float] = {}
    rows = evaluate_each(recipe, model, references)
    while row := (timed := _timed(lambda: next(rows, None)))[1]:
        found[row["evaluator"]] = found.get(row["evaluator"], 0.0) + timed[0]
    return found


@dataclass(frozen=True)
class _SmallIterations:
    recipe: Recipe
    model: Model
    forget: PromptSet
    retain: PromptSet

    def timed(self) -> list[tuple[int, float, float]]:
        """How many prompts iterations had, and what `carry_out` says of them; more where they are cheap."""
        most = len(self.forget.batch(self.recipe.prompts_per_iteration, 0, self.recipe.seed))
        sizes = sorted({min(size, most) for size in SMALL})
        self.carry_out(sizes[0])  # the first only warms up
        found = [(size, *self.carry_out(size)) for size in sizes]
        while found[-1][0] < most and found[-1][2] < CHEAP:
            size = min(most, GROWTH * found[-1][0])
            found.append((size, *self.carry_out(size)))
        return found

    def carry_out(self, num: int) -> tuple[float, float]:
        """The loop's first iteration with some prompts: seconds for their references, and for the rest."""
        recipe, prompts = self.recipe, self.forget[:num]
        asked, references = _timed(lambda: self.references(prompts))
        state = State(references=references)
        prepared, _ = _timed(lambda: recipe.prepare_rewards(self.model, prompts, references))
        took, _ = _timed(lambda: self._iterate(prompts, state))
        return asked + prepared, took

    def references(self, prompts: Sequence[Prompt]) -> dict[str, Completion]:
        """The reference answers by prompt id."""
        first = Iteration(0, self.recipe.iterations, self.recipe.seed)
        answers = self.recipe.sampler.sample_references(self.model, prompts, first)
        return {prompt.id: answer for prompt, answer in zip(prompts, answers, strict=True)}

    def _iterate(self, prompts: Sequence[Prompt], state: State) -> None:
        recipe = self.recipe
        now = next(Iteration.remaining(0, max(recipe.iterations, 1), recipe.seed))
        bound = RubricBound(recipe.rubric, recipe.filter, state)
        groups = recipe.sampler.sample(self.model, prompts, recipe.completions_per_prompt, now, bound)
        scored = [recipe.rubric.score(group, state.references[group.prompt.id]) for group in groups]
        kept = recipe.filter.keep(scored, {}, now)
        recipe.updater.update(self.model, kept, self._retained(len(prompts), now), now)

    def _retained(self, num: int, now: Iteration) -> list[Prompt]:
        """As large a share of a whole iteration's retain prompts as `num` is of its forget prompts."""
        whole = self.forget.batch(self.recipe.prompts_per_iteration, 0, self.recipe.seed)
        drawn = self.retain.draw(self.recipe.num_retain(whole), now.seed)
        return drawn[: math.ceil(len(drawn) * num / len(whole))]


def _timed(work: Callable[[], Result], made: list[float] | None = None) -> tuple[float, Result]:
    """Seconds that work takes alone on the machine, without what it makes for the cache, and its result.

    Args:
        work: What is done.
        made: Gets the seconds of each thing that is made for the cache.
    """
    made = [] if made is None else made
    began = waiting.clock()
    with timing(made):
        result = work()
    return max(0.0, waiting.clock() - began - sum(made)), result


def _line(points: Sequence[tuple[int, float]]) -> tuple[float, float]:
    """The line through the first and the last point, neither part of it below zero."""
    (few, short), (many, long) = points[0], points[-1]
    slope = max(0.0, (long - short) / (many - few)) if many > few else long / many
    return max(0.0, long - slope * many), slope


def _most_memory() -> int:
    """The most bytes that this process has used: of the GPU where it uses one, else of memory."""
    if "torch" in sys.modules:
        from collapse_core.torch import most_gpu_memory

        if found := most_gpu_memory():
            return found
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes * (1 if sys.platform == "darwin" else 1024)


def _kept_at(recipe: Recipe) -> Path:
    """Where the figures are kept for this machine, these parts and these files."""
    parts = {key: value for key, value in recipe.resolved().items() if key not in IMMATERIAL}
    parts["evaluate"] = {key: value for key, value in parts["evaluate"].items() if key != "every"}
    made_of = {
        "parts": parts,
        "data": dict(recipe.data.provenance()),
        "hardware": hardware() | {"threads": waiting.num_threads()},
        "figures": FIGURES,
    }
    return cache_root() / "costs" / f"{digest(made_of)}.json"
