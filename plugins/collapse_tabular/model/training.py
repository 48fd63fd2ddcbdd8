"""Teaching: the denoising loss on rows and their prompts."""

from collections.abc import Sequence

import torch

from collapse_core import Iteration, Prompt, progress
from collapse_core.torch import scheduled_rate, seeded, step
from collapse_tabular.model import TeachRows
from collapse_tabular.model.diffusion import losses
from collapse_tabular.model.row_model import RowModel


def teach(model: RowModel, examples: Sequence[Prompt], settings: TeachRows, seed: int) -> None:
    """Train the model on real rows, drawn with replacement."""
    rows = model.codec.encode([example.target for example in examples]).to(model.device)
    prompts = model.codec.prompts([example.content for example in examples]).to(model.device)
    optimizer = adam(model)
    with seeded(seed):
        for number in progress.track(range(settings.steps), "teach"):
            chosen = torch.randint(len(rows), (settings.batch_size,), device=model.device)
            loss = denoising_loss(model, rows[chosen], prompts[chosen], model.condition_dropout)
            loss.backward()  # type: ignore[no-untyped-call]
            rate = scheduled_rate(
                settings.learning_rate, "linear", settings.steps / 20, number + 0.5, settings.steps
            )
            step(optimizer, loss.item(), rate, 1.0, Iteration(number, settings.steps, seed))


def denoising_loss(
    model: RowModel, rows: torch.Tensor, prompts: torch.Tensor, condition_dropout: float
) -> torch.Tensor:
    """The mean loss at random noise levels; each column of a prompt is left out with some probability."""
    levels = torch.rand(len(rows), device=rows.device)
    said = torch.rand(prompts.shape, device=rows.device) >= condition_dropout
    return losses(model.module, model.codec, rows, prompts * said, levels, torch.randn_like(rows)).mean()


def adam(model: RowModel) -> torch.optim.Optimizer:
    """The run's Adam."""
    return model.optimizer(lambda parameters: torch.optim.Adam(parameters, lr=0.0, fused=True))
