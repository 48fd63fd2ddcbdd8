"""Relearning works on a copy, takes the steps it says, and leaves no trace in the run."""

import copy

import numpy as np
import pytest
import torch

from collapse_core import CollapseError, Prompt, collapse, create_run, load_recipe
from collapse_core.testing import check_evaluator, saved
from collapse_llm.data import Authors
from collapse_llm.evaluators import Likelihood
from collapse_llm.evaluators.attacks import TextRelearning
from collapse_llm.evaluators.attacks.copying import copy_of
from collapse_llm.evaluators.attacks.relearning import divide, relearn
from collapse_llm.model import CausalLm, Lora, Teach
from collapse_llm.model.training import answer_losses, teach

QUICKLY = {"steps": [0, 2], "learning_rate": 1e-3, "batch_size": 4, "max_new_tokens": 8}


def weights(model) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.module.state_dict().items()}


def same(some: dict[str, torch.Tensor], others: dict[str, torch.Tensor]) -> bool:
    return some.keys() == others.keys() and all(torch.equal(some[name], others[name]) for name in some)


# --- copies ----------------------------------------------------------------------------------------


def test_a_copy_is_another_model_of_the_same_weights(model, questions):
    before = weights(model)
    twin = copy_of(model)
    assert same(weights(twin), before)
    assert answer_losses(twin, questions, 8) == answer_losses(model, questions, 8)
    with torch.no_grad():
        for parameter in twin.module.parameters():
            parameter.zero_()
    assert same(weights(model), before)


def test_adapters_are_merged_into_the_copy_and_all_of_it_can_be_trained(tiny_directory, questions):
    loader = CausalLm(path=str(tiny_directory), compute="float32", lora=Lora(rank=4))
    model = loader.load(Authors(), 0)
    teach(model, [(q.content, q.target) for q in questions], Teach(epochs=2, learning_rate=1e-2, warmup=0), 0)
    before = weights(model)
    twin = copy_of(model)
    assert not any("lora" in name for name, _ in twin.module.named_parameters())
    assert all(parameter.requires_grad for parameter in twin.module.parameters())
    mine, its = (np.concatenate(answer_losses(m, questions, 8)) for m in (model, twin))
    assert np.allclose(mine, its, atol=1e-4)
    assert same(weights(model), before)


# --- relearning ------------------------------------------------------------------------------------


def test_the_questions_are_divided_by_the_seed_and_none_is_both_taught_and_asked(questions):
    taught, asked = divide(questions, 0.3, 1)
    assert (len(taught), len(asked)) == (6, 14)
    assert {p.id for p in taught}.isdisjoint(p.id for p in asked)
    assert divide(questions, 0.3, 1) == (taught, asked)
    assert divide(questions, 0.3, 2) != (taught, asked)
    assert [len(part) for part in divide(questions[:2], 0.99, 0)] == [1, 1]
    with pytest.raises(CollapseError, match="at least two forget questions"):
        divide(questions[:1], 0.5, 0)


