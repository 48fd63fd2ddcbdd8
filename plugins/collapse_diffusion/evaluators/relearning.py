"""Relearning: a copy of a model is taught what the model has forgotten."""

import copy
from collections.abc import Iterator, Sequence

import torch

from collapse_core import Model, Prompt, derive_seed, require
from collapse_core.torch import adamw, backward, descend, shuffled_passes
from collapse_diffusion.evaluators import Relearning
from collapse_diffusion.model.diffusion_model import DiffusionModel


def relearn(
    settings: Relearning, model: Model, examples: Sequence[Prompt], seed: int
) -> Iterator[tuple[int, DiffusionModel]]:
    """Yield the number of steps taken and the copy, each time that it is to be measured."""
    learner = copy.deepcopy(require(model, DiffusionModel, settings.use))
    pairs = [(prompt.content, prompt.target) for prompt in examples]
    batches = shuffled_passes(pairs, settings.batch_size, seed, "pass")

    def accumulate(number: int) -> float:
        learner.module.train()
        source = torch.Generator().manual_seed(derive_seed(seed, "step", number))
        return backward(learner.losses(next(batches), source).mean())

    optimizer = adamw()(learner.trainable().values())
    for number in descend(optimizer, max(settings.after), accumulate, lambda _: settings.learning_rate):
        if number in settings.after:
            yield number, learner
