"""The gradient steps of an iteration, whatever the method's loss on the kept answers."""

from collections.abc import Sequence
from statistics import fmean

from collapse_core import Iteration, Kept, Model, Prompt, derive_seed, progress
from collapse_core.torch import adamw, all_reduce, scheduled_rate, seeded, step
from collapse_llm.model.language_model import LanguageModel
from collapse_llm.updater import GradientSteps
from collapse_llm.updater.batches import Batch, batches_of


def fine_tune(
    settings: GradientSteps,
    model: Model,
    kept: Sequence[Kept],
    retain: Sequence[Prompt],
    iteration: Iteration,
) -> dict[str, float]:
    """Train the model on an iteration's examples; returns the mean losses for the journal."""
    assert isinstance(model, LanguageModel)
    batches = batches_of(settings, model.encoder, kept, retain, iteration)
    optimizer = model.optimizer(adamw(settings.weight_decay))
    losses: list[tuple[float, float]] = []
    with seeded(derive_seed(iteration.seed, "dropout")):
        for number, batch in enumerate(progress.track(batches, "update")):
            kept_loss, retain_loss = all_reduce(optimizer, *accumulate(settings, model, batch))
            losses.append((kept_loss, retain_loss))
            rate = scheduled_rate(
                settings.learning_rate,
                settings.schedule,
                settings.warmup,
                iteration.number + (number + 0.5) / len(batches),
                iteration.total,
            )
            total = kept_loss + settings.retain_weight * retain_loss
            step(optimizer, total, rate, settings.max_grad_norm, iteration)
    if not losses:
        return {}
    return {
        settings.loss_name: fmean(k for k, _ in losses),
        "retain_loss": fmean(r for _, r in losses),
        "num_tokens": sum(batch.num_tokens for batch in batches),
    }


def accumulate(settings: GradientSteps, model: LanguageModel, batch: Batch) -> tuple[float, float]:
    """Add the gradients of a batch, by micro-batches of one forward pass each; returns its losses.

    Of several processes each takes its share of the rows, and has its share of the gradients and losses.
    """
    sums = [0.0, 0.0]
    for part in batch.parts(settings.micro_batch_size):
        reference = settings.ask_reference(model, part)
        with model.for_training() as module:
            of_kept, of_retain = settings.losses(module, part, batch, reference)
            loss = of_kept + settings.retain_weight * of_retain
            if loss.requires_grad:
                loss.backward()  # type: ignore[no-untyped-call]
        sums = [sums[0] + of_kept.item(), sums[1] + of_retain.item()]
    return sums[0], sums[1]
