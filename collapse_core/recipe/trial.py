"""Loading all data that a recipe reads, to find out what is wrong with it before anything is trained."""

from dataclasses import dataclass, field

from collapse_core.contracts.checks import at_work
from collapse_core.contracts.splits import load_splits
from collapse_core.recipe.recipe import Recipe


@dataclass(frozen=True)
class Trial:
    """How many prompts each split has, and which splits evaluators will have to do without."""

    forget: int
    retain: int
    measured: dict[str, int] = field(default_factory=dict)
    """By split that evaluators read, how many prompts it has."""
    absent: dict[str, str] = field(default_factory=dict)
    """By optional split that is not there, the reason."""


def load_everything(recipe: Recipe) -> Trial:
    """Load every split that the loop, the model, the baselines and the evaluators read.

    Raises:
        CollapseError: One that is needed is absent, or cannot be read.
    """
    trial = Trial(len(recipe.load_forget()), len(recipe.load_retain()))
    for loader in (recipe.model, *recipe.evaluate.baselines.values()):
        with at_work("dataset", recipe.data.use):
            for split in loader.splits_read(recipe.data):
                recipe.data.load(split)
    for evaluator in recipe.evaluate.with_:
        with at_work("dataset", recipe.data.use):
            splits = load_splits(evaluator, recipe.data)
        trial.measured.update({split: len(prompts) for split, prompts in splits.found.items()})
        trial.absent.update(splits.absent)
    return trial
