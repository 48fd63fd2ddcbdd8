"""The noise, the loss and the draws, against what is known of them."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from scipy import stats
from small_tables import FIRST, small

from collapse_core import CollapseError, Prompt
from collapse_core.contracts.types import Group
from collapse_core.testing import check_loader, check_part, check_sampler, check_updater, numbered
from collapse_tabular.model import RowDiffusion
from collapse_tabular.model.codec import Codec
from collapse_tabular.model.columns import Categorical, Numeric
from collapse_tabular.model.denoiser import Denoiser
from collapse_tabular.model.diffusion import denoise, losses, noise, signal
from collapse_tabular.model.row_model import open_exported
from collapse_tabular.sampler import DrawRows
from collapse_tabular.sampler.drawing import draw
from collapse_tabular.updater import RowDenoising
from collapse_tabular.updater.denoising import Examples, _push, even_weights

WIDE = Numeric("x", (-9.0, 9.0), (-9.0, 9.0), 6, whole=False, repeats=False)
NUMBERS = Codec((WIDE,), (), 1.0)
MIXED = Codec((WIDE, Categorical("c", ("a", "b", "c"))), (Categorical("said", (0, 1)),), 2.0)


def noises(num, width, steps=50, seed=0):
    source = torch.Generator().manual_seed(seed)
    normal = torch.randn(1 + steps, num, width, generator=source, dtype=torch.float64)
    gumbel = -torch.empty(num, 3, dtype=torch.float64).exponential_(generator=source).log()
    return normal, gumbel


def test_signal_and_noise_are_the_published_cosine_schedule():
    levels = torch.linspace(0, 0.95, 20, dtype=torch.float64)
    wanted = torch.cos((levels + 0.008) / 1.008 * math.pi / 2) ** 2
    assert torch.allclose(signal(levels) ** 2, wanted)
    assert torch.allclose(signal(levels) ** 2 + noise(levels) ** 2, torch.ones(20, dtype=torch.float64))


@pytest.mark.parametrize(("mean", "deviation"), [(0.0, 1.0), (1.5, 0.5)])
def test_the_exact_denoiser_of_a_gaussian_draws_that_gaussian(mean, deviation):
    """E[x | noisy] is linear in the noisy value for Gaussian data, so the network can be written down."""

    def exact(rows, levels, prompts):
        keep, add = signal(levels)[:, None], noise(levels)[:, None]
        gain = keep * deviation**2 / (keep**2 * deviation**2 + add**2)
        expected = mean + gain * (rows - keep * mean)
        return (keep * rows - expected) / add

    normal, _ = noises(4000, 1, steps=200)
    drawn, _ = denoise(exact, NUMBERS, torch.zeros(4000, 0), normal, torch.zeros(4000, 0))
    assert stats.kstest(drawn[:, 0], "norm", (mean, deviation)).pvalue > 0.01


def test_the_exact_denoiser_of_categories_draws_them_in_their_shares():
    shares = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)
    codec = Codec((Categorical("c", ("a", "b", "c")),), (), 2.0)

    def exact(rows, levels, prompts):
        keep, add = signal(levels)[:, None], noise(levels)[:, None]
        return shares.log() + keep * codec.scale * rows / add**2

    normal, gumbel = noises(4000, 3, steps=100)
    _, places = denoise(exact, codec, torch.zeros(4000, 0), normal, gumbel)
    counts = torch.bincount(places[:, 0], minlength=3)
    assert stats.chisquare(counts, 4000 * shares).pvalue > 0.01


def test_the_loss_is_the_mean_over_columns_of_squared_velocity_error_and_cross_entropy():
    torch.manual_seed(0)
    rows = torch.tensor([[0.5, 2.0, 0.0, 0.0], [-1.0, 0.0, 0.0, 2.0]])
    levels, eps, out = torch.tensor([0.3, 0.8]), torch.randn(2, 4), torch.randn(2, 4)
    seen = {}

    def network(noisy, at, prompts):
        seen.update(noisy=noisy, at=at)
        return out

    found = losses(network, MIXED, rows, torch.zeros(2, 1, dtype=torch.long), levels, eps)
    for i, category in enumerate((0, 2)):
        keep, add = signal(levels)[i], noise(levels)[i]
        assert torch.allclose(seen["noisy"][i], keep * rows[i] + add * eps[i])
        velocity = keep * eps[i, 0] - add * rows[i, 0]
        entropy = -out[i, 1:].log_softmax(0)[category]
        assert found[i].item() == pytest.approx(
            (((out[i, 0] - velocity) ** 2 + entropy) / 2).item(), rel=1e-5
        )


def test_gradients_are_those_of_finite_differences():
    torch.manual_seed(0)
    network = Denoiser(4, [2], width=8, depth=1).double()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    rows = torch.tensor([[0.5, 2.0, 0.0, 0.0]]).double()
    said, level, eps = torch.tensor([[1]]), torch.tensor([0.4]).double(), torch.randn(1, 4).double()

    def loss():
        return losses(network, MIXED, rows, said, level, eps).mean()

    loss().backward()
    for parameter in (network.enter.weight, network.leave[1].bias, network.said[0].weight):
        place = torch.nonzero(parameter.grad.abs() == parameter.grad.abs().max())[0].tolist()
        at = tuple(place)
        with torch.no_grad():
            parameter[at] += 1e-6
            above = loss().item()
            parameter[at] -= 2e-6
            below = loss().item()
            parameter[at] += 1e-6
        assert parameter.grad[at].item() == pytest.approx((above - below) / 2e-6, rel=1e-4)


def test_the_parts_are_sound():
    check_part("model", RowDiffusion)
    check_part("sampler", DrawRows)
    check_part("updater", RowDenoising)


def test_a_taught_model_keeps_its_promises(table):
    check_loader(small(teach={"steps": 20}), table)


@pytest.mark.parametrize(
    "settings", [{}, {"steps": 5, "batch_size": 4}, {"condition_dropout": 0.5, "paired_references": True}]
)
def test_a_row_is_drawn_the_same_whatever_is_drawn_beside_it(settings, table, model):
    model.set_reference(lambda: model)
    check_sampler(DrawRows(**settings), model, list(table.load("forget"))[:4])


def test_the_batch_size_changes_no_draw(table, model):
    prompts = list(table.load("forget"))
    one, other = (DrawRows(batch_size=size).sample(model, prompts, 4, FIRST) for size in (7, 4096))
    assert one == other


def test_a_paired_reference_is_the_same_row_until_the_model_is_trained(table, model):
    prompts, retain = list(table.load("forget")), list(table.load("retain"))
    untrained = copy.deepcopy(model)
    model.set_reference(lambda: untrained)
    before = DrawRows(paired_references=True).sample(model, prompts, 2, FIRST)
    assert all(c.content == c.paired_reference for group in before for c in group.completions)
    kept = [Group(p, numbered([retain[0].target]), (1.0,)).keep(0) for p in prompts]
    RowDenoising(steps=20, learning_rate=5e-3, warmup=0).update(model, kept, retain, FIRST)
    after = DrawRows(paired_references=True).sample(model, prompts, 2, FIRST)
    paired = [
        [replace(c, paired_reference=None, content=c.paired_reference) for c in group.completions]
        for group in after
    ]
    assert paired == [[replace(c, paired_reference=None) for c in group.completions] for group in before]
    assert any(c.content != c.paired_reference for group in after for c in group.completions)


def test_a_candidate_may_answer_more_freely_but_a_reference_may_not(table, model):
    prompts = [Prompt(f"p/{i}", {"trade": "smith", "town": "north"}) for i in range(60)]
    strict, free = (
        [
            c.content["town"]
            for g in DrawRows(condition_dropout=u).sample(model, prompts, 2, FIRST)
            for c in g.completions
        ]
        for u in (0.0, 0.9)
    )
    assert strict.count("south") < 12
    assert free.count("south") > 30
    assert DrawRows(condition_dropout=0.9).sample_references(
        model, prompts, FIRST
    ) == DrawRows().sample_references(model, prompts, FIRST)


def test_training_is_repeatable_and_goes_on_from_a_checkpoint(table):
    loader = small(teach={"steps": 20})
    retain = list(table.load("retain"))[:30]
    kept = [
        Group(p, numbered([r.target]), (1.0,)).keep(0)
        for p, r in zip(table.load("forget"), retain, strict=False)
    ]
    check_updater(RowDenoising(steps=3), lambda: loader.load(table, 0), kept, retain)


def test_the_gradient_of_a_push_is_that_of_the_rows_below_the_limit(table):
    """On rows of a mixed table, with noise that is drawn again from the same seed."""
    loader = small(teach={"steps": 20})
    model, reference = loader.load(table, 0), loader.load(table, 0)
    torch.manual_seed(0)
    for parameter in model.module.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    model.set_reference(lambda: reference)
    prompts = model.codec.prompts([p.content for p in table.load("forget")][:1])
    rows = model.codec.encode([p.target for p in table.load("retain")][:1])
    some = Examples(rows, prompts, torch.ones(1), 0.0)
    settings = RowDenoising(batch_size=16, against_limit=1.02)
    torch.manual_seed(3)
    _push(model, some, settings).backward()
    got = [p.grad.clone() for p in model.module.parameters()]
    model.module.zero_grad()

    torch.manual_seed(3)
    torch.multinomial(torch.ones(1), 16, replacement=True)
    levels, eps = torch.rand(16), torch.randn(16, model.codec.width)
    terms = []
    for level, one in zip(levels, eps, strict=True):
        ours, theirs = (
            losses(each.module, each.codec, rows, prompts, level[None], one[None])[0]
            for each in (model, reference)
        )
        terms.append((ours, ours < 1.02 * theirs))
    assert 0 < sum(bool(below) for _, below in terms) < 16
    (-sum(ours for ours, below in terms if below) / 16).backward()
    for gradient, parameter in zip(got, model.module.parameters(), strict=True):
        assert torch.allclose(gradient, parameter.grad, atol=1e-6)


def test_training_with_a_push_is_repeatable_and_goes_on_from_a_saved_model(table):
    loader = small(teach={"steps": 20})
    retain = list(table.load("retain"))[:20]
    kept = [
        Group(p, numbered([r.target]), (1.0,)).keep(0, against=retain[0].target)
        for p, r in zip(table.load("forget"), retain, strict=False)
    ]

    def make():
        model = loader.load(table, 0)
        model.set_reference(lambda: loader.load(table, 0))
        return model

    check_updater(RowDenoising(steps=2, against_weight=1), make, kept, retain)


def test_an_iteration_that_keeps_nothing_trains_on_what_is_retained(table, model):
    found = RowDenoising(steps=2).update(model, [], list(table.load("retain")), FIRST)
    assert found["collapse_loss"] == 0
    assert found["retain_loss"] > 0
    assert RowDenoising().update(model, [], [], FIRST) == {}


def test_an_exported_model_draws_the_same(tmp_path, model):
    model.export(tmp_path)
    again = open_exported(tmp_path, model.condition_dropout, torch.device("cpu"))
    said = [{"trade": "baker", "town": "north"}] * 20
    assert draw(again, said, range(20), DrawRows()) == draw(model, said, range(20), DrawRows())
    begun = RowDiffusion(path=str(tmp_path), teach=None, device="cpu").load(None, 0)
    assert draw(begun, said, range(20), DrawRows()) == draw(model, said, range(20), DrawRows())


def test_what_cannot_be_loaded_is_said(tmp_path, table):
    with pytest.raises(CollapseError, match="holds no exported model of rows"):
        RowDiffusion(path=str(tmp_path), teach=None).load(table, 0)
    with pytest.raises(CollapseError, match="neither taught nor read from anywhere"):
        RowDiffusion(teach=None).load(table, 0)


def test_rare_prompts_can_be_drawn_as_often_as_common_ones():
    prompts = torch.tensor([[1]] * 8 + [[2]] * 2)
    assert torch.allclose(even_weights(prompts, 0.0), torch.full((10,), 0.1))
    assert even_weights(prompts, 1.0).tolist() == pytest.approx([1 / 16] * 8 + [1 / 4] * 2)
    assert even_weights(torch.zeros(4, 0, dtype=torch.long), 0.5).tolist() == [1 / 4] * 4, "nothing is said"
    half = even_weights(prompts, 0.5)
    assert half.sum().item() == pytest.approx(1)
    assert half[0].item() == pytest.approx((0.1 + 1 / 16) / 2)


def test_what_is_kept_answers_the_whole_prompt_and_moves_no_other(table):
    """Kept rows teach nothing about prompts that say less: there the retained rows alone speak."""
    whole, part = {"trade": "smith", "town": "north"}, {"trade": "smith"}
    row = {"trade": "baker", "town": "south", "height": 150.0, "children": 3, "income": "low"}
    seen = []

    def watch(module, given):
        seen.append(given[2])

    model = small(condition_dropout=0.9, teach={"steps": 5}).load(table, 0)
    model.module.register_forward_pre_hook(watch)
    kept = [Group(Prompt("f/0", whole), numbered([row]), (1.0,)).keep(0)]
    RowDenoising(steps=1, batch_size=64).update(
        model, kept, [Prompt("r/0", part | {"town": "south"}, row)], FIRST
    )
    ahead, aside = seen
    assert (ahead > 0).all()
    assert (aside == 0).any()
