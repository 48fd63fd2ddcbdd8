"""Supervised fine-tuning on answers: batches without waste, loss on answer tokens only."""

import random
from collections.abc import Sequence
from typing import Any

import torch

from collapse_core import Model, Prompt, derive_seed, progress, require
from collapse_core.torch import adamw, backward, descend, scheduled_rate, seeded
from collapse_llm.model import Teach
from collapse_llm.model.encoding import Example
from collapse_llm.model.finite import not_finite
from collapse_llm.model.language_model import LanguageModel
from collapse_llm.model.marks import reads_unpadded
from collapse_llm.model.vocabulary import losses_of_states, without_head


def token_losses(module: Any, examples: Sequence[Example], device: torch.device) -> list[torch.Tensor]:
    """Return the cross-entropy of each answer token, teacher-forced.

    Returns:
        A float32 tensor of shape (num_labels,) for each example.
    """
    if not examples:
        return []
    with without_head(module) as head:
        states = torch.cat(answer_states(module, examples, device))
    found = losses_of_states(head, states, labels_of(examples, device), vocabulary_size(module))
    return list(torch.split(found, [example.num_labels for example in examples]))


def token_logits(module: Any, examples: Sequence[Example], device: torch.device) -> list[torch.Tensor]:
    """Return the logits that predict each answer token, teacher-forced.

    Returns:
        A float32 tensor of shape (num_labels, vocabulary) for each example.
    """
    with without_head(module) as head:
        states = answer_states(module, examples, device)
    return [head(some).float() for some in states]


def answer_states(module: Any, examples: Sequence[Example], device: torch.device) -> list[torch.Tensor]:
    """Return what the module gives at the positions that predict each answer token.

    Rows of similar length go through the model together, so that little is padded. They are padded on the
    left, so that all answers end in the last column: the columns of the longest answer alone are kept, on any
    architecture. Where padding changes what the model computes, none is padded.

    Returns:
        A tensor of shape (num_labels, width) for each example; the width is the vocabulary's size, unless the
        module is `without_head`.
    """
    exact = reads_unpadded(module)
    multiple = 1 if exact else MULTIPLE
    lengths = [_rounded(len(example.ids), multiple) for example in examples]
    found: dict[int, torch.Tensor] = {}
    for places in length_groups(lengths, 0 if exact else PASS_COST.get(device.type, 4096)):
        states = padded_states(module, [examples[place] for place in places], device, multiple)
        found |= zip(places, states, strict=True)
    return [found[place] for place in range(len(examples))]


MULTIPLE = 8
"""What lengths are rounded to: matrix kernels are prepared anew for each new shape."""
PASS_COST = {"cpu": 64}
"""How many positions one more forward and backward pass costs; on a GPU, more than a batch has to pad."""


def length_groups(lengths: Sequence[int], pass_cost: int) -> list[list[int]]:
    """Return the places of rows, grouped so that padded positions and passes cost least.

    A group of k rows costs k times its longest length, and `pass_cost`. The groups are runs of the sorted
    lengths, of which dynamic programming finds the best; at no cost per pass, each length is a group.
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    best: list[tuple[int, list[list[int]]]] = [(0, [])]
    for end in range(1, len(order) + 1):
        longest = lengths[order[end - 1]]
        best.append(
            min(
                (
                    (
                        best[start][0] + (end - start) * longest + pass_cost,
                        [*best[start][1], order[start:end]],
                    )
                    for start in range(end)
                ),
                key=lambda found: (found[0], len(found[1])),
            )
        )
    return best[-1][1]


def padded_states(
    module: Any, examples: Sequence[Example], device: torch.device, multiple: int
) -> list[torch.Tensor]:
    """Return `answer_states` of rows that are padded together, to a multiple of so many tokens."""
    length = _rounded(max(len(example.ids) for example in examples), multiple)
    num_columns = min(length, _rounded(max(example.num_labels for example in examples) + 1, multiple))
    ids = torch.tensor([[0] * (length - len(e.ids)) + e.ids for e in examples], device=device)
    mask = torch.tensor([[0] * (length - len(e.ids)) + [1] * len(e.ids) for e in examples], device=device)
    states = module(
        input_ids=ids,
        attention_mask=mask,
        position_ids=(mask.cumsum(-1) - 1).clamp(min=0),
        logits_to_keep=num_columns,
        use_cache=False,
    ).logits
    return [row[-1 - e.num_labels : -1] for row, e in zip(states, examples, strict=True)]


def labels_of(examples: Sequence[Example], device: torch.device) -> torch.Tensor:
    """Return the token ids of all answers, of shape (labels,)."""
    ids = [token for example in examples for token in example.ids[example.answer_start :]]
    return torch.tensor(ids, device=device)


def vocabulary_size(module: Any) -> int:
    """Return how many tokens the module predicts."""
    return int(module.config.get_text_config().vocab_size)


def _rounded(length: int, multiple: int) -> int:
    """Return the next multiple."""
    return -(-length // multiple) * multiple


def answer_losses(model: Model, prompts: Sequence[Prompt], batch_size: int) -> list[list[float]]:
    """Return the cross-entropy of each token of each true answer, its end included; nothing is trained."""
    language = require(model, LanguageModel, "answer losses")
    examples = [language.encoder.example(prompt.content, prompt.target) for prompt in prompts]
    by_length = sorted(range(len(examples)), key=lambda i: len(examples[i].ids))
    losses: dict[int, list[float]] = {}
    with language.for_inference() as module:
        for start in progress.track(range(0, len(by_length), batch_size), "likelihoods"):
            batch = by_length[start : start + batch_size]
            found = token_losses(module, [examples[i] for i in batch], language.device)
            if not torch.isfinite(torch.cat(found)).all():
                raise not_finite(module)
            losses.update({i: tokens.tolist() for i, tokens in zip(batch, found, strict=True)})
    return [losses[i] for i in range(len(examples))]


def teach(model: LanguageModel, examples: Sequence[Sequence[str]], settings: Teach, seed: int) -> None:
    """Fine-tune on (question, answer) pairs, in shuffled epochs."""
    encoded = [model.encoder.example(question, answer) for question, answer in examples]
    batches = [
        batch
        for epoch in range(settings.epochs)
        for batch in shuffled_batches(encoded, settings.batch_size, derive_seed(seed, epoch))
    ]
    per_epoch = len(batches) // settings.epochs

    def accumulate(number: int) -> float:
        with model.for_training() as module:
            return backward(torch.cat(token_losses(module, batches[number], model.device)).mean())

    def rate(number: int) -> float:
        epochs_done = (number + 0.5) / per_epoch
        return scheduled_rate(settings.learning_rate, "linear", settings.warmup, epochs_done, settings.epochs)

    optimizer = model.optimizer(adamw(settings.weight_decay))
    with seeded(seed):
        for _ in descend(optimizer, len(batches), accumulate, rate):
            pass


def shuffled_batches(examples: Sequence[Example], size: int, seed: int) -> list[list[Example]]:
    """Return the examples in random order, cut into batches; the last may be smaller."""
    order = random.Random(seed).sample(list(examples), len(examples))
    return [order[start : start + size] for start in range(0, len(order), size)]
