"""How well an image fits a text, by CLIP (Radford et al., arXiv 2103.00020)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import normalize

from collapse_core import Content, errors
from collapse_diffusion.data.images import to_array
from collapse_diffusion.model.sources import local_directory

ASKED_AT_ONCE = 64


class Clip:
    """A CLIP model with its processor."""

    def __init__(self, path: str, revision: str) -> None:
        """Open a model of transformers from a directory or the hub.

        Raises:
            CollapseError: It could not be loaded.
        """
        from transformers import CLIPModel, CLIPProcessor

        folder = local_directory(path, "config.json")
        where = {"local_files_only": True} if folder else {"revision": revision}
        try:
            self.model: Any = CLIPModel.from_pretrained(folder or path, **where).eval()
            self.processor: Any = CLIPProcessor.from_pretrained(folder or path, **where)
        except OSError as error:
            raise errors.not_fetched(path, error, "path: <the directory of a CLIPModel>") from None

    def similarities(self, contents: Sequence[Content], texts: Sequence[str]) -> torch.Tensor:
        """Return the cosine of each image with each text, of shape (images, texts), in [-1, 1]."""
        if not contents:
            return torch.zeros(0, len(texts))
        with torch.inference_mode():
            asked = self.processor(text=list(texts), return_tensors="pt", padding=True, truncation=True)
            wanted = normalize(self.model.get_text_features(**asked).pooler_output, dim=-1)
            batches = [contents[i : i + ASKED_AT_ONCE] for i in range(0, len(contents), ASKED_AT_ONCE)]
            seen = torch.cat([self._see(batch) for batch in batches])
        return (seen @ wanted.T).double().clamp(-1, 1)

    def _see(self, contents: Sequence[Content]) -> torch.Tensor:
        images = [_in_color(content) for content in contents]
        pixels = self.processor(images=images, return_tensors="pt")
        return normalize(self.model.get_image_features(**pixels).pooler_output, dim=-1)

    def probabilities(self, contents: Sequence[Content], texts: Sequence[str]) -> torch.Tensor:
        """Return the share of each text in the softmax of the scaled cosines: zero-shot classification."""
        scale = float(self.model.logit_scale.detach().exp())
        return (scale * self.similarities(contents, texts)).softmax(-1)


def _in_color(content: Content) -> Any:
    array = to_array(content)
    return array.repeat(3, axis=2) if array.shape[2] == 1 else array
