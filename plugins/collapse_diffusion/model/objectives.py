"""The training objectives of a denoising network: what it predicts, and from what."""

import inspect
from dataclasses import dataclass
from typing import Any, Protocol, cast

import diffusers
import torch

from collapse_core import CollapseError


@dataclass(frozen=True)
class Task:
    """Noisy images, the times they are at, and what is to be predicted from them."""

    noisy: torch.Tensor
    times: torch.Tensor
    target: torch.Tensor

    def losses(self, prediction: torch.Tensor) -> torch.Tensor:
        """Return the mean square error of each prediction, of shape (images,)."""
        return (prediction.float() - self.target.float()).square().flatten(1).mean(1)


class Objective(Protocol):
    """How images become tasks."""

    def task(self, clean: torch.Tensor, generator: torch.Generator) -> Task:
        """Add noise of a random time to each image of a tensor (images, channels, height, width)."""


class NoisePrediction:
    """Diffusion: sqrt(a) clean + sqrt(1 - a) noise at uniform times (Ho et al., arXiv 2006.11239, eq. 14).

    The target is what the schedule says: "epsilon", the noise; "v_prediction", sqrt(a) noise - sqrt(1 - a)
    clean (Salimans and Ho, arXiv 2202.00512); or "sample", the clean image.
    """

    def __init__(self, scheduler: Any) -> None:
        """Take the DDPMScheduler of the noise schedule."""
        self.scheduler = scheduler

    def task(self, clean: torch.Tensor, generator: torch.Generator) -> Task:
        """Draw a time, then noise, for each image."""
        num_times = self.scheduler.config.num_train_timesteps
        times = torch.randint(num_times, (len(clean),), generator=generator).to(clean.device)
        noise = torch.randn(clean.shape, generator=generator).to(clean)
        return Task(self.scheduler.add_noise(clean, noise, times), times, self._target(clean, noise, times))

    def _target(self, clean: torch.Tensor, noise: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        kind = self.scheduler.config.prediction_type
        if kind == "v_prediction":
            return cast(torch.Tensor, self.scheduler.get_velocity(clean, noise, times))
        return clean if kind == "sample" else noise


class FlowMatching:
    """Rectified flow: (1 - s) clean + s noise, predicting noise - clean (Esser et al., arXiv 2403.03206).

    s is the logistic function of a standard normal number (section 3.1 there); the time is s times the
    number of training steps.
    """

    def __init__(self, num_times: int) -> None:
        """Take the number of steps that stands for pure noise."""
        self.num_times = num_times

    def task(self, clean: torch.Tensor, generator: torch.Generator) -> Task:
        """Draw a time, then noise, for each image."""
        shares = torch.randn(len(clean), generator=generator).sigmoid().to(clean)
        noise = torch.randn(clean.shape, generator=generator).to(clean)
        mixed = torch.lerp(clean, noise, shares[:, None, None, None])
        return Task(mixed, shares * self.num_times, noise - clean)


PREDICTIONS = ("epsilon", "sample", "v_prediction")
"""What a network predicts under a schedule of noise."""


def objective_of(scheduler: Any) -> Objective:
    """Return the objective that a model was trained on, by the scheduler that it comes with.

    Raises:
        CollapseError: It was trained on another than noise prediction or flow matching.
    """
    config, name = scheduler.config, type(scheduler).__name__
    predicted = config.get("prediction_type", "epsilon")
    if hasattr(scheduler, "scale_noise") or config.get("use_flow_sigmas") or predicted == "flow_prediction":
        return FlowMatching(config.num_train_timesteps)
    if "beta_schedule" not in config or predicted not in PREDICTIONS:
        raise CollapseError(
            f"the model comes with the scheduler {name} (prediction type '{predicted}'), whose objective is "
            "neither noise prediction on a schedule of betas nor flow matching; give a model of one of these"
        )
    return NoisePrediction(make_scheduler("DDPMScheduler", config))


def make_scheduler(name: str, config: Any) -> Any:
    """Make a scheduler of diffusers by its class name, with the noise schedule that the model was taught on.

    Raises:
        CollapseError: There is no scheduler of this name.
    """
    found: Any = getattr(diffusers, name, None)
    if not (inspect.isclass(found) and hasattr(found, "set_timesteps")):
        raise CollapseError(
            f"diffusers has no scheduler called '{name}'; "
            "write a class name such as 'scheduler: DDIMScheduler'"
        )
    return cast(Any, found).from_config(config)
