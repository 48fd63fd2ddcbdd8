"""Each method's loss against plain numpy, and its gradient against finite differences of that."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from textbook import (
    KEPT,
    METHODS,
    NOW,
    RETAIN,
    TRUE,
    WEIGHTED,
    WIDTH,
    Bigram,
    InNumpy,
    textbook,
)

from collapse_core import Iteration, processes
from collapse_core.runtime.processes import Processes
from collapse_llm.model.language_model import FrozenLanguageModel
from collapse_llm.updater import Sft
from collapse_llm.updater.batches import batches_of
from collapse_llm.updater.fine_tuning import accumulate
from collapse_llm.updater.flattening import Pdu
from collapse_llm.updater.losses import negative_preference, unlikelihood
from collapse_llm.updater.methods import Dpo, GradientAscent, Npo, SimNpo
from collapse_llm.updater.policy import PolicyGradient
from collapse_llm.updater.rejecting import CeU, Unlikelihood, Wga


@pytest.fixture
def model(make_model, tokenizer):
    module = Bigram(len(tokenizer), 1)
    made = make_model(module)
    # The reference model is another one, else every ratio would be one.
    made._frozen = FrozenLanguageModel(Bigram(len(tokenizer), 2), made)
    return made


@pytest.fixture
def before(model):
    return InNumpy.like(model._frozen.module)


@pytest.mark.parametrize("micro_batch_size", [None, 2, 1])
@pytest.mark.parametrize("name", METHODS)
def test_the_losses_are_those_of_the_textbook(name, micro_batch_size, model, before):
    settings, kept = METHODS[name]
    settings = settings.model_copy(update={"micro_batch_size": micro_batch_size})
    [batch] = settings.before_steps(model, batches_of(settings, model.encoder, kept, RETAIN, NOW))
    found = accumulate(settings, model, batch)
    expected = textbook(name, InNumpy.like(model.module), before, model.encoder.example)
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-7)  # 1 - p is rounded to 6e-8


@pytest.mark.parametrize("name", METHODS)
def test_the_gradient_is_the_finite_difference_of_the_textbook(name, model, before):
    settings, kept = METHODS[name]
    [batch] = settings.before_steps(model, batches_of(settings, model.encoder, kept, RETAIN, NOW))
    accumulate(settings, model, batch)
    step, differences, fixed = 1e-5, np.zeros((WIDTH, WIDTH)), InNumpy.like(model.module)
    for place in np.ndindex(WIDTH, WIDTH):
        totals = []
        for sign in (1, -1):
            numpy = InNumpy.like(model.module)
            numpy.mix[place] += sign * step
            of_kept, of_retain = textbook(name, numpy, before, model.encoder.example, fixed)
            totals.append(of_kept + settings.retain_weight * of_retain)
        differences[place] = (totals[0] - totals[1]) / (2 * step)
    largest = np.abs(differences).max()
    assert largest > 1e-3
    np.testing.assert_allclose(model.module.mix.grad.numpy(), differences, atol=1e-4 * largest)


@pytest.mark.parametrize("name", METHODS)
def test_processes_that_share_a_batch_out_add_up_to_one(name, model, monkeypatch):
    settings, kept = METHODS[name]
    [batch] = settings.before_steps(model, batches_of(settings, model.encoder, kept, RETAIN, NOW))
    alone = accumulate(settings, model, batch)
    gradient = model.module.mix.grad.clone()
    model.module.zero_grad()
    sums = np.zeros(2)
    for index in range(4):  # the last has no kept answer at all
        one_of_four = Processes()
        one_of_four.index, one_of_four.count = index, 4
        monkeypatch.setattr(processes, "current", lambda mine=one_of_four: mine)
        sums += accumulate(settings, model, batch)
    assert sums == pytest.approx(alone, rel=1e-5)
    torch.testing.assert_close(model.module.mix.grad, gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("settings", [Npo(), SimNpo(), GradientAscent()], ids=lambda s: type(s).__name__)
def test_what_is_set_against_a_kept_answer_is_what_is_pushed_away(settings, model):
    """Given the true answers as completions, or set against other completions: it is the same loss."""
    [given] = batches_of(settings, model.encoder, TRUE, RETAIN, NOW)
    [against] = batches_of(settings, model.encoder, KEPT, RETAIN, NOW)
    assert accumulate(settings, model, given) == accumulate(settings, model, against)


@pytest.mark.parametrize("settings", [Sft(), Npo(), Dpo()], ids=lambda s: type(s).__name__)
def test_a_weight_multiplies_what_a_kept_answer_adds_to_the_loss(settings, model):
    """By linearity: the loss of one kept answer under weight w is w times that under weight 1."""
    sides = []
    for weight in (1.0, -0.5, 0.0):
        model.module.zero_grad()
        [batch] = batches_of(settings, model.encoder, [replace(KEPT[0], weight=weight)], [], NOW)
        loss, _ = accumulate(settings, model, batch)
        sides.append((loss, model.module.mix.grad.clone()))
    (loss, gradient), (half, half_gradient), (none, no_gradient) = sides
    assert half == pytest.approx(-0.5 * loss)
    torch.testing.assert_close(half_gradient, -0.5 * gradient)
    assert none == 0
    assert not no_gradient.any()


@pytest.mark.parametrize("mean", ["answer", "token", "sum"])
@pytest.mark.parametrize("ratio", ["token", "answer"])
def test_what_has_moved_far_from_the_model_that_drew_it_stops_to_count(ratio, mean, model, before):
    """With another model as the one that drew, half of the ratios are beyond the clip: by the definition."""
    settings = PolicyGradient(ratio=ratio, mean=mean, clip=0.3, clip_high=0.9)
    [batch] = batches_of(settings, model.encoder, WEIGHTED, [], NOW)
    kept = [replace(e, drawn_nll=torch.tensor(before.nlls(e.answers[0]))) for e in batch.kept]
    batch = replace(batch, kept=kept)
    found, _ = accumulate(settings, model, batch)
    numpy, terms = InNumpy.like(model.module), []
    for example in kept:
        change = before.nlls(example.answers[0]) - numpy.nlls(example.answers[0])
        rho = np.exp(change.sum(keepdims=True) if ratio == "answer" else change)
        a = example.weight
        terms.append(-np.minimum(rho * a, np.clip(rho, 0.7, 1.9) * a))
    of_answers = {
        "answer": np.mean([term.mean() for term in terms]),
        "token": np.concatenate(terms).mean(),
        "sum": np.mean([term.sum() for term in terms]),
    }
    assert found == pytest.approx(of_answers["sum" if ratio == "answer" else mean], rel=1e-5)


def test_the_model_that_drew_is_the_one_before_the_first_step(load):
    model = load()
    settings = PolicyGradient(learning_rate=1e-2, warmup=0, batch_size=1)
    [first, *rest] = settings.before_steps(model, batches_of(settings, model.encoder, WEIGHTED, RETAIN, NOW))
    Sft(learning_rate=1e-2, warmup=0).update(model, KEPT, RETAIN, NOW)
    losses = [accumulate(settings, model, batch)[0] for batch in (first, *rest)]
    assert len(rest) == 2
    assert losses != pytest.approx([-example.weight for b in (first, *rest) for example in b.kept], rel=1e-3)
    again = settings.before_steps(model, [first, *rest])
    losses = [accumulate(settings, model, batch)[0] for batch in again]
    assert losses == pytest.approx([-example.weight for batch in again for example in batch.kept], rel=1e-4)


def test_kept_logits_are_computed_once_and_recomputed_ones_in_each_step(model):
    """A reference model that changes in between is seen by those alone that ask it again."""
    found = {}
    for way in ("kept", "recomputed"):
        settings = Sft(retention="kl", retained_logits=way)
        [batch] = batches_of(settings, model.encoder, KEPT, RETAIN, NOW)
        with torch.no_grad():
            first = accumulate(settings, model, batch)
            model._frozen.module.project.mul_(0.5)
            found[way] = (first[1], accumulate(settings, model, batch)[1])
            model._frozen.module.project.mul_(2)
    assert found["kept"][0] == pytest.approx(found["recomputed"][0], rel=1e-6)
    assert found["kept"][0] == found["kept"][1]
    assert found["recomputed"][0] != pytest.approx(found["recomputed"][1], rel=1e-3)
    assert len(model.reference_logits) == len(RETAIN)


def test_the_dual_variable_follows_its_formula_and_is_resumed(load, tmp_path):
    """a <- max(0, a + step (R - bound)) after each batch, with the R that the journal has of it."""
    model, settings = load(), Pdu(max_retain_loss=4.0, retain_weight=0.5, dual_step=0.7, dual_after=1)
    wanted, found = 0.5, []
    for number in range(3):
        journal = settings.update(model, KEPT, RETAIN, Iteration(number, 4, number))
        wanted = max(0.0, wanted + 0.7 * (journal["retain_loss"] - 4.0)) if number else wanted
        found.append(journal.get("dual_variable"))
        if number:
            assert found[-1] == pytest.approx(wanted)
    assert found[0] is None
    model.save(tmp_path)
    again = load()
    again.restore(tmp_path)
    assert settings.weight_of_retain(again) == found[-1] != settings.retain_weight


@pytest.mark.parametrize("kind", [Unlikelihood, Npo, CeU], ids=lambda kind: kind.__name__)
def test_what_is_less_likely_than_the_floor_is_left_alone(kind, model):
    """Each token's gradient is there or not; a floor above all of them leaves nothing to do."""
    [batch] = batches_of(kind(tokens="unshared"), model.encoder, KEPT, [], NOW)
    true = [example.answers[1] for example in batch.kept]
    nlls = np.concatenate([InNumpy.like(model.module).nlls(example) for example in true])
    gradients = []
    for floor in (0.0, float(np.exp(-nlls.max())) / 2, float(np.median(np.exp(-nlls))), 0.9999):
        model.module.zero_grad()
        accumulate(kind(tokens="unshared", floor=floor), model, batch)
        gradients.append(model.module.mix.grad.clone())
    none, below_all, among, above_all = gradients
    assert none.any()
    torch.testing.assert_close(below_all, none)
    assert not torch.allclose(among, none)
    assert not above_all.any()


