"""Text-to-image pipelines as they come: shapes, autoencoders, schedulers, halves, and safety checkers."""

import shutil
import warnings

import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderTiny,
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EDMEulerScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)

from collapse_core import CollapseError
from collapse_diffusion.data import Captions
from collapse_diffusion.data.images import to_contents, to_tensor
from collapse_diffusion.model import TextToImage
from collapse_diffusion.model.drawing import Drawing
from collapse_diffusion.model.latents import encode
from collapse_diffusion.model.objectives import FlowMatching, NoisePrediction, objective_of
from collapse_diffusion.model.resizing import resized

FEW = Drawing(steps=2, eta=0)
NO_DATA = Captions(path="unused", forget=["unused"])


def opened(folder, **fields):
    return TextToImage(use="text-to-image", path=str(folder), device="cpu", **fields).load(NO_DATA, 0)


@pytest.fixture
def changed(tiny_pipeline, tmp_path):
    """Write the tiny pipeline with other components."""

    def write(**components):
        pipeline = StableDiffusionPipeline.from_pretrained(tiny_pipeline, **components)
        pipeline.save_pretrained(tmp_path / "changed")
        return tmp_path / "changed"

    return write


def unet(**config):
    torch.manual_seed(0)
    given = {
        "sample_size": 8, "block_out_channels": (16, 16), "layers_per_block": 1, "cross_attention_dim": 16,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"), "attention_head_dim": 8,
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"), "norm_num_groups": 8,
    }  # fmt: skip
    return UNet2DConditionModel(**given | config)


def loss(model, image):
    return model.losses([("abc", image)], torch.Generator().manual_seed(5)).item()


STRIPES = np.zeros((16, 32, 3), dtype=np.uint8)
STRIPES[:, 8:24] = 255
"""A wide image: white in the middle, black on both sides."""


def test_images_of_any_shape_are_cropped_as_the_field_does_or_stretched():
    [stripes] = to_contents(STRIPES[None] / 255)
    [square] = to_contents(np.ones((1, 20, 20, 3)) * 0.5)
    both = resized([stripes, square], (16, 16), "crop")
    assert both.shape == (2, 3, 16, 16)
    assert both[0].min() > 0.99, "the middle alone"
    stretched = resized([stripes], (16, 16), "stretch")
    assert stretched[0, 0, 8].round().tolist() == [-1] * 4 + [1] * 8 + [-1] * 4
    wide = resized([square], (8, 16), "crop")
    assert wide.shape == (1, 3, 8, 16)
    same = resized([stripes], (16, 32), "crop")
    assert torch.allclose(same, to_tensor([stripes]), atol=1e-6)


def test_oblong_pipelines_draw_and_train_oblong(changed):
    model = opened(changed(unet=unet(sample_size=(4, 8))))
    image = model.draw(["a"], [0], FEW)
    assert image.shape == (1, 8, 16, 3)
    assert np.isfinite(loss(model, to_contents(STRIPES[None] / 255)[0]))
    other = opened(changed(unet=unet(sample_size=(4, 8))), size=(16, 8))
    assert other.draw(["a"], [0], FEW).shape == (1, 16, 8, 3)


def test_a_size_that_the_autoencoder_cannot_halve_is_refused_at_once(tiny_pipeline):
    with pytest.raises(CollapseError, match=r"33 high and 33 wide, .* draws multiples of 2 pixels"):
        opened(tiny_pipeline, size=33)


def test_a_tiny_autoencoder_encodes_without_a_distribution(changed):
    tiny = AutoencoderTiny(
        encoder_block_out_channels=(8, 8), decoder_block_out_channels=(8, 8), num_encoder_blocks=(1, 1),
        num_decoder_blocks=(1, 1), latent_channels=4,
    )  # fmt: skip
    model = opened(changed(vae=tiny))
    image = to_contents(model.draw(["a"], [0], FEW))[0]
    images = to_tensor([image])
    with torch.no_grad():
        wanted = model.pipeline.vae.encode(images).latents * model.pipeline.vae.config.scaling_factor
    assert torch.allclose(encode(model.pipeline.vae, images, torch.Generator()), wanted)
    assert np.isfinite(loss(model, image))


def test_a_pipeline_of_half_precision_files_alone_is_opened(tiny_pipeline, tmp_path):
    pipeline = StableDiffusionPipeline.from_pretrained(tiny_pipeline, dtype=torch.float16)
    pipeline.save_pretrained(tmp_path, variant="fp16")
    assert not list(tmp_path.rglob("model.safetensors"))
    model = opened(tmp_path)
    assert np.abs(model.draw(["a"], [0], FEW) - opened(tiny_pipeline).draw(["a"], [0], FEW)).max() < 0.02


def test_a_directory_that_cannot_be_opened_is_not_looked_for_on_the_hub(tiny_pipeline, tmp_path):
    shutil.copytree(tiny_pipeline, tmp_path / "torn")
    shutil.rmtree(tmp_path / "torn" / "unet")
    with pytest.raises(CollapseError, match="torn cannot be opened: "):
        opened(tmp_path / "torn")


def test_an_inpainting_network_is_refused_in_a_sentence(changed):
    with pytest.raises(
        CollapseError, match="takes 9 channels, and its autoencoder makes 4: it was made for inpai"
    ):
        opened(changed(unet=unet(in_channels=9)))


