"""THE loop: sample, filter, update, iterate."""

from collections.abc import Sequence

from collapse_core.contracts.checks import (
    at_work,
    checked_groups,
    checked_kept,
    checked_metrics,
    checked_references,
)
from collapse_core.contracts.interfaces import Callback, Model
from collapse_core.contracts.seeds import derive_seed
from collapse_core.contracts.state import State
from collapse_core.contracts.types import Completion, Group, Iteration, Prompt, PromptSet
from collapse_core.evaluation.during import measure
from collapse_core.recipe.recipe import Recipe
from collapse_core.rubric import RubricBound
from collapse_core.run.run import Run, working
from collapse_core.runtime import progress


@working
def collapse(recipe: Recipe, run: Run, callbacks: Sequence[Callback] = ()) -> Model:
    """Sample from the model, keep what forgets, train on it, repeat (arXiv 2507.04219, section 4).

    A resumed run ends as if it had never stopped; several processes keep the same completions as one.

    Raises:
        CollapseError: Something that the user can fix; what was recorded before stays.
    """
    run.observe(*recipe.track, *callbacks)
    run.enter("load")
    forget = recipe.load_forget()
    with at_work("dataset", recipe.data.use):
        retain = recipe.data.load("retain")
    model = recipe.load_model()
    state = run.restore(model, forget) or begin(recipe, run, model, forget)
    recipe.prepare_rewards(model, forget, state.references)
    recipe = recipe.guarded(state.watched)

    for iteration in Iteration.remaining(state.iteration, recipe.iterations, recipe.seed):
        prompts = forget.batch(recipe.prompts_per_iteration, iteration.number, recipe.seed)
        groups = sample_unsettled(recipe, run, model, prompts, state, iteration)
        with at_work("filter", recipe.filter.use):
            kept = checked_kept(
                recipe.filter.use, groups, recipe.filter.keep(groups, state.incumbents, iteration)
            )
        retained = retain.draw(recipe.num_retain(prompts), derive_seed(iteration.seed, "retain"))
        run.enter("update")
        with at_work("updater", recipe.updater.use):
            metrics = checked_metrics(
                recipe.updater.use, recipe.updater.update(model, kept, retained, iteration)
            )
        state = state.advance(kept)
        run.record(iteration, groups, kept, metrics, state)
        if run.due(recipe.evaluate.every, state):
            measure(recipe, run, model, "during", state.iteration)
        if run.stops_after(state) or run.due(recipe.checkpoint.every, state):
            run.save(model, state)
        if run.stopped:
            return model

    measure(recipe, run, model, "after", state.iteration)
    run.finish(model)
    return model


def begin(recipe: Recipe, run: Run, model: Model, forget: PromptSet) -> State:
    """The state before the first iteration, with the reference answers, which are sampled once."""
    run.enter("references")
    first = Iteration(0, recipe.iterations, recipe.seed)
    name = recipe.sampler.use

    def sample_references(share: Sequence[Prompt]) -> list[Completion]:
        with at_work("sampler", name):
            return checked_references(name, share, recipe.sampler.sample_references(model, share, first))

    found = run.processes.spread(forget, sample_references)
    state = State(references={p.id: answer for p, answer in zip(forget, found, strict=True)})
    measure(recipe, run, model, "before", 0)
    run.save(model, state)
    return state


def sample_unsettled(
    recipe: Recipe, run: Run, model: Model, prompts: Sequence[Prompt], state: State, iteration: Iteration
) -> list[Group]:
    """A scored group for each prompt, empty where the incumbent cannot be improved."""
    run.enter("sample")
    with at_work("filter", recipe.filter.use):
        unsettled = [p for p in prompts if not recipe.filter.settled(state.incumbents.get(p.id))]
    bound = RubricBound(recipe.rubric, recipe.filter, state)

    def sample_and_score(share: Sequence[Prompt]) -> list[Group]:
        num, name = recipe.completions_per_prompt, recipe.sampler.use
        with at_work("sampler", name):
            groups = recipe.sampler.sample(model, share, num, iteration, bound)
            groups = checked_groups(
                name, share, num, groups, lambda prompt: bound.min_reward_to_keep(prompt) is not None
            )
        return [recipe.rubric.score(group, state.references[group.prompt.id]) for group in groups]

    scored = {g.prompt.id: g for g in run.processes.spread(unsettled, sample_and_score)}
    if recipe.rewards and scored and not any(map(_has_score, scored.values())):
        progress.announce(
            f"iteration {iteration.finished}: every reward abstained from every completion, so all "
            "count the same"
        )
    return [scored.get(prompt.id, Group(prompt)) for prompt in prompts]


def _has_score(group: Group) -> bool:
    return any(score is not None for scores in group.breakdown.values() for score in scores)
