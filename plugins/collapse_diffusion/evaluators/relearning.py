"""Teaching a copy of a model what the model has forgotten."""

import copy
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch

from collapse_core import Iteration, Model, Prompt, derive_seed
from collapse_core.torch import step
from collapse_diffusion.model.diffusion_model import DiffusionModel, deal, require_diffusion

if TYPE_CHECKING:
    from collapse_diffusion.evaluators import Relearning


def relearn(
    settings: "Relearning", model: Model, examples: Sequence[Prompt], seed: int
) -> Iterator[tuple[int, DiffusionModel]]:
    """Yield the number of steps taken and the copy, each time that it is to be measured."""
    learner = copy.deepcopy(require_diffusion(model, settings.use))
    optimizer = torch.optim.AdamW(learner.trainable().values(), lr=0.0, weight_decay=0.0, fused=True)
    total = max(settings.after)
    pairs = [(prompt.content, prompt.target) for prompt in examples]
    for number, batch in enumerate(deal(pairs, total, settings.batch_size, seed)):
        learner.module.train()
        loss = learner.losses(batch, torch.Generator().manual_seed(derive_seed(seed, "step", number))).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        step(optimizer, loss.item(), settings.learning_rate, 1.0, Iteration(number, total, seed))
        if number + 1 in settings.after:
            yield number + 1, learner
