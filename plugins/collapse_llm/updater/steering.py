"""Representation misdirection: hidden states of what is to be forgotten are steered off."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch

from collapse_core import CollapseError
from collapse_llm.model.encoding import Example
from collapse_llm.model.language_model import LanguageModel
from collapse_llm.model.upper import decoder_layers
from collapse_llm.updater.batches import Batch


def hidden_states(module: Any, examples: Sequence[Example], layer: int) -> list[torch.Tensor]:
    """What a layer gives at the positions that predict an answer's tokens, its end included.

    Args:
        module: A causal language model of transformers.
        examples: Questions with their answers.
        layer: The number of the decoder layer, from 0.

    Returns:
        A float32 tensor of shape (num_labels, width) for each example.

    Raises:
        CollapseError: The model has no such layer.
    """
    if not examples:
        return []
    device = next(module.parameters()).device
    length = max(len(example.ids) for example in examples)
    ids = torch.tensor([e.ids + [0] * (length - len(e.ids)) for e in examples], device=device)
    mask = torch.tensor([[1] * len(e.ids) + [0] * (length - len(e.ids)) for e in examples], device=device)
    layers = decoder_layers(module)
    if layer >= len(layers):
        raise CollapseError(
            f"the updater 'rmu' is to steer layer {layer}, but the model has layers 0 to {len(layers) - 1} "
            "only; set updater.layer to one of them"
        )
    given: list[torch.Tensor] = []
    # The last of transformers' hidden states is what the norm after the last layer makes of its output.
    hook = layers[layer].register_forward_hook(lambda _, __, output: given.append(_tensor_of(output)))
    try:
        module(input_ids=ids, attention_mask=mask, logits_to_keep=1, use_cache=False)
    finally:
        hook.remove()
    if module.training and not (given and given[0].requires_grad):
        raise CollapseError(
            f"the updater 'rmu' is to steer layer {layer}, which 'model.train_layers' leaves frozen; set "
            "updater.layer to one of the layers that are trained, or train more of them"
        )
    found = given[0]
    return [found[row, e.answer_start - 1 : len(e.ids) - 1].float() for row, e in enumerate(examples)]


def _tensor_of(output: Any) -> torch.Tensor:
    found: torch.Tensor = output if isinstance(output, torch.Tensor) else output[0]
    return found


@cache
def direction(width: int, seed: int) -> torch.Tensor:
    """The unit vector that hidden states are steered to; its entries were uniform in [0, 1)."""
    entries = torch.rand(width, generator=torch.Generator().manual_seed(seed))
    unit: torch.Tensor = entries / entries.norm()
    return unit


def reference_states(model: LanguageModel, examples: Sequence[Example], layer: int) -> list[torch.Tensor]:
    """The hidden states of the reference model."""
    with model.reference() as reference, reference.for_inference() as module:
        found = hidden_states(module, examples, layer)
    return [states.clone() for states in found]


def misdirection(
    module: Any,
    part: Batch,
    batch: Batch,
    reference: Sequence[torch.Tensor],
    layer: int,
    target: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """How far kept answers are from the target, and retain answers from the reference model's.

    Args:
        module: What computes.
        part: The rows of this forward pass.
        batch: The batch that they are a part of.
        reference: The reference model's hidden states of the part's retain answers.
        layer: The number of the decoder layer, from 0.
        target: Where hidden states are steered to, of shape (width,).

    Returns:
        The part's share of two means over the batch's tokens of the squared distance a dimension.
    """
    kept = [example.answers[0] for example in part.kept]
    found = hidden_states(module, [*kept, *part.retain], layer)
    steered = [states - target.to(states.device) for states in found[: len(kept)]]
    moved = [now - then for now, then in zip(found[len(kept) :], reference, strict=True)]
    return (
        _share_of_mean_square(steered, [example.answers[0] for example in batch.kept]),
        _share_of_mean_square(moved, batch.retain),
    )


def _share_of_mean_square(differences: Sequence[torch.Tensor], examples: Sequence[Example]) -> torch.Tensor:
    if not differences:
        return torch.zeros(())
    squares = torch.cat(list(differences)).square().mean(dim=-1)
    return squares.sum() / sum(example.num_labels for example in examples)
