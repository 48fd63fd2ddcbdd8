"""Training the upper layers alone computes what training them with the frozen ones does."""

import pytest
import torch
from test_families import FAST, FURTHER, opened, written

from collapse_core import CollapseError, Completion, Iteration, Kept
from collapse_core.torch import backward, seeded
from collapse_llm.data import Authors
from collapse_llm.model import CausalLm, Lora
from collapse_llm.model.training import token_losses
from collapse_llm.model.upper import UpperLayers
from collapse_llm.updater import Sft
from collapse_llm.updater.methods import Rmu


@pytest.fixture
def some(questions):
    return lambda model: [model.encoder.example(p.content, p.target) for p in questions[:4]]


def gradients(model, examples):
    """Losses and gradients as a run has them, with what computed them."""
    with seeded(0), model.for_training() as module:  # some families drop activations at random
        losses = torch.cat(token_losses(module, examples, model.device))
        backward(losses.mean())
    found = {name: p.grad for name, p in model.module.named_parameters() if p.grad is not None}
    return losses.detach(), found, module


def check_gradients(upper, whole, examples):
    """Those of the trained layers are the whole model's, and no other weight has any."""
    losses, found, module = gradients(upper, examples)
    plain_losses, plain, _ = gradients(whole, examples)
    assert torch.allclose(losses, plain_losses, atol=1e-5)
    assert found.keys() == upper.trainable().keys() < plain.keys()
    scale = max(float(gradient.abs().max()) for gradient in plain.values())
    for name, gradient in found.items():
        assert torch.allclose(gradient, plain[name], atol=1e-5 * scale), name
    return module


def test_gradients_are_those_of_the_whole_model(load, some):
    upper, whole = load(train_layers=1), load()
    module = check_gradients(upper, whole, some(whole))
    assert isinstance(module, UpperLayers)


def test_where_layers_cannot_be_divided_that_is_found_out_once(load, some, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "collapse_llm.model.language_model.is_divisible", lambda module: bool(asked.append(module))
    )
    upper, whole = load(train_layers=1), load()
    for _ in range(2):
        assert check_gradients(upper, whole, some(whole)) is upper.module
        upper.module.zero_grad()
        whole.module.zero_grad()
    assert len(asked) == 1


@pytest.mark.slow
@pytest.mark.parametrize("family", [*FAST, *FURTHER])
def test_gradients_are_those_of_the_whole_model_in_each_family(family, some, tokenizer, tmp_path):
    whole = opened(written(family, (FAST | FURTHER)[family], tokenizer, tmp_path))
    loader = CausalLm(
        path=str(tmp_path), compute="float32", prompt=whole.encoder.prompt_format, train_layers=1
    )
    check_gradients(loader.load(Authors(), 0), whole, some(whole))


def test_a_row_goes_through_the_frozen_layers_once_and_alone(load, some):
    model, other = load(train_layers=1), load(train_layers=1)
    calls = []
    model.module.model.layers[0].register_forward_hook(lambda _, inputs, __: calls.append(inputs[0].shape))
    examples = some(model)
    for rows in (examples, examples[:1], examples[::-1]):
        gradients(model, rows)
    in_division_check = 3
    assert len(calls) == len(examples) + in_division_check
    _, _, alone = gradients(other, examples[-1:])
    _, _, together = gradients(model, examples)
    ids = tuple(examples[-1].ids)
    assert torch.equal(alone._known[ids], together._known[ids])


def test_states_beyond_the_room_for_them_are_computed_anew(load, some, monkeypatch):
    monkeypatch.setattr("collapse_llm.model.upper.MOST_BYTES", 0)
    model = load(train_layers=1)
    *_, module = gradients(model, some(model))
    assert not module._known


def test_an_update_changes_the_last_layers_alone_and_a_checkpoint_holds_only_them(load, questions, tmp_path):
    model = load(train_layers=1)
    before = {name: p.detach().clone() for name, p in model.module.named_parameters()}
    kept = [Kept(p, Completion(p.id, "A stone mason."), 1.0) for p in questions[:3]]
    Sft(learning_rate=1e-3, warmup=0).update(model, kept, questions[3:5], Iteration(0, 1, 0))
    changed = {n for n, p in model.module.named_parameters() if not torch.equal(p, before[n])}
    assert changed == {name for name in before if ".layers.1." in name}
    model.save(tmp_path)
    from safetensors.torch import load_file

    assert load_file(tmp_path / "weights.safetensors").keys() == changed


def test_more_layers_than_there_are_is_an_error_and_so_are_adapters_with_it(load):
    with pytest.raises(CollapseError, match="'train_layers: 3' is more than the 2 layers"):
        load(train_layers=3)
    with pytest.raises(ValueError, match="both say what is trained"):
        CausalLm(path="anywhere", lora=Lora(), train_layers=1)


def test_steering_a_frozen_layer_is_an_error_that_says_what_to_set(load, questions):
    kept = [Kept(questions[0], Completion(questions[0].id, questions[0].target), 1.0)]
    with pytest.raises(CollapseError, match=r"'model\.train_layers' leaves frozen"):
        Rmu(layer=0).update(load(train_layers=1), kept, questions[1:2], Iteration(0, 1, 0))
    moved = Rmu(layer=1, warmup=0).update(load(train_layers=1), kept, questions[1:2], Iteration(0, 1, 0))
    assert moved["forget_loss"] > 0


def test_in_half_precision_the_trained_layers_are_brought_up_to_date(tiny_directory, questions):
    model = CausalLm(path=str(tiny_directory), compute="bfloat16", train_layers=1).load(Authors(), 0)
    kept = [Kept(p, Completion(p.id, "A stone mason."), 1.0) for p in questions[:3]]
    for number in range(2):
        Sft(learning_rate=1e-2, warmup=0).update(model, kept, questions[3:5], Iteration(number, 2, number))
    with model.for_training() as module:
        assert isinstance(module, UpperLayers)
        pairs = zip(module.whole.parameters(), model.module.parameters(), strict=True)
        assert all(torch.equal(its, mine.to(torch.bfloat16)) for its, mine in pairs)