def test_relearning_takes_the_steps_that_plain_torch_takes(model, questions):
    """The whole set in each batch, so that its order does not matter; loss by transformers itself."""
    reference = copy.deepcopy(model.module).train()
    optimizer = torch.optim.AdamW(reference.parameters(), lr=1e-3, weight_decay=0.0)
    examples = [model.encoder.example(q.content, q.target) for q in questions[:5]]
    num_labels = sum(example.num_labels for example in examples)
    for _ in range(3):
        for example in examples:
            ids = torch.tensor([example.ids])
            labels = ids.clone()
            labels[0, : example.answer_start] = -100
            loss = reference(input_ids=ids, labels=labels).loss * example.num_labels / num_labels
            loss.backward()
        torch.nn.utils.clip_grad_norm_(reference.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    copy_ = copy_of(model)
    settings = TextRelearning(**(QUICKLY | {"steps": [3], "batch_size": 5}))
    assert list(relearn(settings, copy_, questions[:5], 0)) == [3]
    for mine, its in zip(copy_.module.parameters(), reference.parameters(), strict=True):
        assert torch.allclose(mine, its, atol=2e-4)


def forgetful(knowing, questions):
    """The model that knows the answers, taught to say that it does not."""
    teach(
        knowing,
        [(question.content, "I do not know.") for question in questions],
        Teach(epochs=20, learning_rate=1e-3, batch_size=10, warmup=0),
        1,
    )
    return knowing


def test_what_was_only_hidden_comes_back_sooner_than_what_was_never_known(knowing, questions, loaded):
    never = copy_of(loaded)
    settings = TextRelearning(steps=[0, 10], learning_rate=1e-3, batch_size=10)
    hidden, unknown = (
        settings.evaluate(m, Authors(), 0).metrics for m in (forgetful(knowing, questions), never)
    )
    assert hidden["relearned_rouge_0"].value < 30
    assert hidden["relearned_rouge_10"].value > 1.5 * unknown["relearned_rouge_10"].value
    assert hidden["relearned_loss_10"].value < unknown["relearned_loss_10"].value
    assert hidden["relearned_strength_10"].value >= unknown["relearned_strength_10"].value


def test_before_the_first_step_the_copy_is_the_model(model):
    found = TextRelearning(**QUICKLY, share=0.05).evaluate(model, Authors(), 0)
    _, asked = divide(list(Authors().load("forget")), 0.05, 0)
    assert len([e for e in found.examples if e["split"] == "forget, 0 steps on"]) == len(asked) == 19
    likelihood = Likelihood().evaluate(model, Authors(), 0).metrics["forget_nll"]
    assert found.metrics["relearned_loss_0"].value == pytest.approx(likelihood.value, rel=0.02)
    assert found.metrics["relearned_loss_2"].value < found.metrics["relearned_loss_0"].value


@pytest.mark.parametrize("on", ["forget", "retain"])
def test_relearning_leaves_the_model_and_all_randomness_alone(model, on):
    moments = model.optimizer(lambda parameters: torch.optim.AdamW(parameters, lr=0.1))
    next(model.module.parameters()).grad = torch.zeros_like(next(model.module.parameters()))
    moments.step()
    before, state = saved(model), torch.get_rng_state()
    check_evaluator(TextRelearning(**QUICKLY, on=on), model, Authors())
    assert saved(model) == before
    assert torch.equal(torch.get_rng_state(), state)


RECIPE = """\
version: 1
name: attacked
data: {use: authors}
model: {use: causal-lm, path: tiny-llama, compute: float32}
sampler: {use: generate, max_new_tokens: 6}
rewards: [rouge-distance]
filter: {use: best-of-n}
updater: {use: sft, learning_rate: 1e-3}
iterations: 2
prompts_per_iteration: 4
completions_per_prompt: 2
"""
ATTACKS = """\
evaluate:
  every: 1
  with:
    - {use: text-relearning, steps: [1], batch_size: 4, max_new_tokens: 4}
    - {use: quantization, bits: [4], max_new_tokens: 4}
    - {use: leakage, num_samples: 2, max_new_tokens: 4}
"""


def test_a_run_that_is_attacked_on_its_way_is_the_run_that_is_not(tmp_path):
    written = {}
    for name, more in (("plain", ""), ("attacked", ATTACKS)):
        path = tmp_path / f"{name}.yaml"
        path.write_text(RECIPE + more)
        recipe = load_recipe(path)
        run = create_run(recipe, path.read_text(), {}, tmp_path / name)
        model = collapse(recipe, run)
        run.close()
        written[name] = ((tmp_path / name / "journal.jsonl").read_bytes(), saved(model))
    assert written["plain"] == written["attacked"]
    rows = (tmp_path / "attacked" / "evaluations.jsonl").read_text().splitlines()
    assert len(rows) == 3 * 3


def test_a_prompt_is_a_prompt_whatever_the_copy(model):
    assert copy_of(model).encoder.prompt("Who?") == model.encoder.prompt("Who?")
    assert copy_of(model).end_ids == model.end_ids
    assert copy_of(model).encoder.example("Who?", Prompt("q", "", "Maren").target).num_labels > 1
