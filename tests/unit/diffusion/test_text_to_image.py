"""Text to image, end to end, on a tiny random pipeline."""

import json

import numpy as np
import pytest
import torch
from model_cards import card_of

from collapse_core import CollapseError, Completion, Dataset, Iteration, Prompt, PromptSet
from collapse_core.contracts.types import Group
from collapse_core.testing import check_evaluator, check_updater, numbered
from collapse_diffusion.data import Captions
from collapse_diffusion.data.images import to_tensor
from collapse_diffusion.evaluators import ConceptSimilarity
from collapse_diffusion.model import TextToImage
from collapse_diffusion.model.drawing import Drawing
from collapse_diffusion.rewards import ClipDistance
from collapse_diffusion.updater import Denoising

FEW = Drawing(steps=2, guidance=2, eta=0)
NO_DATA = Captions(path="unused", forget=["unused"])
PLAINLY = {"num_inference_steps": 2, "guidance_scale": 2.0, "output_type": "np"}
"""The same, as diffusers calls it."""


@pytest.fixture
def loader(tiny_pipeline):
    return TextToImage(path=str(tiny_pipeline), device="cpu")


@pytest.fixture
def painter(loader):
    return loader.load(NO_DATA, 0)


def drawn(model, captions, first=0):
    from collapse_diffusion.data.images import to_contents

    return to_contents(model.draw(captions, range(first, first + len(captions)), FEW))


def test_only_the_adapters_are_trained_and_at_first_they_change_nothing(painter, tiny_pipeline):
    from diffusers import StableDiffusionPipeline

    assert painter.trainable()
    assert all("lora" in name for name in painter.trainable())
    plain = StableDiffusionPipeline.from_pretrained(tiny_pipeline)
    streams = [torch.Generator().manual_seed(3)]
    with torch.no_grad():
        wanted = plain(
            ["abc"], num_inference_steps=2, guidance_scale=2.0, generator=streams, output_type="np"
        )
    assert np.abs(painter.draw(["abc"], [3], FEW) - wanted.images).max() < 1e-5


def test_an_image_depends_on_its_own_seed_and_not_on_its_batch(painter):
    together = painter.draw(["a", "b", "c"], [1, 2, 3], FEW)
    apart = painter.draw(["a", "b", "c"], [1, 2, 3], FEW.model_copy(update={"batch_size": 2}))
    assert np.abs(together - apart).max() < 1e-4


def test_the_loss_is_that_of_the_noise_in_latent_space(painter):
    image = drawn(painter, ["abc"])[0]
    got = painter.losses([("abc", image)], torch.Generator().manual_seed(5))
    source, pipeline = torch.Generator().manual_seed(5), painter.pipeline
    with torch.no_grad():
        found = pipeline.vae.encode(to_tensor([image])).latent_dist
        latents = found.mean + found.std * torch.randn(found.mean.shape, generator=source)
        latents = (latents - 0.1) * pipeline.vae.config.scaling_factor
        time = torch.randint(50, (1,), generator=source)
        noise = torch.randn(latents.shape, generator=source)
        share = pipeline.scheduler.alphas_cumprod[time]
        tokens = pipeline.tokenizer(
            "abc", padding="max_length", max_length=pipeline.tokenizer.model_max_length, return_tensors="pt"
        )
        text = pipeline.text_encoder(tokens.input_ids)[0]
        noisy = share.sqrt() * latents + (1 - share).sqrt() * noise
        wanted = ((pipeline.unet(noisy, time, text).sample - noise) ** 2).mean()
    assert got.item() == pytest.approx(wanted.item(), rel=1e-4)


def test_training_is_repeatable_and_goes_on_from_a_saved_model(loader, painter):
    images = drawn(painter, ["a", "b"])
    kept = [Group(Prompt("q", "a b"), numbered([images[0]]), (1.0,)).keep(0)]
    updater = Denoising(steps=2, batch_size=2, learning_rate=1e-3)

    def make():
        return loader.load(NO_DATA, 0)

    check_updater(updater, make, kept, [Prompt("r", "c", images[1])])


