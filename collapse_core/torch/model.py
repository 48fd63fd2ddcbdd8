"""A module with its optimizer, and the steps that train it."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Literal

import torch
from safetensors.torch import load_file, save_file

from collapse_core.contracts.interfaces import Model
from collapse_core.contracts.types import Iteration
from collapse_core.errors import CollapseError
from collapse_core.runtime import processes
from collapse_core.runtime.digests import digest
from collapse_core.torch.sharding import as_part_of, asks_for_shards, full_tensor, shard_

MakeOptimizer = Callable[[Iterable[torch.nn.Parameter]], torch.optim.Optimizer]


class TorchModel(Model):
    """A module with its optimizer, saved and restored as safetensors, bit for bit.

    Each of several processes holds the whole module, unless the launcher asks for FSDP and the model declares
    `can_shard`: then each holds its part of every parameter and moment from the first step on. What is saved
    is whole in any case.
    """

    can_shard: ClassVar[bool] = False
    """Whether `replicate` is defined, so that the module's own forward pass is not needed."""

    def __init__(self, module: torch.nn.Module) -> None:
        """Take the module; its trainable parameters are what changes in a run."""
        self.module = module
        self._optimizer: torch.optim.Optimizer | None = None
        self._saved_moments: dict[str, torch.Tensor] = {}
        self.sharded = False
        """Whether this process holds only its part of the parameters."""

    @abstractmethod
    def export(self, directory: Path) -> None:
        """Write the model in its domain's native format, loadable without collapse."""

    def fingerprint(self) -> str | None:
        """Return a digest of the sum and the norm of each tensor; None where one is not finite."""
        return tensors_digest(self.module)

    def not_finite(self) -> str | None:
        """Return the name of the first parameter that holds NaN or infinity."""
        named = self.module.named_parameters()
        return next((name for name, tensor in named if not torch.isfinite(tensor).all()), None)

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.module.parameters()).device

    def trainable(self) -> dict[str, torch.nn.Parameter]:
        """Return the parameters that are trained, by name."""
        return {name: p for name, p in self.module.named_parameters() if p.requires_grad}

    def optimizer(self, make: MakeOptimizer) -> torch.optim.Optimizer:
        """Return the run's one optimizer, made at its first use and kept from iteration to iteration."""
        if self._optimizer is None:
            self._shard_if_asked()
            self._optimizer = make(self.trainable().values())
            self._load_moments(self._optimizer)
            if self.sharded:
                self._optimizer.register_step_post_hook(lambda *_: self.replicate())
        return self._optimizer

    def replicate(self) -> None:
        """Bring a working copy up to date with the sharded module; all processes call it at once."""
        raise NotImplementedError

    def _shard_if_asked(self) -> None:
        if self.sharded or not asks_for_shards():
            return
        if not self.can_shard:
            raise CollapseError(
                f"{type(self).__name__} cannot be sharded by FSDP; launch plain processes (distributed_type: "
                "MULTI_GPU in accelerate's config file)"
            )
        self.replicate()
        shard_(self.module, self.device)
        self.sharded = True

    def save(self, directory: Path) -> None:
        """Write weights.safetensors (what is trained, and buffers) and moments.safetensors."""
        saved = {"weights": self._changing(), "moments": self._moments()}
        for name, tensors in saved.items():
            collected = {key: full_tensor(tensor) for key, tensor in tensors.items()}
            if processes.current().is_main:
                save_file(collected, directory / f"{name}.safetensors")

    def restore(self, directory: Path) -> None:
        """Read what `save` wrote; the optimizer's moments are taken up when it is next used."""
        self._become(load_file(directory / "weights.safetensors"))
        self._optimizer = None
        self._saved_moments = load_file(directory / "moments.safetensors")
        if self.sharded:
            self.replicate()

    def _become(self, weights: Mapping[str, torch.Tensor]) -> None:
        for name, tensor in self._changing().items():
            tensor.copy_(as_part_of(weights[name], tensor))

    def _changing(self) -> dict[str, torch.Tensor]:
        persistent = self.module.state_dict(keep_vars=True)
        buffers = {name: b for name, b in self.module.named_buffers() if name in persistent}
        return {name: tensor.detach() for name, tensor in (self.trainable() | buffers).items()}

    def _moments(self) -> dict[str, torch.Tensor]:
        if self._optimizer is None:
            return self._saved_moments
        return {
            f"{name}:{key}": value.detach().contiguous()
            for name, parameter in self.trainable().items()
            for key, value in self._optimizer.state.get(parameter, {}).items()
        }

    def _load_moments(self, optimizer: torch.optim.Optimizer) -> None:
        parameters = self.trainable()
        for name, tensor in self._saved_moments.items():
            parameter, _, key = name.rpartition(":")
            like = parameters[parameter]
            optimizer.state[like][key] = tensor if key == "step" else as_part_of(tensor, like)
        self._saved_moments = {}


