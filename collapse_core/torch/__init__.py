"""What every plugin that trains with torch shares: checkpoints, optimizers, schedules, devices, processes."""

from collapse_core.torch.model import (
    MakeOptimizer,
    TorchModel,
    mean_nearest_distance,
    most_gpu_memory,
    pick_device,
    scheduled_rate,
    seeded,
    step,
    tensors_digest,
)
from collapse_core.torch.sharding import all_reduce, full_tensor, reduce_to_shards
from collapse_core.torch.taught import taught
from collapse_core.torch.training import (
    Losses,
    adamw,
    backward,
    backward_weighted,
    descend,
    falling_rate,
    mean_losses,
    push_away,
    shuffled_passes,
    train,
)

__all__ = [
    "Losses",
    "MakeOptimizer",
    "TorchModel",
    "adamw",
    "all_reduce",
    "backward",
    "backward_weighted",
    "descend",
    "falling_rate",
    "full_tensor",
    "mean_losses",
    "mean_nearest_distance",
    "most_gpu_memory",
    "pick_device",
    "push_away",
    "reduce_to_shards",
    "scheduled_rate",
    "seeded",
    "shuffled_passes",
    "step",
    "taught",
    "tensors_digest",
    "train",
]