def test_what_is_exported_is_a_whole_pipeline_that_draws_the_same(loader, painter, tmp_path):
    from diffusers import DiffusionPipeline

    kept = [Group(Prompt("q", "a b"), numbered(drawn(painter, ["a"])), (1.0,)).keep(0)]
    before = painter.draw(["a b"], [1], FEW)
    Denoising(steps=5, learning_rate=1e-1, warmup=0).update(painter, kept, [], Iteration(0, 1, 0))
    after = painter.draw(["a b"], [1], FEW)
    assert np.abs(before - after).max() > 1e-3
    with painter.reference() as reference:
        assert np.abs(reference.draw(["a b"], [1], FEW) - before).max() < 1e-6
    painter.export(tmp_path)
    assert np.array_equal(painter.draw(["a b"], [1], FEW), after), "exporting changes nothing"
    plain = DiffusionPipeline.from_pretrained(tmp_path)
    assert not any("lora" in name for name, _ in plain.unet.named_parameters())
    streams = [torch.Generator().manual_seed(1)]
    with torch.no_grad():
        images = plain(
            ["a b"], num_inference_steps=2, guidance_scale=2.0, generator=streams, output_type="np"
        )
    assert np.abs(images.images - after).max() < 1e-4
    assert (tmp_path / "adapters" / "pytorch_lora_weights.safetensors").exists()


def test_a_pipeline_trained_by_flow_matching_learns_draws_and_is_exported(tiny_flow_pipeline, tmp_path):
    from diffusers import StableDiffusion3Pipeline

    plain = StableDiffusion3Pipeline.from_pretrained(tiny_flow_pipeline)
    painter = TextToImage(path=str(tiny_flow_pipeline), device="cpu").load(NO_DATA, 0)
    streams = [torch.Generator().manual_seed(3)]
    with torch.no_grad():
        wanted = plain(
            ["abc"], num_inference_steps=2, guidance_scale=2.0, generator=streams, output_type="np"
        )
    before = painter.draw(["abc"], [3], FEW)
    assert np.abs(before - wanted.images).max() < 1e-5
    kept = [Group(Prompt("q", "abc"), numbered(drawn(painter, ["abc"])), (1.0,)).keep(0)]
    updater = Denoising(steps=15, batch_size=1, learning_rate=3e-2, warmup=0, schedule="constant")
    first, second = (updater.update(painter, kept, [], Iteration(i, 2, 0))["collapse_loss"] for i in (0, 1))
    assert second < first
    after = painter.draw(["abc"], [3], FEW)
    assert np.abs(before - after).max() > 1e-3
    painter.export(tmp_path)
    again = StableDiffusion3Pipeline.from_pretrained(tmp_path)
    streams = [torch.Generator().manual_seed(3)]
    with torch.no_grad():
        images = again(
            ["abc"], num_inference_steps=2, guidance_scale=2.0, generator=streams, output_type="np"
        )
    assert np.abs(images.images - after).max() < 1e-4


def test_a_pipeline_that_lacks_something_is_refused(tmp_path, loader):
    from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

    unet = UNet2DModel(8, 1, 1, block_out_channels=(8,), down_block_types=("DownBlock2D",),
                       up_block_types=("UpBlock2D",), norm_num_groups=4)  # fmt: skip
    DDPMPipeline(unet, DDPMScheduler()).save_pretrained(tmp_path)
    with pytest.raises(CollapseError, match=r"DDPMPipeline.* has no vae, encode_prompt"):
        TextToImage(path=str(tmp_path), device="cpu").load(NO_DATA, 0)


def test_a_directory_without_a_pipeline_is_refused(tmp_path):
    loader = TextToImage(path=str(tmp_path))
    with pytest.raises(CollapseError, match=r"holds no model_index.json"):
        loader.provenance()


