"""What every torch model shares: here, remembering itself as it was before unlearning."""

import pytest
import torch

from collapse_core import CollapseError
from collapse_core.testing import saved
from collapse_core.torch import TorchModel


class Line(TorchModel):
    """One layer, with a counter beside its weights."""

    def __init__(self):
        torch.manual_seed(0)
        super().__init__(torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.BatchNorm1d(1)))

    def export(self, directory):
        self.save(directory)

    def train(self):
        """A step that changes weights and buffers."""
        optimizer = self.optimizer(torch.optim.Adam)
        self.module(torch.tensor([[1.0, 2.0], [3.0, -4.0]])).square().sum().backward()
        optimizer.step()

    def now(self):
        return {name: tensor.clone() for name, tensor in self.module.state_dict().items()}


def same(some, others):
    return all(torch.equal(tensor, others[name]) for name, tensor in some.items())


def test_within_a_block_the_model_is_what_it_was_and_after_it_what_it_had_become():
    model = Line()
    before = model.now()
    model.keep_reference()
    model.train()
    after = model.now()
    assert not same(before, after)
    with model.original():
        assert same(before, model.now())
    assert same(after, model.now())
    with pytest.raises(ZeroDivisionError), model.original():
        raise ZeroDivisionError
    assert same(after, model.now())


def test_a_restored_model_still_knows_what_it_was(tmp_path):
    model, other = Line(), Line()
    before = model.now()
    model.keep_reference()
    model.train()
    model.save(tmp_path)
    other.restore(tmp_path)
    with other.original():
        assert same(before, other.now())
    assert same(model.now(), other.now())
    assert saved(other) == saved(model)


def test_who_was_not_told_to_remember_says_so_and_saves_nothing_more():
    model = Line()
    assert sorted(saved(model)) == ["moments.safetensors", "weights.safetensors"]
    with pytest.raises(CollapseError, match="the model before unlearning was not kept"), model.original():
        pass
