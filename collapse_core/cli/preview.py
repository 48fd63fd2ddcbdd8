"""`collapse preview`: what a recipe does, without training."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

import click

from collapse_core.contracts.interfaces import Model
from collapse_core.contracts.types import Completion, Group, Iteration, Prompt
from collapse_core.errors import counted, printable
from collapse_core.recipe.loading import load_recipe
from collapse_core.recipe.recipe import Recipe
from collapse_core.results.formatting import plain
from collapse_core.runtime import waiting
from collapse_core.session.estimate import time_costs

NUM_SAMPLES = 3
NUM_ROWS = 200
"""Of more rows than that, only the first are looked at for what is learned."""


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--set", "overrides", metavar="PATH=VALUE", multiple=True, help="Change a key of the recipe.")
@click.option(
    "--prompts",
    "num",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="How many forget prompts to show.",
)
@click.option("--estimate", is_flag=True, help="Also time small iterations, and estimate time and memory.")
def command(recipe: Path, overrides: tuple[str, ...], num: int, estimate: bool) -> None:
    """Show what the model is given and what it would learn, without training it.

    Loads the model. Shows the first forget prompts as the model reads them, the reference answer, three
    samples with their rewards, and a row to retain with what is learned of it.
    """
    loaded = load_recipe(recipe, overrides)
    forget, retain = loaded.load_forget(), loaded.load_retain()
    model = loaded.load_model()
    click.echo(f"{counted(len(forget), 'prompt')} to forget, {len(retain)} to retain")
    groups = sampled(loaded.checked(), model, forget[:num])
    for group in groups:
        _show(describe_group(model, group))
    if retain:
        _show(describe_example(model, retain[0]))
        _show(describe_labels(model, "retain row", [(p, p.target) for p in retain[:NUM_ROWS]]))
    _show(describe_labels(model, "sample", [(g.prompt, c.content) for g in groups for c in g.completions]))
    if estimate:
        del model  # the estimate loads one of its own
        click.echo(time_costs(loaded).describe(loaded, waiting.slowdown()))


def sampled(recipe: Recipe, model: Model, prompts: Sequence[Prompt]) -> list[Group]:
    """Samples of the prompts with their rewards, as the run's first iteration draws them."""
    first = Iteration(0, recipe.iterations, recipe.seed)
    answers = recipe.sampler.sample_references(model, prompts, first)
    references = {p.id: answer for p, answer in zip(prompts, answers, strict=True)}
    recipe.prepare_rewards(model, prompts, references)
    now = next(Iteration.remaining(0, max(recipe.iterations, 1), recipe.seed))
    groups = recipe.sampler.sample(model, prompts, NUM_SAMPLES, now)
    return [recipe.rubric.score(group, references[group.prompt.id]) for group in groups]


def describe_group(model: Model, group: Group) -> Iterator[str]:
    """A prompt as the model reads it, its reference answer, and samples with their rewards."""
    yield ""
    yield f"forget {group.prompt.id}, as the model reads it:"
    yield "".join(text for text, _ in model.pieces(group.prompt))
    yield f"reference: {_line(group.reference)}"
    for index, completion in enumerate(group.completions):
        by_reward = ", ".join(
            f"{name} {'abstains' if scores[index] is None else format(scores[index], '.3g')}"
            for name, scores in group.breakdown.items()
        )
        yield f"sample, reward {group.rewards[index]:.3g} ({by_reward}): {_line(completion)}"


def describe_example(model: Model, prompt: Prompt) -> Iterator[str]:
    """A training example, with its learned pieces one by one."""
    pieces = model.pieces(prompt, prompt.target)
    yield ""
    yield f"retain {prompt.id}, as the model is trained on it:"
    yield "".join(text for text, learned in pieces if not learned)
    yield f"learned: {' | '.join(text for text, learned in pieces if learned)}"


def describe_labels(model: Model, what: str, rows: Sequence[tuple[Prompt, object]]) -> Iterator[str]:
    """How much of each training example is learned."""
    if not rows:
        return
    counts = [[learned for _, learned in model.pieces(prompt, answer)] for prompt, answer in rows]
    learned = [sum(one) for one in counts]
    yield (
        f"labels of {counted(len(rows), what)}: {min(learned)} to {max(learned)} pieces are learned, "
        f"median {median(learned):g}, of {min(map(len, counts))} to {max(map(len, counts))}"
    )


def _line(completion: Completion | None) -> str:
    return " ".join(plain(completion.content).split()) if completion else ""


def _show(lines: Iterator[str]) -> None:
    for line in lines:
        click.echo(printable(line))