def tensors_digest(module: torch.nn.Module) -> str | None:
    """Return a digest of the sum and the norm of each parameter and buffer; None where one is not finite."""
    with torch.no_grad():
        tensors = (tensor.float() for tensor in (*module.parameters(), *module.buffers()))
        sums = torch.stack([part for tensor in tensors for part in (tensor.sum(), tensor.norm())])
    return digest(sums.tolist()) if torch.isfinite(sums).all() else None


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Run a block with torch's global randomness seeded, and put back what was before."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def scheduled_rate(
    learning_rate: float, schedule: Literal["linear", "constant"], warmup: float, progress: float, total: int
) -> float:
    """Return the learning rate at a moment of the run; a pure function, so that a resumed run needs no state.

    Args:
        learning_rate: The peak.
        schedule: Whether it falls linearly to zero at the end of the run.
        warmup: Over how many iterations it rises from zero.
        progress: Iterations done, with the fraction of the current one. Take the middle of a step: at its
            beginning the first rate, at its end the last would be zero, and the step lost.
        total: Iterations in all.
    """
    if progress < warmup:
        return learning_rate * progress / warmup
    if schedule == "constant":
        return learning_rate
    return learning_rate * max(0.0, (total - progress) / max(total - warmup, 1e-9))


class DivergedError(CollapseError):
    """A loss or a gradient is not finite."""


def step(
    optimizer: torch.optim.Optimizer,
    loss: float,
    learning_rate: float,
    max_grad_norm: float | None,
    iteration: Iteration,
) -> None:
    """One optimizer step on gradients that are there already, and reduced over processes.

    Raises:
        DivergedError: The loss is not finite; the weights are left as they were.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    norm = full_tensor(torch.nn.utils.clip_grad_norm_(parameters, max_grad_norm or float("inf")))
    if not torch.isfinite(norm) or loss != loss:
        raise DivergedError(
            f"the loss became {float(loss)} in iteration {iteration.number}; nothing was saved from it. "
            "Lower the updater's learning_rate and resume from the last checkpoint"
        )
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def mean_nearest_distance(
    points: Sequence[Sequence[float]], cloud: Sequence[Sequence[float]], neighbors: int
) -> list[float]:
    """Return each point's mean Euclidean distance to its nearest neighbors in a cloud, in double precision.

    Args:
        points: Rows of numbers, or an array of shape (points, dimensions).
        cloud: Likewise, at least one.
        neighbors: How many of the nearest; all where there are fewer.
    """
    some, others = (torch.as_tensor(rows, dtype=torch.float64) for rows in (points, cloud))
    apart = torch.cdist(some, others, compute_mode="donot_use_mm_for_euclid_dist")
    nearest = apart.topk(min(neighbors, len(others)), largest=False).values
    return [float(distance) for distance in nearest.mean(dim=1)]


def most_gpu_memory() -> int:
    """Return the most bytes of GPU memory that this process has used; 0 where it uses none."""
    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0


def pick_device(name: str = "auto") -> torch.device:
    """Return the device that a recipe asks for; "auto" is what accelerate finds for this process."""
    if name != "auto":
        return torch.device(name)
    from accelerate import PartialState

    if processes.num_launched() > 1:
        from collapse_core.torch.processes import join

        join()  # else PartialState would join them in its own way
    return torch.device(PartialState().device)
