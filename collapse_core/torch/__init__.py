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
from collapse_core.torch.sharding import add_up, hand_over, whole

__all__ = [
    "MakeOptimizer",
    "TorchModel",
    "add_up",
    "hand_over",
    "mean_nearest_distance",
    "pick_device",
    "scheduled_rate",
    "seeded",
    "step",
    "whole",
]
