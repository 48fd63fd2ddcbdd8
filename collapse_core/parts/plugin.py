"""The core's own parts, contributed by the same hook as a stranger's."""

from collections.abc import Iterable

from collapse_core.plugins.hookspecs import Entry, hookimpl


@hookimpl
def collapse_components() -> Iterable[Entry]:
    """The filters, rewards, features and trackers that need to know no domain."""
    yield Entry("filter", "best-of-n", "collapse_core.parts.filters:BestOfN")
    yield Entry("filter", "passing-first", "collapse_core.parts.filters:PassingFirst")
    yield Entry("filter", "bradley-terry", "collapse_core.parts.filters:BradleyTerry")
    yield Entry("filter", "group-advantages", "collapse_core.parts.filters:GroupAdvantages")
    yield Entry("filter", "best-and-worst", "collapse_core.parts.filters:BestAndWorst")
    yield Entry("filter", "top-fraction", "collapse_core.parts.filters:TopFraction")
    yield Entry("filter", "above", "collapse_core.parts.filters:Above")
    yield Entry("reward", "contrastive-distance", "collapse_core.parts.rewards:ContrastiveDistance")
    yield Entry("reward", "same-noise-distance", "collapse_core.parts.rewards:SameNoiseDistance")
    yield Entry("reward", "callable", "collapse_core.parts.callable:Function")
    yield Entry("features", "flattened", "collapse_core.parts.features:Flattened")
    yield Entry("tracker", "tensorboard", "collapse_core.parts.trackers:TensorBoard")
    yield Entry("tracker", "wandb", "collapse_core.parts.trackers:WandB")
    yield Entry("tracker", "mlflow", "collapse_core.parts.trackers:MlFlow")
    yield Entry("tracker", "trackio", "collapse_core.parts.trackers:Trackio")
    yield Entry("tracker", "swanlab", "collapse_core.parts.trackers:SwanLab")
    yield Entry("tracker", "comet_ml", "collapse_core.parts.trackers:CometMl")
