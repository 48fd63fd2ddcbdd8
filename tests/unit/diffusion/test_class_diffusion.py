"""A class-conditional model: its losses, its draws, its training, its export."""

import copy
import json
import os
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from collapse_core import CollapseError, Iteration, Prompt, derive_seed
from collapse_core.contracts.types import Group
from collapse_core.testing import check_loader, check_updater, numbered, saved
from collapse_diffusion.data.images import to_contents, to_tensor
from collapse_diffusion.model.drawing import Drawing
from collapse_diffusion.model.objectives import FlowMatching, NoisePrediction, Task, make_scheduler
from collapse_diffusion.sampler import Denoise
from collapse_diffusion.updater import Denoising

FEW = Drawing(steps=4)


def examples(digits, num):
    return [(prompt.content, prompt.target) for prompt in list(digits.load("full"))[:num]]


def test_a_model_is_loaded_the_same_each_time_and_survives_saving(loader, digits):
    check_loader(loader, digits)


def test_another_seed_or_another_split_teaches_another_model(loader, digits, model):
    without = loader.model_copy(update={"teach": loader.teach.model_copy(update={"split": "retain"})})
    assert saved(loader.load(digits, 1)) != saved(model)
    assert saved(without.load(digits, 0)) != saved(model)
    assert without.load(digits, 0).classes == model.classes, "the class that was never trained on has a place"


def test_the_noise_schedule_is_the_recipes_also_after_reading_it_from_the_cache(model):
    assert model.scheduler.config.num_train_timesteps == 50
    for name in ("DDIMScheduler", "DDPMScheduler", "DPMSolverMultistepScheduler", "EulerDiscreteScheduler"):
        assert make_scheduler(name, model.scheduler.config).config.num_train_timesteps == 50


def test_the_noise_schedule_is_the_cosine(model):
    """alpha_bar(t) = f(t) / f(0), f(t) = cos^2((t/T + 0.008) / 1.008 * pi/2) (arXiv 2102.09672, eq. 17)."""
    times = np.arange(1, 50)
    f = np.cos((np.arange(51) / 50 + 0.008) / 1.008 * np.pi / 2) ** 2
    got = model.scheduler.alphas_cumprod.numpy()
    assert got[times - 1] == pytest.approx(f[times] / f[0], rel=1e-4)


def test_the_loss_is_the_mean_square_error_of_the_predicted_noise(model, digits):
    batch = examples(digits, 5)
    got = model.losses(batch, torch.Generator().manual_seed(3))
    source = torch.Generator().manual_seed(3)
    times = torch.randint(50, (5,), generator=source)
    noise = torch.randn((5, 1, 8, 8), generator=source)
    share = model.scheduler.alphas_cumprod[times][:, None, None, None]
    noisy = share.sqrt() * to_tensor([image for _, image in batch]) + (1 - share).sqrt() * noise
    labels = torch.tensor([model.classes.index(name) for name, _ in batch])
    wanted = ((model.module(noisy, times, class_labels=labels).sample - noise) ** 2).mean((1, 2, 3))
    assert torch.allclose(got, wanted, atol=1e-6)


@pytest.mark.parametrize("kind", ["epsilon", "sample", "v_prediction"])
def test_a_perfect_prediction_has_no_loss_whatever_is_predicted(kind, model):
    scheduler = copy.deepcopy(model.scheduler)
    scheduler.register_to_config(prediction_type=kind)
    clean = torch.randn(4, 1, 8, 8)
    task = NoisePrediction(scheduler).task(clean, torch.Generator().manual_seed(1))
    share = scheduler.alphas_cumprod[task.times][:, None, None, None]
    noise = (task.noisy - share.sqrt() * clean) / (1 - share).sqrt()
    velocity = share.sqrt() * noise - (1 - share).sqrt() * clean
    perfect = {"epsilon": noise, "sample": clean, "v_prediction": velocity}[kind]
    assert task.losses(perfect).max() < 1e-6
    assert task.losses(perfect + 1).tolist() == pytest.approx([1.0] * 4, abs=1e-3)


