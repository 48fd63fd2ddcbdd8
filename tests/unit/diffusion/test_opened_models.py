"""Pretrained models of classes: a UNet with classes, with none, without one for none; a DiT."""

import json

import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DDPMPipeline,
    DDPMScheduler,
    DiffusionPipeline,
    DiTPipeline,
    DiTTransformer2DModel,
    EDMEulerScheduler,
    FlowMatchEulerDiscreteScheduler,
    UNet2DModel,
)
from pydantic import ValidationError

from collapse_core import CollapseError, Iteration, Prompt
from collapse_core.contracts.types import Group
from collapse_core.testing import check_updater, numbered
from collapse_diffusion.model import ClassDiffusion
from collapse_diffusion.model.drawing import Drawing
from collapse_diffusion.sampler import Denoise
from collapse_diffusion.updater import Denoising

FEW = Drawing(steps=2)


def unet(embedded, channels=1, out=1, **config):
    torch.manual_seed(0)
    return UNet2DModel(
        8, channels, out, block_out_channels=(8,), down_block_types=("DownBlock2D",),
        up_block_types=("UpBlock2D",), norm_num_groups=4, num_class_embeds=embedded, **config,
    )  # fmt: skip


def write(folder, embedded=None, scheduler=None, classes=None, **config):
    DDPMPipeline(unet(embedded, **config), scheduler or DDPMScheduler(50)).save_pretrained(folder)
    if classes is not None:
        (folder / "classes.json").write_text(json.dumps(classes))
    return folder


def write_dit(folder, num_classes=1000):
    torch.manual_seed(0)
    vae = AutoencoderKL(
        block_out_channels=(8, 8), down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2, latent_channels=4, norm_num_groups=4,
    )  # fmt: skip
    transformer = DiTTransformer2DModel(
        num_attention_heads=2, attention_head_dim=4, in_channels=4, out_channels=8, num_layers=1,
        norm_num_groups=4, sample_size=4, patch_size=2, num_embeds_ada_norm=num_classes,
    )  # fmt: skip
    DiTPipeline(transformer, vae, DDIMScheduler(50)).save_pretrained(folder)
    return folder


def opened(folder, data, **fields):
    return ClassDiffusion(use="class-diffusion", path=str(folder), teach=None, device="cpu", **fields).load(
        data, 0
    )


def kept_and_retain(model, digits):
    groups = Denoise(steps=2).sample(model, list(digits.load("forget")), 2, Iteration(0, 1, 3))
    kept = [Group(g.prompt, numbered([g.completions[0].content]), (1.0,)).keep(0) for g in groups]
    return kept, list(digits.load("retain"))[:4]


@pytest.mark.parametrize(
    ("embedded", "out"),
    [
        pytest.param(10, 1, id="no null", marks=pytest.mark.slow),
        pytest.param(11, 1, id="null"),
        pytest.param(None, 1, id="no classes", marks=pytest.mark.slow),
        pytest.param(None, 2, id="variance"),
    ],
)
def test_a_unet_is_opened_sampled_trained_exported_and_opened_again(embedded, out, digits, tmp_path):
    folder, classes = (
        write(tmp_path / "given", embedded, out=out),
        list(range(10)) if embedded == 11 else None,
    )
    model = opened(folder, digits, classes=classes)
    kept, retain = kept_and_retain(model, digits)
    updater = Denoising(steps=2, batch_size=3, learning_rate=1e-2, warmup=0)
    check_updater(updater, lambda: opened(folder, digits, classes=classes), kept, retain)
    before = model.draw([8, 1], [5, 6], FEW)
    updater.update(model, kept, retain, Iteration(0, 1, 3))
    after = model.draw([8, 1], [5, 6], FEW)
    assert np.abs(after - before).max() > 1e-3
    model.export(tmp_path / "model")
    again = opened(tmp_path / "model", digits)
    assert np.array_equal(again.draw([8, 1], [5, 6], FEW), after)
    assert again.has_null == (embedded == 11)


def test_a_unet_without_a_class_for_none_is_not_guided_here_nor_in_its_export(digits, tmp_path):
    model = opened(write(tmp_path / "given", 10), digits)
    with pytest.raises(CollapseError, match="has no class that stands for none, and cannot be guided"):
        model.draw([8], [0], Drawing(steps=2, guidance=2))
    model.export(tmp_path / "model")
    code = str(tmp_path / "model" / "pipeline.py")
    pipeline = DiffusionPipeline.from_pretrained(
        tmp_path / "model", custom_pipeline=code, trust_remote_code=True
    )
    with pytest.raises(ValueError, match="cannot be guided"):
        pipeline([8], num_inference_steps=2, guidance_scale=2)
    stream = [torch.Generator().manual_seed(4)]
    alone = pipeline([8], num_inference_steps=2, generator=stream, output_type="np").images
    assert np.abs(alone - model.draw([8], [4], FEW)).max() < 1e-6


