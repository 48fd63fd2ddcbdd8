"""A causal language model with its tokenizer, and the precision it computes in."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from collapse_core.torch import TorchModel
from collapse_llm.model import CausalLm
from collapse_llm.model.encoding import Encoder


class LanguageModel(TorchModel):
    """A causal language model, its encoder, and the precision it computes in."""

    def __init__(self, module: Any, tokenizer: Any, loader: CausalLm) -> None:
        """Take a transformers (or peft) model and its tokenizer."""
        super().__init__(module)
        self.module: Any = module
        self.encoder = Encoder(tokenizer, loader.prompt, loader.max_length)
        self.compute = compute_dtype(loader.compute, self.device)
        self.end_ids = _end_ids(module, tokenizer)
        self._copy: Any = None

    @contextmanager
    def autocast(self) -> Iterator[None]:
        """Matrix products in the recipe's precision, weights in float32."""
        with torch.autocast(self.device.type, dtype=self.compute, enabled=self.compute != torch.float32):
            yield

    @contextmanager
    def for_inference(self) -> Iterator[Any]:
        """The module to sample from: in evaluation mode, its weights in the computing precision.

        Casting the weights once for many tokens is cheaper than casting them at each.
        """
        self.module.eval()
        with torch.inference_mode():
            yield self.module if self.compute == torch.float32 else self._in_compute_dtype()
        self.module.train()

    def _in_compute_dtype(self) -> Any:
        if self._copy is None:
            self._copy = copy.deepcopy(self.module).to(self.compute).eval()
        for mine, its in zip(self.module.parameters(), self._copy.parameters(), strict=True):
            its.copy_(mine)
        return self._copy

    def export(self, directory: Path) -> None:
        """Write a transformers directory; adapters are merged into the weights."""
        module = copy.deepcopy(self.module).merge_and_unload() if _is_peft(self.module) else self.module
        module.save_pretrained(directory)
        self.encoder.tokenizer.save_pretrained(directory)


def compute_dtype(name: str, device: torch.device) -> torch.dtype:
    """The precision of matrix products; "auto" is bfloat16 where the hardware is better at it."""
    if name != "auto":
        return torch.float32 if name == "float32" else torch.bfloat16
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported()
    else:
        fast = device.type == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.bfloat16 if fast else torch.float32


def _end_ids(module: Any, tokenizer: Any) -> frozenset[int]:
    """The tokens that end an answer: the tokenizer's, and those that the model itself names."""
    named = module.generation_config.eos_token_id
    return frozenset([tokenizer.eos_token_id, *(named if isinstance(named, list) else [named])]) - {None}


def _is_peft(module: Any) -> bool:
    return hasattr(module, "merge_and_unload")