def test_the_target_of_flow_matching_leads_from_the_image_to_the_noise():
    clean = torch.randn(3, 1, 4, 4)
    task = FlowMatching(1000).task(clean, torch.Generator().manual_seed(2))
    share = (task.times / 1000)[:, None, None, None]
    assert task.times.min() > 0
    assert task.times.max() < 1000
    assert torch.allclose(task.noisy - share * task.target, clean, atol=1e-5), "back along it to the image"


def test_the_loss_is_a_mean_over_pixels_not_over_images():
    task = Task(torch.zeros(2, 1, 2, 2), torch.zeros(2), torch.zeros(2, 1, 2, 2))
    assert task.losses(torch.tensor([1.0, 3.0])[:, None, None, None].expand(2, 1, 2, 2)).tolist() == [1, 9]


@pytest.mark.parametrize(
    "drawing",
    [FEW, Drawing(steps=4, eta=0), Drawing(steps=3, guidance=2), Drawing(scheduler="DDPMScheduler")],
)
def test_an_image_depends_on_its_own_seed_and_not_on_its_batch(drawing, model):
    names, seeds = [8, 1, 8, 3, 0], [1, 2, 3, 4, 5]
    together = model.draw(names, seeds, drawing)
    apart = model.draw(names, seeds, drawing.model_copy(update={"batch_size": 2}))
    backwards = model.draw(names[::-1], seeds[::-1], drawing)[::-1]
    assert np.abs(together - apart).max() < 1e-4
    assert np.abs(together - backwards).max() < 1e-4
    assert np.abs(together[0] - together[2]).max() > 0.01, "another seed draws another image"


def test_the_sampler_draws_groups_seeded_by_prompt_and_number(model, digits):
    prompts = list(digits.load("forget"))
    few = Denoise(steps=4, batch_size=4)
    groups = few.sample(model, prompts, 3, Iteration(2, 9, 77))
    assert [group.prompt for group in groups] == prompts
    assert {c.policy_version for group in groups for c in group.completions} == {2}
    alone = few.sample(model, prompts[1:2], 2, Iteration(2, 9, 77))[0]
    for one, other in zip(alone.completions, groups[1].completions, strict=False):
        assert np.abs(np.subtract(one.content, other.content)).max() <= 1, "rounding aside"
    assert groups[0].completions[0].content != groups[1].completions[0].content
    assert few.sample(model, [], 3, Iteration(0, 1, 0)) == []
    json.dumps([c.content for group in groups for c in group.completions])


def test_paired_references_are_drawn_by_the_reference_model_also_after_resuming(
    loader, model, digits, tmp_path
):
    kept, retain = kept_and_retain(digits)
    prompts, iteration = list(digits.load("forget"))[:2], Iteration(0, 1, 3)
    paired = Denoise(steps=4, paired_references=True)
    original = [
        c.content
        for group in Denoise(steps=4).sample(model, prompts, 2, iteration)
        for c in group.completions
    ]
    Denoising(steps=5, batch_size=2, learning_rate=1e-2, warmup=0).update(model, kept, retain, iteration)
    model.save(tmp_path)
    resumed = loader.load(digits, 0)
    resumed.restore(tmp_path)
    for later in (model, resumed):
        later.set_reference(lambda: loader.load(digits, 0))
        drawn = [c for group in paired.sample(later, prompts, 2, iteration) for c in group.completions]
        assert [c.paired_reference for c in drawn] == original
        assert all(c.content != c.paired_reference for c in drawn)


