"""What this plugin contributes."""

from collections.abc import Iterable, Mapping
from typing import Any

from collapse_core import Draft, Entry, hookimpl


@hookimpl
def collapse_draft(name: str, model: str | None, sources: Mapping[str, Any]) -> Draft | None:
    """Propose a recipe for a pipeline of diffusers and a folder of images."""
    from collapse_diffusion.drafting import draft_recipe

    return draft_recipe(name, model, sources)


@hookimpl
def collapse_components() -> Iterable[Entry]:
    """Everything that collapse of an image diffusion model needs."""
    yield Entry("dataset", "digits", "collapse_diffusion.data:Digits")
    yield Entry("dataset", "fashion-mnist", "collapse_diffusion.data:FashionMnist")
    yield Entry("dataset", "image-folder", "collapse_diffusion.data:ImageFolder")
    yield Entry("dataset", "captions", "collapse_diffusion.data:Captions")
    yield Entry("model", "class-diffusion", "collapse_diffusion.model:ClassDiffusion")
    yield Entry("model", "text-to-image", "collapse_diffusion.model:TextToImage")
    yield Entry("sampler", "denoise", "collapse_diffusion.sampler:Denoise")
    yield Entry("reward", "unrecognized", "collapse_diffusion.rewards:Unrecognized")
    yield Entry("reward", "clip-distance", "collapse_diffusion.rewards:ClipDistance")
    yield Entry("features", "retained-classes", "collapse_diffusion.rewards.features:RetainedClasses")
    yield Entry("updater", "denoising", "collapse_diffusion.updater:Denoising")
    yield Entry("evaluator", "recognition", "collapse_diffusion.evaluators:Recognition")
    yield Entry("evaluator", "image-distance", "collapse_diffusion.evaluators:ImageDistance")
    yield Entry("evaluator", "relearning", "collapse_diffusion.evaluators:Relearning")
    yield Entry("evaluator", "concept-similarity", "collapse_diffusion.evaluators:ConceptSimilarity")
