"""The gradient steps of an iteration."""

import math
import random
from collections.abc import Sequence
from statistics import fmean

import torch

from collapse_core import Iteration, Kept, Model, Prompt, derive_seed, processes, progress
from collapse_core.torch import add_up, scheduled_rate, seeded, step
from collapse_llm.model.encoding import Example
from collapse_llm.model.language_model import LanguageModel
from collapse_llm.model.training import adamw, shuffled_batches, token_losses
from collapse_llm.updater import Sft

Batch = tuple[list[Example], list[Example]]
"""Examples to collapse onto, and examples to retain."""


def fine_tune(
    settings: Sft, model: Model, kept: Sequence[Kept], retain: Sequence[Prompt], iteration: Iteration
) -> dict[str, float]:
    """Train the model on an iteration's examples; returns the mean losses for the journal."""
    assert isinstance(model, LanguageModel)
    collapse = [model.encoder.example(one.prompt.content, one.completion.content) for one in kept]
    retained = [model.encoder.example(prompt.content, prompt.target) for prompt in retain]
    batches = [
        batch
        for epoch in range(settings.epochs)
        for batch in paired_batches(
            collapse, retained, settings.batch_size, derive_seed(iteration.seed, "update", epoch)
        )
    ]
    optimizer = adamw(model, settings.weight_decay)
    losses: list[tuple[float, float]] = []
    with seeded(derive_seed(iteration.seed, "dropout")):
        for number, batch in enumerate(progress.track(batches, "update")):
            collapse_loss, retain_loss = add_up(optimizer, *_accumulate(settings, model, batch))
            losses.append((collapse_loss, retain_loss))
            rate = scheduled_rate(
                settings.learning_rate,
                settings.schedule,
                settings.warmup,
                iteration.number + (number + 0.5) / len(batches),
                iteration.total,
            )
            total = collapse_loss + settings.retain_weight * retain_loss
            step(optimizer, total, rate, settings.max_grad_norm, iteration)
    if not losses:
        return {}
    return {"collapse_loss": fmean(c for c, _ in losses), "retain_loss": fmean(r for _, r in losses)}


def paired_batches(
    collapse: Sequence[Example], retain: Sequence[Example], size: int, seed: int
) -> list[Batch]:
    """Shuffled batches of kept examples, the retain examples spread over them evenly."""
    ahead = shuffled_batches(collapse, size, derive_seed(seed, "collapse"))
    num = len(ahead) or math.ceil(len(retain) / size)
    beside = random.Random(derive_seed(seed, "retain")).sample(list(retain), len(retain))
    return [(ahead[i] if ahead else [], beside[i::num]) for i in range(num)]


def _accumulate(settings: Sft, model: LanguageModel, batch: Batch) -> tuple[float, float]:
    """Add the gradients of a batch, by micro-batches of one forward pass each; returns its losses.

    Micro-batches hold rows of similar length, so that little is padded. Of several processes each takes its
    share of the rows, and has its share of the gradients and losses.
    """
    collapse, retain = (sorted(half, key=lambda example: len(example.ids)) for half in batch)
    longest = max(len(collapse), len(retain))
    num = math.ceil(longest / (settings.micro_batch_size or longest))
    sums = [0.0, 0.0]
    for i in range(num):
        mine = [processes.current().share(_slice(half, i, num)) for half in (collapse, retain)]
        with model.for_training() as module:
            losses = token_losses(module, [*mine[0], *mine[1]], model.device)
            ahead = _share_of_mean(losses[: len(mine[0])], collapse)
            beside = _share_of_mean(losses[len(mine[0]) :], retain)
            loss = ahead + settings.retain_weight * beside
            if losses:
                loss.backward()  # type: ignore[no-untyped-call]
        sums = [sums[0] + ahead.item(), sums[1] + beside.item()]
    return sums[0], sums[1]


def _slice(half: Sequence[Example], i: int, num: int) -> Sequence[Example]:
    """The i-th of `num` parts of nearly equal size."""
    return half[i * len(half) // num : (i + 1) * len(half) // num]


def _share_of_mean(losses: Sequence[torch.Tensor], examples: Sequence[Example]) -> torch.Tensor:
    """What these tokens add to the mean over all tokens of the examples; zero where there are none."""
    if not losses:
        return torch.zeros(())
    return torch.cat(list(losses)).sum() / sum(example.num_labels for example in examples)
