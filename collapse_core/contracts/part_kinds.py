"""The kinds of part, and the interface of each."""

from typing import Literal

from collapse_core.contracts.component import Component
from collapse_core.contracts.interfaces import (
    Dataset,
    Evaluator,
    Features,
    Filter,
    ModelLoader,
    Reward,
    Sampler,
    Tracker,
    Updater,
)

Kind = Literal[
    "dataset", "model", "sampler", "reward", "features", "filter", "updater", "evaluator", "tracker"
]
"""The kinds of part that a plugin can contribute."""

INTERFACES: dict[Kind, type[Component]] = {
    "dataset": Dataset,
    "model": ModelLoader,
    "sampler": Sampler,
    "reward": Reward,
    "features": Features,
    "filter": Filter,
    "updater": Updater,
    "evaluator": Evaluator,
    "tracker": Tracker,
}
