"""Make generative models forget by training them on their own answers: the loop and its contracts."""

from collapse_core import errors
from collapse_core.contracts.callbacks import Callback
from collapse_core.contracts.checks import check_finite
from collapse_core.contracts.component import Component, HasSplits, Settings
from collapse_core.contracts.conditions import Condition, Conditions, Row, all_hold, values_there
from collapse_core.contracts.exports import ExportedModel
from collapse_core.contracts.interfaces import (
    Bound,
    Dataset,
    Evaluator,
    Features,
    Filter,
    Model,
    ModelLoader,
    Reward,
    Sampler,
    Tracker,
    Updater,
)
from collapse_core.contracts.kinds import require
from collapse_core.contracts.pictures import Cells, Picture, Pixels, Place, Sketch
from collapse_core.contracts.seeds import derive_seed
from collapse_core.contracts.splits import (
    NothingToCompareError,
    Splits,
    load_answered,
    load_splits,
    note,
    standing_in,
)
from collapse_core.contracts.state import State
from collapse_core.contracts.statistics import PERCENT, SHARE, area_metric, difference_metric, mean_metric
from collapse_core.contracts.training import PushingUpdater, TrainingSettings
from collapse_core.contracts.types import (
    Completion,
    Content,
    Evaluation,
    Group,
    Iteration,
    Kept,
    Metric,
    Prompt,
    PromptSet,
)
from collapse_core.errors import CollapseError, PluginError, RecipeError
from collapse_core.loop import collapse
from collapse_core.plugins import drafting
from collapse_core.plugins.hookspecs import Draft, Entry, hookimpl
from collapse_core.plugins.registry import Registry, part
from collapse_core.recipe.building import build_recipe
from collapse_core.recipe.loading import load_recipe
from collapse_core.recipe.recipe import Recipe
from collapse_core.results.results import Results, load_results
from collapse_core.rubric import Rubric
from collapse_core.run import environment
from collapse_core.run.directory import create_run, open_run
from collapse_core.run.run import Run
from collapse_core.runtime import files, processes, progress
from collapse_core.runtime.cache import cached
from collapse_core.runtime.decisions import Decision, decided
from collapse_core.runtime.digests import digest, file_digest, source_digest
from collapse_core.session.running import Outcome, resume, run

__all__ = [
    "PERCENT",
    "SHARE",
    "Bound",
    "Callback",
    "Cells",
    "CollapseError",
    "Completion",
    "Component",
    "Condition",
    "Conditions",
    "Content",
    "Dataset",
    "Decision",
    "Draft",
    "Entry",
    "Evaluation",
    "Evaluator",
    "ExportedModel",
    "Features",
    "Filter",
    "Group",
    "HasSplits",
    "Iteration",
    "Kept",
    "Metric",
    "Model",
    "ModelLoader",
    "NothingToCompareError",
    "Outcome",
    "Picture",
    "Pixels",
    "Place",
    "PluginError",
    "Prompt",
    "PromptSet",
    "PushingUpdater",
    "Recipe",
    "RecipeError",
    "Registry",
    "Results",
    "Reward",
    "Row",
    "Rubric",
    "Run",
    "Sampler",
    "Settings",
    "Sketch",
    "Splits",
    "State",
    "Tracker",
    "TrainingSettings",
    "Updater",
    "all_hold",
    "area_metric",
    "build_recipe",
    "cached",
    "check_finite",
    "collapse",
    "create_run",
    "decided",
    "derive_seed",
    "difference_metric",
    "digest",
    "drafting",
    "environment",
    "errors",
    "file_digest",
    "files",
    "hookimpl",
    "load_answered",
    "load_recipe",
    "load_results",
    "load_splits",
    "mean_metric",
    "note",
    "open_run",
    "part",
    "processes",
    "progress",
    "require",
    "resume",
    "run",
    "source_digest",
    "standing_in",
    "values_there",
]
