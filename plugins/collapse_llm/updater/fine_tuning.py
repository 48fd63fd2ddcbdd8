"""The gradient steps of an iteration, whatever the method's loss on the kept answers."""

from collections.abc import Sequence

from collapse_core import Iteration, Kept, Model, Prompt, derive_seed, progress, require
from collapse_core.torch import Losses, adamw, all_reduce, backward, mean_losses, seeded, train
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
    language = require(model, LanguageModel, settings.use)
    cut_before = language.encoder.num_cut
    batches = settings.before_steps(language, batches_of(settings, language.encoder, kept, retain, iteration))
    if num_cut := language.encoder.num_cut - cut_before:
        progress.announce(
            f"iteration {iteration.finished}: {num_cut} prompts were cut at their beginning, so that they "
            f"fit into max_length ({language.encoder.max_length}) with their answers"
        )
    optimizer = language.optimizer(adamw(settings.weight_decay))

    def reduced(number: int) -> Losses:
        kept_loss, retain_loss = all_reduce(optimizer, *accumulate(settings, language, batches[number]))
        if batches[number].retain:
            settings.after_batch(language, retain_loss, iteration)
        return kept_loss, retain_loss

    with seeded(derive_seed(iteration.seed, "dropout")):
        losses = train(settings, optimizer, len(batches), reduced, iteration)
    if not losses:
        return {}
    means = mean_losses(losses, settings.loss_name)
    return {**means, **language.numbers, "num_tokens": sum(batch.num_tokens for batch in batches)}


def accumulate(settings: GradientSteps, model: LanguageModel, batch: Batch) -> Losses:
    """Add the gradients of a batch, by micro-batches of one forward pass each; returns its losses.

    Of several processes each takes its share of the rows, and has its share of the gradients and losses.
    """
    sums = [0.0, 0.0]
    for part in batch.parts(settings.micro_batch_size):
        reference = settings.ask_reference(model, part)
        with model.for_training() as module:
            of_kept, of_retain = settings.losses(module, part, batch, reference)
            loss = of_kept + settings.weight_of_retain(model) * of_retain
            if loss.requires_grad:
                backward(loss)
        sums = [sums[0] + of_kept.item(), sums[1] + of_retain.item()]
    return sums[0], sums[1]
