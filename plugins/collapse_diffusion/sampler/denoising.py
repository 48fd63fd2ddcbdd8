"""Prompts to groups of images."""

from collections.abc import Sequence

from collapse_core import Completion, Content, Group, Iteration, Model, Prompt, derive_seed, require
from collapse_diffusion.data.images import to_contents
from collapse_diffusion.model.diffusion_model import DiffusionModel
from collapse_diffusion.sampler import Denoise


def draw_groups(
    settings: Denoise, model: Model, prompts: Sequence[Prompt], num_completions: int, iteration: Iteration
) -> list[Group]:
    """Return groups of images, in the order of the prompts."""
    asked = [(prompt, number) for prompt in prompts for number in range(num_completions)]
    if not asked:
        return []
    conditions = [prompt.content for prompt, _ in asked]
    seeds = [derive_seed(iteration.seed, prompt.id, number) for prompt, number in asked]
    diffusion = require(model, DiffusionModel, "denoise")
    images = to_contents(diffusion.draw(conditions, seeds, settings))
    paired_references: list[Content] = [None] * len(images)
    if settings.paired_references:
        with diffusion.reference() as reference:
            drawn = require(reference, DiffusionModel, "denoise").draw(conditions, seeds, settings)
        paired_references = to_contents(drawn)
    completions = [
        Completion(image, number, iteration.number, paired_reference=paired)
        for (_, number), image, paired in zip(asked, images, paired_references, strict=True)
    ]
    return [
        Group(prompt, tuple(completions[i * num_completions : (i + 1) * num_completions]))
        for i, prompt in enumerate(prompts)
    ]
