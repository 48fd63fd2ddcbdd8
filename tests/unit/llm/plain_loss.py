"""The textbook way of the loss on answers, and of its gradients."""

import torch


def plain_loss(module, examples):
    """The textbook way: right padding, labels of -100 on the prompt, the whole vocabulary everywhere."""
    length = max(len(example.ids) for example in examples)
    ids = torch.zeros(len(examples), length, dtype=torch.long)
    labels = torch.full_like(ids, -100)
    mask = torch.zeros_like(ids)
    for row, example in enumerate(examples):
        ids[row, : len(example.ids)] = torch.tensor(example.ids)
        labels[row, example.answer_start : len(example.ids)] = ids[
            row, example.answer_start : len(example.ids)
        ]
        mask[row, : len(example.ids)] = 1
    return module(input_ids=ids, attention_mask=mask, labels=labels).loss


def assert_gradients_are_plain(module, examples):
    """The gradients that the module has are those of the plain loss, which replace them."""
    ours = {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}
    module.zero_grad()
    plain_loss(module, examples).backward()
    plain = {name: p.grad for name, p in module.named_parameters() if p.grad is not None}
    assert ours.keys() == plain.keys()
    for name, gradient in plain.items():
        torch.testing.assert_close(ours[name], gradient, rtol=1e-4, atol=1e-6)
