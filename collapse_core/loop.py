"""THE loop: sample, filter, update, iterate."""

from collections.abc import Sequence

from collapse_core.contracts.interfaces import Callback, Model
from collapse_core.contracts.seeds import derive_seed
from collapse_core.contracts.state import State
from collapse_core.contracts.types import Group, Iteration, Prompt, PromptSet
from collapse_core.evaluation.during import check_stop, measure
from collapse_core.recipe.recipe import Recipe
from collapse_core.rubric import RubricBound
from collapse_core.run.run import Run, working


@working
def collapse(recipe: Recipe, run: Run, callbacks: Sequence[Callback] = ()) -> Model:
    """Sample from the model, keep what forgets, train on it, repeat (arXiv 2507.04219, section 4).

    A resumed run ends as if it had never stopped; several processes keep the same completions as one. What
    the user can fix raises a CollapseError; what was recorded before stays.
    """
    run.observe(*recipe.track, *callbacks)
    run.enter("load")
    forget, retain = recipe.load_forget(), recipe.load_retain()
    model = recipe.load_model()
    state = run.restore(model, forget) or begin(recipe.checked(), run, model, forget, retain)
    retain = retain.answered(state.references)
    recipe.prepare_rewards(model, forget, state.references)
    recipe = recipe.guarded(state.watched)

    for iteration in Iteration.remaining(state.iteration, recipe.iterations, recipe.seed):
        if state.stops:
            break
        prompts = forget.batch(recipe.prompts_per_iteration, iteration.number, recipe.seed)
        groups = sample_unsettled(recipe, run, model, prompts, state, iteration)
        kept = recipe.filter.keep(groups, state.incumbents, iteration)
        retained = retain.draw(recipe.num_retain(prompts), derive_seed(iteration.seed, "retain"))
        run.enter("update")
        metrics = recipe.updater.update(model, kept, retained, iteration)
        state = check_stop(recipe, run, model, groups, state.advance(kept))
        run.record(iteration, groups, kept, metrics, state)
        if run.due(recipe.evaluate.every, state):
            measure(recipe, run, model, "during", state)
        if run.stops_after(state) or run.due(recipe.checkpoint.every, state):
            run.save(model, state)
        if run.stopped:
            return model

    measure(recipe, run, model, "after", state)
    run.finish(model)
    return model


def begin(recipe: Recipe, run: Run, model: Model, forget: PromptSet, retain: PromptSet) -> State:
    """The state before the first iteration, with an answer to all that is forgotten, or retained without."""
    run.enter("references")
    first = Iteration(0, recipe.iterations, recipe.seed)
    asked = [*forget, *retain.unanswered()]
    found = run.processes.spread(asked, lambda some: recipe.sampler.sample_references(model, some, first))
    state = State(references={p.id: answer for p, answer in zip(asked, found, strict=True)})
    measure(recipe, run, model, "before", state)
    run.save(model, state)
    return state


def sample_unsettled(
    recipe: Recipe, run: Run, model: Model, prompts: Sequence[Prompt], state: State, iteration: Iteration
) -> list[Group]:
    """A scored group for each prompt, empty where the incumbent cannot be improved."""
    run.enter("sample")
    unsettled = [p for p in prompts if not recipe.filter.settled(state.incumbents.get(p.id))]
    bound = RubricBound(recipe.rubric, recipe.filter, state)

    def sample_and_score(share: Sequence[Prompt]) -> list[Group]:
        groups = recipe.sampler.sample(model, share, recipe.completions_per_prompt, iteration, bound)
        return [recipe.rubric.score(group, state.references[group.prompt.id]) for group in groups]

    scored = {g.prompt.id: g for g in run.processes.spread(unsettled, sample_and_score)}
    return [scored.get(prompt.id, Group(prompt)) for prompt in prompts]