def test_guidance_moves_along_the_difference_to_the_class_that_is_none(model):
    from collapse_diffusion.model.pipeline import ClassConditionalPipeline

    pipe = ClassConditionalPipeline(model.module, model.scheduler)
    image, labels, t = torch.randn(2, 1, 8, 8), torch.tensor([3, 8]), torch.tensor(20)
    with torch.no_grad():
        conditioned = model.module(image, t, class_labels=labels).sample
        free = model.module(image, t, class_labels=torch.tensor([10, 10])).sample
        assert torch.allclose(pipe._predict(image, t, labels, 1), conditioned)
        assert torch.allclose(pipe._predict(image, t, labels, 0), free, atol=1e-6)
        assert torch.allclose(pipe._predict(image, t, labels, 3), 3 * conditioned - 2 * free, atol=1e-5)


def test_an_unknown_scheduler_or_class_is_named(model):
    with pytest.raises(CollapseError, match="no scheduler called 'DDIM'"):
        model.draw([8], [0], Drawing(scheduler="DDIM"))
    with pytest.raises(CollapseError, match="no class 11; known: 0, 1"):
        model.draw([11], [0], FEW)


def known(loader, digits):
    """What makes a model that knows its reference model."""

    def make():
        model = loader.load(digits, 0)
        model.set_reference(lambda: loader.load(digits, 0))
        return model

    return make


def kept_and_retain(digits):
    draws = zip(digits.load("forget"), examples(digits, 3), strict=True)
    kept = [Group(prompt, numbered([image]), (1.0,)).keep(0) for prompt, (_, image) in draws]
    return kept, list(digits.load("retain"))[:7]


def test_training_is_repeatable_and_goes_on_from_a_saved_model(loader, digits):
    kept, retain = kept_and_retain(digits)
    check_updater(Denoising(steps=3, batch_size=2), lambda: loader.load(digits, 0), kept, retain)


def test_training_lowers_the_loss_on_both_halves(model, digits):
    kept, retain = kept_and_retain(digits)
    updater = Denoising(steps=30, batch_size=7, learning_rate=2e-3, warmup=0, schedule="constant")
    first = updater.update(model, kept, retain, Iteration(0, 2, 7))
    second = updater.update(model, kept, retain, Iteration(1, 2, 7))
    assert second["collapse_loss"] < first["collapse_loss"]
    assert second["retain_loss"] < first["retain_loss"]


def test_the_gradient_is_that_of_kept_plus_weight_times_retain(model, digits):
    from collapse_diffusion.updater.training import add_gradients

    kept, retain = examples(digits, 2), examples(digits, 5)[2:]
    add_gradients(Denoising(retain_weight=2.5), model, kept, retain, 11)
    got = [p.grad.clone() for p in model.module.parameters()]
    model.module.zero_grad()
    losses = model.losses([*kept, *retain], torch.Generator().manual_seed(11))
    (losses[:2].mean() + 2.5 * losses[2:].mean()).backward()
    for gradient, parameter in zip(got, model.module.parameters(), strict=True):
        assert torch.allclose(gradient, parameter.grad, atol=1e-7)


def test_the_gradient_of_a_push_is_that_of_the_images_below_the_limit(loader, model, digits):
    from collapse_diffusion.updater.training import add_gradients

    torch.manual_seed(0)
    for parameter in model.module.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    reference, pushed = loader.load(digits, 0), examples(digits, 12)
    model.set_reference(lambda: reference)
    settings = Denoising(against_weight=0.7, against_limit=1.02, retain_weight=0)
    add_gradients(settings, model, [], pushed[:1], 11, pushed)
    got = [p.grad.clone() for p in model.module.parameters()]
    model.module.zero_grad()

    source = torch.Generator().manual_seed(derive_seed(11, "against"))
    task = model.objective.task(to_tensor([image for _, image in pushed]), source)
    labels = torch.tensor([digit for digit, _ in pushed])
    ours, theirs = (
        ((task.target - each.module(task.noisy, task.times, class_labels=labels).sample) ** 2).mean((1, 2, 3))
        for each in (model, reference)
    )
    below = ours < 1.02 * theirs
    assert 0 < below.sum() < 12
    (-0.7 / 12 * ours[below].sum()).backward()
    for gradient, parameter in zip(got, model.module.parameters(), strict=True):
        assert torch.allclose(gradient, parameter.grad, atol=1e-7)


