"""What every plugin that trains with torch shares: checkpoints, optimizers, schedules, devices, processes."""

from collapse_core.torch.model import (
    MakeOptimizer,
    TorchModel,
    mean_nearest_distance,
    pick_device,
    scheduled_rate,
    seeded,
    step,
)
from collapse_core.torch.sharding import all_reduce, full_tensor, reduce_to_shards

__all__ = [
    "MakeOptimizer",
    "TorchModel",
    "all_reduce",
    "full_tensor",
    "mean_nearest_distance",
    "pick_device",
    "reduce_to_shards",
    "scheduled_rate",
    "seeded",
    "step",
]
