"""Teaching: the denoising loss on rows and their prompts."""

from collections.abc import Sequence

import torch

from collapse_core import Prompt
from collapse_core.torch import adamw, backward, descend, falling_rate, seeded
from collapse_tabular.model import TeachRows
from collapse_tabular.model.diffusion import losses
from collapse_tabular.model.row_model import RowModel


def teach(model: RowModel, examples: Sequence[Prompt], settings: TeachRows, seed: int) -> None:
    """Train the model on real rows, drawn with replacement."""
    rows = model.codec.encode([example.target for example in examples]).to(model.device)
    prompts = model.codec.prompts([example.content for example in examples]).to(model.device)
    optimizer, num_steps = model.optimizer(adamw()), settings.steps

    def accumulate(_: int) -> float:
        chosen = torch.randint(len(rows), (settings.batch_size,), device=model.device)
        return backward(denoising_loss(model, rows[chosen], prompts[chosen], model.condition_dropout))

    rate = falling_rate(settings.learning_rate, num_steps / 20, num_steps)
    with seeded(seed):
        for _ in descend(optimizer, num_steps, accumulate, rate):
            pass


def denoising_loss(
    model: RowModel, rows: torch.Tensor, prompts: torch.Tensor, condition_dropout: float
) -> torch.Tensor:
    """Return the mean loss at random noise levels; columns of a prompt are left out at random."""
    levels = torch.rand(len(rows), device=rows.device)
    said = torch.rand(prompts.shape, device=rows.device) >= condition_dropout
    return losses(model.module, model.codec, rows, prompts * said, levels, torch.randn_like(rows)).mean()