def test_training_with_a_push_is_repeatable_and_goes_on_from_a_saved_model(loader, digits):
    kept, retain = kept_and_retain(digits)
    against = [replace(one, against=kept[0].completion.content) for one in kept]
    check_updater(Denoising(steps=2, batch_size=2, against_weight=1), known(loader, digits), against, retain)


def test_with_nothing_kept_it_trains_on_retain_data_for_as_many_steps(model, digits):
    _, retain = kept_and_retain(digits)
    before = saved(model)
    found = Denoising(steps=2, batch_size=2).update(model, [], retain, Iteration(0, 1, 0))
    assert found["collapse_loss"] == 0 < found["retain_loss"]
    assert saved(model)["weights.safetensors"] != before["weights.safetensors"]
    optimizer = model.optimizer(None)
    assert {int(state["step"]) for state in optimizer.state.values()} == {2}


def test_with_nothing_at_all_the_model_stays_as_it_is(model):
    before = saved(model)
    assert Denoising().update(model, [], [], Iteration(0, 1, 0)) == {}
    assert saved(model) == before


LOAD = """
import sys, torch
from diffusers import DiffusionPipeline
folder = sys.argv[1]
code = f"{folder}/pipeline.py"
pipeline = DiffusionPipeline.from_pretrained(folder, custom_pipeline=code, trust_remote_code=True)
streams = [torch.Generator().manual_seed(seed) for seed in (5, 6)]
images = pipeline([8, 3], num_inference_steps=4, generator=streams, output_type="np").images
assert not any(name.startswith("collapse") for name in sys.modules)
print(images.round(5).tolist())
"""


def test_diffusers_draws_the_same_from_what_is_exported(model, tmp_path, monkeypatch):
    from diffusers import DiffusionPipeline
    from diffusers.utils import dynamic_modules_utils

    monkeypatch.setattr(dynamic_modules_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr(sys, "path", [*sys.path])
    model.export(tmp_path)
    code = str(tmp_path / "pipeline.py")
    pipeline = DiffusionPipeline.from_pretrained(tmp_path, custom_pipeline=code, trust_remote_code=True)
    streams = [torch.Generator().manual_seed(seed) for seed in (5, 6)]
    images = pipeline([8, 3], num_inference_steps=4, generator=streams, output_type="np").images
    assert np.abs(images - model.draw([8, 3], [5, 6], FEW)).max() < 1e-4
    assert not re.search(r"(import|from) collapse", (tmp_path / "pipeline.py").read_text())
    assert json.loads((tmp_path / "classes.json").read_text()) == list(range(10))


@pytest.mark.slow
def test_diffusers_alone_draws_the_same_where_collapse_is_never_imported(model, tmp_path):
    model.export(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(tmp_path)],
        env=os.environ | {"HF_MODULES_CACHE": str(tmp_path / "modules")},
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    mine = model.draw([8, 3], [5, 6], FEW)
    assert np.abs(np.array(json.loads(done.stdout)) - mine).max() < 1e-4


def test_images_are_written_down_in_256_levels_and_read_back(model):
    drawn = model.draw([1, 2], [0, 1], FEW)
    back = (to_tensor(to_contents(drawn)) + 1) / 2
    assert np.abs(back.permute(0, 2, 3, 1).numpy() - drawn).max() <= 0.5 / 255 + 1e-6


def test_a_prompt_that_is_no_class_of_images_is_refused(model):
    with pytest.raises(CollapseError, match="gray levels"):
        model.losses([(8, "a text")], torch.Generator())


def test_parts_of_other_domains_are_refused(digits):
    from collapse_toy.model import Categorical

    with pytest.raises(
        CollapseError, match="class Categorical, but 'denoise' needs the class DiffusionModel; choose"
    ):
        Denoise().sample(Categorical({"a": 1}), [Prompt("8/0", 8)], 1, Iteration(0, 1, 0))