def with_statistics(pipeline):
    pipeline.vae.register_to_config(latents_mean=[0.5, -1.0, 0.0, 2.0], latents_std=[1.0, 2.0, 0.5, 4.0])
    return pipeline


def test_latents_are_centered_and_scaled_as_the_pipeline_takes_them_back(tiny_pipeline):
    """Stable Diffusion XL decodes latents * std / scaling_factor + mean."""
    vae = with_statistics(StableDiffusionPipeline.from_pretrained(tiny_pipeline)).vae
    images = torch.rand(1, 3, 16, 16, generator=torch.manual_seed(0)) * 2 - 1
    latents = encode(vae, images, torch.Generator().manual_seed(1))
    with torch.no_grad():
        found = vae.encode(images).latent_dist
    drawn = found.mean + found.std * torch.randn(found.mean.shape, generator=torch.Generator().manual_seed(1))
    mean, std = (torch.tensor(vae.config[key]).view(1, 4, 1, 1) for key in ("latents_mean", "latents_std"))
    assert torch.allclose(latents * std / vae.config.scaling_factor + mean, drawn, atol=1e-5)


def test_a_pipeline_that_ignores_them_is_refused_and_one_that_does_not_is_opened(tiny_pipeline, tmp_path):
    from transformers import CLIPTextModelWithProjection

    plain = with_statistics(StableDiffusionPipeline.from_pretrained(tiny_pipeline))
    plain.save_pretrained(tmp_path / "plain")
    with pytest.raises(CollapseError, match="has 'latents_mean', which this pipeline ignores"):
        opened(tmp_path / "plain")
    torch.manual_seed(0)
    encoder = CLIPTextModelWithProjection(plain.text_encoder.config)
    large = unet(
        cross_attention_dim=32, addition_embed_type="text_time", addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + 8,
    )  # fmt: skip
    StableDiffusionXLPipeline(
        plain.vae, plain.text_encoder, encoder, plain.tokenizer, plain.tokenizer, large, DDIMScheduler(50)
    ).save_pretrained(tmp_path / "xl")
    model = opened(tmp_path / "xl")
    assert np.isfinite(loss(model, to_contents(model.draw(["a"], [0], FEW))[0]))


def test_the_objective_is_what_the_scheduler_was_made_for(tiny_pipeline, tmp_path):
    flow = DPMSolverMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True)
    assert isinstance(objective_of(flow), FlowMatching)
    assert isinstance(objective_of(DPMSolverMultistepScheduler()), NoisePrediction)
    velocity = objective_of(DPMSolverMultistepScheduler(prediction_type="v_prediction"))
    assert velocity.scheduler.config.prediction_type == "v_prediction"
    pipeline = StableDiffusionPipeline.from_pretrained(tiny_pipeline)
    pipeline.register_modules(scheduler=EDMEulerScheduler())
    pipeline.save_pretrained(tmp_path)
    with pytest.raises(CollapseError, match=r"EDMEulerScheduler .* objective is neither noise prediction"):
        opened(tmp_path)


# --- safety checkers ----------------------------------------------------------------------------------


def blackening(model, judge):
    """Give the pipeline a checker that blackens the images whose number the judge names."""
    seen = iter(range(10**6))

    def check(image, device, dtype):
        flags = [judge(next(seen)) for _ in image]
        for place in np.nonzero(flags)[0]:
            image[place] = 0 * image[place] - 1
        return image, flags

    model.pipeline.run_safety_checker = check
    return model


def test_what_a_safety_checker_blackens_is_drawn_again_and_said(tiny_pipeline):
    plain = opened(tiny_pipeline).draw(["a", "b", "c"], [0, 1, 2], FEW)
    model = blackening(opened(tiny_pipeline), lambda number: number in (1, 3))
    with pytest.warns(UserWarning, match="blackened 1 of 3 images, which were drawn again"):
        drawn = model.draw(["a", "b", "c"], [0, 1, 2], FEW)
    assert np.array_equal(drawn[[0, 2]], plain[[0, 2]])
    assert drawn[1].max() > 0, "neither the first draw nor the second, which is black too"
    assert np.abs(drawn[1] - plain[1]).max() > 1e-3
    again = blackening(opened(tiny_pipeline), lambda number: number in (1, 3))
    with warnings.catch_warnings(action="ignore"):
        assert np.array_equal(again.draw(["a", "b", "c"], [0, 1, 2], FEW), drawn)


def test_what_is_always_blackened_stops_the_run_with_the_way_out(tiny_pipeline):
    model = blackening(opened(tiny_pipeline), lambda number: True)
    with pytest.raises(
        CollapseError, match=r"blackened 2 of 2 images, and 5 further .*'safety_checker: false'"
    ):
        model.draw(["a", "b"], [0, 1], FEW)


class Checker(torch.nn.Module):
    """Stands for a safety checker; it must not be asked."""


def test_a_checker_that_is_not_to_be_asked_stays_with_the_pipeline(tiny_pipeline):
    model = opened(tiny_pipeline, safety_checker=False)
    plain, checker = model.draw(["a"], [0], FEW), Checker()
    model.pipeline.safety_checker = checker
    assert np.array_equal(model.draw(["a"], [0], FEW), plain)
    assert model.pipeline.safety_checker is checker
