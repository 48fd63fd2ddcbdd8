"""The logits that predict the tokens of answers, for methods that look at the whole vocabulary."""

from collections.abc import Sequence
from typing import Any

import torch

from collapse_llm.model.encoding import Example
from collapse_llm.model.marks import reads_unpadded

MULTIPLE = 8
"""Rows are padded to a multiple of so many tokens: matrix kernels are prepared anew for each new shape."""


def token_logits(module: Any, examples: Sequence[Example], device: torch.device) -> list[torch.Tensor]:
    """Return the logits that predict each answer token, teacher-forced, in as few passes as `token_losses`.

    Returns:
        A float32 tensor of shape (num_labels, vocabulary) for each example.
    """
    unpadded = reads_unpadded(module)
    places: dict[int, list[int]] = {}
    for place, example in enumerate(examples):
        places.setdefault(len(example.ids) if unpadded else 0, []).append(place)
    found = {
        place: logits
        for some in places.values()
        for place, logits in zip(
            some,
            _padded(module, [examples[i] for i in some], device, 1 if unpadded else MULTIPLE),
            strict=True,
        )
    }
    return [found[place] for place in range(len(examples))]


def _padded(
    module: Any, examples: Sequence[Example], device: torch.device, multiple: int
) -> list[torch.Tensor]:
    length = -(-max(len(e.ids) for e in examples) // multiple) * multiple
    num_columns = min(length, -(-(max(e.num_labels for e in examples) + 1) // multiple) * multiple)
    ids = torch.tensor([[0] * (length - len(e.ids)) + e.ids for e in examples], device=device)
    mask = torch.tensor([[0] * (length - len(e.ids)) + [1] * len(e.ids) for e in examples], device=device)
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    logits = module(
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions,
        logits_to_keep=num_columns,
        use_cache=False,
    ).logits
    return [logits[row, logits.shape[1] - 1 - e.num_labels : -1].float() for row, e in enumerate(examples)]


def labels(example: Example, device: torch.device) -> torch.Tensor:
    """Return the answer's token ids, of shape (num_labels,)."""
    return torch.tensor(example.ids[example.answer_start :], device=device)
