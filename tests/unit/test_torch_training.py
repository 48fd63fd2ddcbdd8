"""What all domains that train with torch share: passes, scheduled steps, the cache of taught models."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from collapse_core import CollapseError, Iteration, TrainingSettings, require
from collapse_core.torch import (
    TorchModel,
    adamw,
    backward,
    backward_weighted,
    descend,
    falling_rate,
    mean_losses,
    push_away,
    scheduled_rate,
    shuffled_passes,
    taught,
    train,
)


class Line(TorchModel):
    """A straight line."""

    def __init__(self):
        torch.manual_seed(0)
        super().__init__(torch.nn.Linear(1, 1))

    def export(self, directory):
        self.save(directory)

    def loss(self, x, y):
        return (self.module(torch.tensor([[x]])) - y).square().mean()


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.module.parameters()])


def test_passes_show_every_item_once_before_any_twice():
    batches = list(islice(shuffled_passes(range(7), 3, 0), 6))
    assert [len(batch) for batch in batches] == [3] * 6
    flat = [item for batch in batches for item in batch]
    assert sorted(flat[:7]) == sorted(flat[7:14]) == list(range(7))
    assert flat[:7] != flat[7:14]


def test_a_batch_has_all_items_where_there_are_few_and_none_where_there_are_none():
    assert list(islice(shuffled_passes([5], 3, 0), 2)) == [[5], [5]]
    assert list(islice(shuffled_passes([], 3, 0), 2)) == [[], []]


def test_passes_depend_on_the_seed_and_on_the_names():
    first = next(shuffled_passes(range(50), 50, 1))
    assert first == next(shuffled_passes(range(50), 50, 1))
    assert first != next(shuffled_passes(range(50), 50, 2))
    assert first != next(shuffled_passes(range(50), 50, 1, "pass"))


def test_an_iterations_steps_are_those_taken_by_hand():
    settings = TrainingSettings(learning_rate=0.1, retain_weight=2.5, warmup=0.5, weight_decay=0.01)
    ours, theirs = Line(), Line()
    found = train(
        settings,
        ours.optimizer(adamw(settings.weight_decay)),
        3,
        lambda n: backward_weighted(ours.loss(1.0, 2.0 + n), ours.loss(3.0, -1.0), settings.retain_weight),
        Iteration(1, 4, 0),
    )
    optimizer = torch.optim.AdamW(theirs.module.parameters(), weight_decay=0.01)
    for number in range(3):
        kept, retain = theirs.loss(1.0, 2.0 + number), theirs.loss(3.0, -1.0)
        optimizer.zero_grad()
        (kept + 2.5 * retain).backward()
        torch.nn.utils.clip_grad_norm_(theirs.module.parameters(), 1.0)
        optimizer.param_groups[0]["lr"] = scheduled_rate(0.1, "linear", 0.5, 1 + (number + 0.5) / 3, 4)
        optimizer.step()
        assert found[number] == pytest.approx((kept.item(), retain.item()))
    assert torch.allclose(weights(ours), weights(theirs), atol=1e-6)
    assert mean_losses(found, "kept")["kept"] == pytest.approx(sum(kept for kept, _ in found) / 3)
    assert mean_losses([]) == {}


def test_a_push_raises_losses_up_to_a_multiple_of_the_reference_models():
    """The losses are straight lines m x + b, so that their slopes are known without autograd."""
    model, reference, x = Line(), Line(), torch.tensor([1.0, 2.0, 4.0])
    for line, slope, height in ((model, 1.0, 2.0), (reference, 2.0, 0.0)):
        torch.nn.init.constant_(line.module.weight, slope)
        torch.nn.init.constant_(line.module.bias, height)
    model.set_reference(lambda: reference)
    push = push_away(model, lambda line: line.module(x[:, None])[:, 0], 1.25)
    backward(push)

    gaps = 1.25 * 2 * x.numpy() - (x.numpy() + 2)  # -0.5, 1 and 4: the first is pushed far enough
    assert push.item() == pytest.approx(np.maximum(gaps, 0).mean())
    assert model.module.weight.grad.item() == pytest.approx(-(2 + 4) / 3)
    assert model.module.bias.grad.item() == pytest.approx(-2 / 3)
    assert reference.module.weight.grad is None


def test_a_loss_that_is_not_finite_stops_the_iteration_and_leaves_the_weights():
    model = Line()
    before = weights(model)
    with pytest.raises(CollapseError, match="the loss became nan in iteration 2"):
        train(
            TrainingSettings(),
            model.optimizer(adamw()),
            2,
            lambda _: backward_weighted(model.loss(float("nan"), 0.0), model.loss(1.0, 0.0), 1.0),
            Iteration(2, 3, 0),
        )
    assert torch.equal(weights(model), before)


def test_teaching_comes_to_an_end_with_a_rate_that_falls_to_zero():
    model, rate = Line(), falling_rate(0.2, 10, 100)
    optimizer = model.optimizer(adamw())
    assert list(descend(optimizer, 100, lambda _: backward(model.loss(1.0, 2.0)), rate)) == list(
        range(1, 101)
    )
    assert model.loss(1.0, 2.0) < 1e-3
    assert max(map(rate, range(100))) == pytest.approx(0.2, rel=0.02)
    assert rate(0) == pytest.approx(0.01)
    assert 0 < rate(99) < 0.002


def test_a_model_is_taught_once_for_everything_that_determines_it(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    code = tmp_path / "code"
    code.mkdir()
    made = []

    def make(directory: Path) -> None:
        made.append(directory)
        (directory / "weights").write_text("")

    def get(data, seed=0, libraries=()):
        cpu = torch.device("cpu")
        return taught(make, {"data": data}, code=code, device=cpu, seed=seed, libraries=libraries)

    first = get([1, 2])
    assert get([1, 2]) == first
    assert (first / "weights").exists()
    assert len(made) == 1
    (code / "teaching.py").write_text("rate = 2")
    others = [get([1, 2]), get([1, 3]), get([1, 2], seed=1), get([1, 2], libraries=["numpy"])]
    assert len({first, *others}) == len(made) == 5


def test_a_part_gets_the_kind_of_model_that_it_needs_or_says_so():
    model = Line()
    assert require(model, TorchModel, "denoise") is model
    with pytest.raises(CollapseError) as told:
        require(model, Other, "denoise")
    assert str(told.value) == (
        "the model is of the class Line, but 'denoise' needs the class Other; choose another under model:"
    )


class Other(Line):
    """Another kind."""