def test_provenance_has_the_digest_of_each_file(loader, tiny_pipeline):
    assert {"model_index.json", "unet/config.json"} <= set(loader.provenance())
    assert TextToImage(path="someone/else").provenance() == {"hub": "someone/else", "revision": "main"}


def test_clip_is_asked_as_transformers_would_ask_it(painter, tiny_clip):
    from transformers import CLIPModel, CLIPProcessor

    from collapse_diffusion.data.images import to_array

    contents, texts = drawn(painter, ["a", "b", "c"]), ["a church", "a dog"]
    model, processor = CLIPModel.from_pretrained(tiny_clip), CLIPProcessor.from_pretrained(tiny_clip)
    asked = processor(text=texts, images=[to_array(c) for c in contents], return_tensors="pt", padding=True)
    with torch.no_grad():
        logits = model(**asked).logits_per_image
    prompt, completions = Prompt("q", "a b"), [Completion(content) for content in contents]
    alone = ClipDistance(path=str(tiny_clip), concept=texts[0])
    with pytest.raises(CollapseError, match="prepare"):
        alone.score(prompt, completions, None)
    alone.prepare(NO_DATA, [], {})
    cosines = logits[:, 0] / model.logit_scale.exp()
    assert alone.score(prompt, completions, None) == pytest.approx((1 - cosines).tolist(), abs=1e-4)
    beside = ClipDistance(path=str(tiny_clip), concept=texts[0], alternatives=texts[1:])
    beside.prepare(NO_DATA, [], {})
    shares = logits.softmax(1)[:, 0]
    assert beside.score(prompt, completions, None) == pytest.approx((1 - shares).tolist(), abs=1e-4)
    assert beside.score(prompt, [], None) == []


def test_concept_similarity_measures_both_splits(painter, tiny_clip):
    class Few(Dataset):
        def load(self, split, *, targets=True):
            return PromptSet((Prompt("1", "a b"), Prompt("2", "c")))

    evaluator = ConceptSimilarity(path=str(tiny_clip), concept="a b", drawing=FEW)
    found = check_evaluator(evaluator, painter, Few()) or evaluator.evaluate(painter, Few(), 0)
    assert set(found.metrics) == {"clip_forget", "clip_retain"}


RECIPE = """\
version: 1
name: tiny-painter
data: {{use: captions, path: {folder}, forget: [a church, the church], num_draws: 2}}
model: {{use: text-to-image, path: {pipeline}, device: cpu, lora: {{rank: 2}}}}
sampler: {{use: denoise, steps: 2, guidance: 2, batch_size: 4}}
rewards: [{{use: clip-distance, path: {clip}, concept: a church}}]
filter: best-of-n
updater: {{use: denoising, steps: 2, batch_size: 2, learning_rate: 1e-3}}
iterations: 2
completions_per_prompt: 2
evaluate:
  with: [{{use: concept-similarity, path: {clip}, concept: a church, drawing: {{steps: 2}}}}]
"""


def test_a_recipe_makes_a_pipeline_forget_a_concept_by_clip(
    tiny_pipeline, tiny_clip, tmp_path, collapse_here
):
    from PIL import Image

    folder = tmp_path / "retain"
    folder.mkdir()
    rows = [{"file_name": f"{i}.png", "text": text} for i, text in enumerate(["a dog", "a cat"])]
    for i, row in enumerate(rows):
        Image.new("RGB", (16, 16), (100 * i, 20, 30)).save(folder / row["file_name"])
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(RECIPE.format(folder=folder, pipeline=tiny_pipeline, clip=tiny_clip))
    done = collapse_here("run", recipe, "--run-dir", tmp_path / "run")
    assert done.code == 0, done.err
    assert {"clip_forget", "clip_retain"} <= set(done.out.split())
    assert (tmp_path / "run" / "model" / "model_index.json").exists()
    card, names = card_of(tmp_path / "run", tmp_path, collapse_here)
    assert card.data.library_name == "diffusers"
    assert "clip_forget" in {result.metric_type for result in card.data.eval_results}
    assert type(names["pipeline"]).__name__ == "StableDiffusionPipeline"