@pytest.mark.parametrize("kind", [Unlikelihood, GradientAscent, SimNpo, Wga], ids=lambda kind: kind.__name__)
def test_an_answer_that_is_still_the_pushed_one_is_pushed_and_not_learned(kind, model):
    same = [replace(one, against=one.completion.content) for one in KEPT]
    gradients = []
    for kept_weight in (0.5, 0.0):
        settings = kind(tokens="unshared", kept_weight=kept_weight, retain_weight=1.0)
        [batch] = batches_of(settings, model.encoder, same, [], NOW)
        accumulate(settings, model, batch)
        gradients.append(model.module.mix.grad.clone())
        model.module.zero_grad()
    assert gradients[0].any()
    torch.testing.assert_close(*gradients)


def test_a_token_that_is_nearly_certain_is_pushed_down_with_its_full_gradient():
    """In float32, 1 - p of a logit 30 above all others is zero, and its logarithm has no gradient."""
    logits = torch.tensor([[30.0, 0.0, 0.0]], requires_grad=True)
    [value] = unlikelihood(logits, torch.tensor([0]))
    assert value.item() == pytest.approx(30 - np.log(2), rel=1e-6)
    [gradient] = torch.autograd.grad(value, logits)
    assert gradient[0].tolist() == pytest.approx([1.0, -0.5, -0.5])


def test_without_any_change_a_preference_is_the_logarithm_of_two():
    for beta in (0.1, 2.0):
        assert negative_preference(torch.zeros(3), beta).tolist() == pytest.approx([2 / beta * np.log(2)] * 3)


def test_with_little_beta_npo_ascends_the_gradient_and_with_unlikely_answers_it_rests():
    """Both are what arXiv 2404.05868 shows of its loss."""
    log_ratio = torch.tensor([0.5, -60.0], requires_grad=True)
    for beta, slopes in ((1e-4, [1.0, 1.0]), (1.0, [2 / (1 + np.exp(-0.5)), 0.0])):
        [found] = torch.autograd.grad(negative_preference(log_ratio, beta).sum(), log_ratio)
        assert found.tolist() == pytest.approx(slopes, abs=5e-3)