def test_the_loss_without_classes_is_that_of_ddpm(digits, tmp_path):
    model = opened(write(tmp_path, None), digits)
    from collapse_diffusion.data.images import to_tensor

    image = digits.load("full")[0].target
    got = model.losses([(3, image)], torch.Generator().manual_seed(2))
    source = torch.Generator().manual_seed(2)
    time, noise = torch.randint(50, (1,), generator=source), torch.randn((1, 1, 8, 8), generator=source)
    noisy = DDPMScheduler(50).add_noise(to_tensor([image]), noise, time)
    with torch.no_grad():
        wanted = ((model.module(noisy, time).sample - noise) ** 2).mean()
    assert got.item() == pytest.approx(wanted.item(), rel=1e-5)


@pytest.mark.parametrize("num_classes", [pytest.param(1000, marks=pytest.mark.slow), 12])
def test_a_dit_is_opened_sampled_trained_exported_and_opened_again(num_classes, digits, tmp_path):
    folder = write_dit(tmp_path / "given", num_classes)
    classes = list(range(num_classes))
    model = opened(folder, digits, classes=classes)
    plain = DiTPipeline.from_pretrained(folder)
    stream, steps = [torch.Generator().manual_seed(5)], {"num_inference_steps": 2, "output_type": "np"}
    wanted = plain([8], guidance_scale=1.0, generator=stream, **steps).images
    assert np.abs(model.draw([8], [5], FEW) - wanted).max() < 1e-6
    kept, retain = kept_and_retain(model, digits)
    updater = Denoising(steps=2, batch_size=3, learning_rate=1e-2, warmup=0)
    check_updater(updater, lambda: opened(folder, digits, classes=classes), kept, retain)
    updater.update(model, kept, retain, Iteration(0, 1, 3))
    assert set(model.trainable()) == {name for name, _ in plain.transformer.named_parameters()}
    after = model.draw([8, 1], [5, 6], FEW)
    model.export(tmp_path / "model")
    assert np.array_equal(opened(tmp_path / "model", digits).draw([8, 1], [5, 6], FEW), after)
    if num_classes == 1000:
        assert model.draw([8], [5], Drawing(steps=2, guidance=3)).shape == (1, 8, 8, 3)
    else:
        with pytest.raises(CollapseError, match="cannot be guided"):
            model.draw([8], [5], Drawing(steps=2, guidance=3))


class Kinds:
    """What is asked of a data set of the names that a DiT gives its classes."""

    use = "kinds"

    def load(self, split, *, targets=True):
        return [Prompt("1", "kind 3")]


def test_a_dit_knows_its_classes_by_the_names_it_comes_with(tmp_path):
    index = json.loads((write_dit(tmp_path, 12) / "model_index.json").read_text())
    index["id2label"] = {str(number): f"kind {number}, also {number}" for number in range(12)}
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    model = opened(tmp_path, Kinds())
    assert model.labels(["kind 3", "also 3", "kind 11"]) == [3, 3, 11]


@pytest.mark.parametrize(
    ("given", "fields", "said"),
    [
        ({"embedded": 3}, {}, "the model has no class 8; known: 0, 1, 2"),
        ({"embedded": 10}, {"classes": [1, 2]}, "has 10 class embeddings, and 'classes' names 2"),
        ({"channels": 3, "out": 3}, {}, r"draws 8x8 pixels in color, .*'digits' has 8x8 pixels in gray"),
        ({"scheduler": EDMEulerScheduler()}, {}, "EDMEulerScheduler .* whose objective is neither"),
        ({"scheduler": FlowMatchEulerDiscreteScheduler()}, {}, "was trained by flow matching"),
        ({"class_embed_type": "timestep"}, {}, "embeds classes by 'timestep'"),
    ],
)
def test_a_model_that_does_not_go_with_the_data_or_the_loss_is_refused(given, fields, said, digits, tmp_path):
    with pytest.raises(CollapseError, match=said):
        opened(write(tmp_path, **given), digits, **fields)


def test_other_pipelines_are_refused_in_a_sentence(tiny_pipeline, digits):
    with pytest.raises(
        CollapseError, match=r"holds a StableDiffusionPipeline of .*'class-diffusion' opens a UNet2DModel"
    ):
        opened(tiny_pipeline, digits)


def test_a_model_is_either_taught_or_opened():
    with pytest.raises(ValidationError, match="'path' with 'teach: null'"):
        ClassDiffusion(path="somewhere")
