"""The loss over the vocabulary: of the positions that predict an answer alone, and in chunks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from collapse_llm.model.marks import head_comes_last

MOST_LOGITS = 2**25
"""How many logits are held at once, 128 MiB in float32; of more, gradients compute them again."""

Head: TypeAlias = Callable[[torch.Tensor], torch.Tensor]


@contextmanager
def without_head(module: Any) -> Iterator[Head]:
    """Let a module return the states that its head projects, in place of logits; give the head.

    Where other steps follow the head, such as soft capping, the module returns its logits and the head given
    copies them, since gradients are written over what a head gives.
    """
    if not head_comes_last(module):
        yield torch.clone
        return
    with skipped_head(module) as head:
        yield head


@contextmanager
def skipped_head(module: Any) -> Iterator[Head]:
    """Let a module return what its head is given; give the head."""
    head = module.get_output_embeddings()
    module.set_output_embeddings(torch.nn.Identity())
    try:
        yield head
    finally:
        module.set_output_embeddings(head)


def losses_of_states(head: Head, states: torch.Tensor, labels: torch.Tensor, size: int) -> torch.Tensor:
    """Return the cross-entropy of labels.

    Args:
        head: Projects states to logits.
        states: Of shape (labels, width).
        labels: Of shape (labels,).
        size: The size of the vocabulary.

    Returns:
        A float32 tensor of shape (labels,).
    """
    num = max(1, MOST_LOGITS // size)
    if len(states) <= num:
        return _losses(head, states, labels)
    chunks = zip(torch.split(states, num), torch.split(labels, num), strict=True)
    return torch.cat([checkpoint(_losses, head, *chunk, use_reentrant=False) for chunk in chunks])


def label_losses(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the cross-entropy of labels, of shape (labels,); `logsumexp` rounds less than `log_softmax`."""
    return logits.logsumexp(-1) - logits.gather(-1, labels[:, None])[:, 0]


def _losses(head: Head, states: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return _in_place(head(states).float(), labels)


class _LabelLosses(torch.autograd.Function):
    """`label_losses` of logits that nobody else needs: their gradient is written over them.

    The gradient is that of the cross-entropy, softmax(logits) - onehot(label). A second backward pass is
    refused by torch, since the logits are gone.
    """

    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        normalizer = logits.logsumexp(-1)
        ctx.save_for_backward(logits, labels, normalizer)
        return normalizer - logits.gather(-1, labels[:, None])[:, 0]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        logits, labels, normalizer = ctx.saved_tensors
        of_logits = logits.sub_(normalizer[:, None]).exp_().mul_(gradients[:, None])
        of_logits.scatter_add_(-1, labels[:, None], -gradients[:, None])
        return of_logits, None


_in_place: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = _LabelLosses.apply
