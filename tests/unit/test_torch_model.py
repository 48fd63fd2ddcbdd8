"""What every torch model shares: here, remembering itself as it was before unlearning."""

import pytest
import torch

from collapse_core import CollapseError
from collapse_core.testing import saved
from collapse_core.torch import TorchModel

pytestmark = pytest.mark.model


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


def test_the_reference_model_is_what_was_loaded_also_once_the_model_is_trained_and_restored(tmp_path):
    model, other = Line(), Line()
    before = model.now()
    for one in (model, other):
        one.set_reference(Line)
    model.train()
    assert not same(before, model.now())
    model.save(tmp_path)
    other.restore(tmp_path)
    for trained in (model, other):
        with trained.reference() as reference:
            assert same(before, reference.now())
        assert not same(before, trained.now())


def test_the_reference_model_is_loaded_once_and_only_when_it_is_asked_for():
    loaded = []

    def load():
        loaded.append(Line())
        return loaded[-1]

    model = Line()
    model.set_reference(load)
    assert loaded == []
    with model.reference() as first, model.reference() as second:
        assert first is second is loaded[0]
    assert len(loaded) == 1


def test_a_model_that_does_not_know_how_it_was_loaded_says_so():
    model = Line()
    assert sorted(saved(model)) == ["moments.safetensors", "weights.safetensors"]
    with pytest.raises(CollapseError, match=r"load it with Recipe\.load_model"), model.reference():
        pass
