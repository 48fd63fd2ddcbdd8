"""The reference model kept next to the trained one, and steering by its states."""

import copy

import pytest
import torch
from textbook import KEPT, NOW, RETAIN, TRUE

from collapse_core import CollapseError, Iteration
from collapse_llm.model import Lora
from collapse_llm.model.training import answer_losses, token_losses
from collapse_llm.updater import Sft
from collapse_llm.updater.batches import batches_of
from collapse_llm.updater.methods import Dpo, Npo, Rmu
from collapse_llm.updater.reference import reference_nll
from collapse_llm.updater.steering import direction

# --- the reference model ---------------------------------------------------------------------------


def train(model, number=0):
    settings = Sft(learning_rate=1e-2, warmup=0)
    settings.update(model, KEPT, RETAIN, Iteration(number, 9, number))


def says(module, prompt):
    return [losses.detach().clone() for losses in token_losses(module, prompt, torch.device("cpu"))]


@pytest.mark.parametrize("adapters", [False, True], ids=["all-weights", "adapters"])
def test_the_reference_model_is_what_was_loaded_also_after_resuming(load, adapters, tmp_path):
    fields = {"lora": Lora(rank=4)} if adapters else {}
    model = load(**fields)
    examples = [model.encoder.example(one.content, one.target) for one in RETAIN]
    first = says(model.module.eval(), examples)
    train(model)
    model.save(tmp_path)
    resumed = load(**fields)
    resumed.restore(tmp_path)
    for trained in (model, resumed):
        with trained.reference() as reference, reference.for_inference() as module:
            then = says(module, examples)
        now = says(trained.module.eval(), examples)
        assert all(torch.equal(a, b) for a, b in zip(first, then, strict=True))
        assert not any(torch.equal(a, b) for a, b in zip(first, now, strict=True))
    assert {p.name for p in tmp_path.iterdir()} == {"weights.safetensors", "moments.safetensors"}


def test_adapters_need_no_second_module_and_are_trained_on(load):
    model = load(lora=Lora(rank=4))
    before = {name: p.detach().clone() for name, p in model.trainable().items()}
    for number in range(2):
        Npo(learning_rate=1e-2, warmup=0).update(model, TRUE, RETAIN, Iteration(number, 9, number))
    assert model._frozen is None
    assert model.trainable().keys() == before.keys()
    assert not all(torch.equal(p, before[name]) for name, p in model.trainable().items())


def test_the_second_module_is_opened_once_and_is_not_trained(load):
    model = load()
    with model.reference() as first, model.reference() as second:
        assert first is second
        assert first.module is not model.module
        assert all(not p.requires_grad for p in first.module.parameters())


def test_what_it_makes_of_answers_is_the_sum_over_their_tokens(load):
    model = load()
    [batch] = batches_of(Dpo(), model.encoder, KEPT, [], NOW)
    found = reference_nll(model, batch.kept)
    true = {one.prompt.content: sum(answer_losses(model, [one.prompt], 1)[0]) for one in KEPT}
    for example, (_, of_true) in zip(batch.kept, found, strict=True):
        asked = next(
            q
            for q in true
            if model.encoder.prompt(q) == example.answers[1].ids[: example.answers[1].answer_start]
        )
        assert of_true.sum().item() == pytest.approx(true[asked], rel=1e-5)


# --- steering --------------------------------------------------------------------------------------


def test_the_direction_is_a_fixed_unit_vector_of_positive_entries():
    one, again, other = direction(96, 0), direction(96, 0), direction(96, 1)
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert one.norm().item() == pytest.approx(1.0)
    assert (one >= 0).all()


def test_steering_moves_forgotten_states_and_leaves_the_layers_above_alone(load):
    model = load()
    above = {n: p.detach().clone() for n, p in model.module.named_parameters() if ".layers.1." in n}
    settings = Rmu(layer=0, steering=5.0, retain_weight=10.0, learning_rate=3e-3, warmup=0)
    lines = [settings.update(model, TRUE, RETAIN, Iteration(n, 40, n)) for n in range(20)]
    assert lines[-1]["forget_loss"] < 0.5 * lines[0]["forget_loss"]
    assert lines[0]["retain_loss"] == pytest.approx(0, abs=1e-9), "nothing has moved before the first step"
    assert all(torch.equal(p, above[n]) for n, p in model.module.named_parameters() if n in above)


def test_a_layer_that_is_not_there_is_an_error_that_names_those_that_are(load):
    with pytest.raises(CollapseError, match="layer 7, but the model has layers 0 to 1 only"):
        Rmu(layer=7).update(load(), TRUE, RETAIN, NOW)


def test_hidden_states_do_not_depend_on_what_is_computed_beside_them(load):
    from collapse_llm.updater.steering import hidden_states

    model = load()
    module = copy.deepcopy(model.module).eval()
    examples = [model.encoder.example(one.prompt.content, one.prompt.target) for one in KEPT]
    with torch.no_grad():
        together = hidden_states(module, examples, 1)
        for example, states in zip(examples, together, strict=True):
            [alone] = hidden_states(module, [example], 1)
            assert states.shape == (example.num_labels, 96)
            torch.testing.assert_close(states, alone, atol=1e-5, rtol=1e-4)


def test_the_last_layer_is_steered_before_the_norm_that_follows_it(load):
    from collapse_llm.updater.steering import hidden_states

    model = load()
    example = model.encoder.example("Who?", "Basil Mahfouz.")
    last = model.module.config.num_hidden_layers - 1
    with model.for_inference() as module:
        [states] = hidden_states(module, [example], last)
        logits = module(torch.tensor([example.ids])).logits[0, example.answer_start - 1 : -1]
        torch.testing.assert_close(module.lm_head(module.model.norm(states)), logits)
