"""The model as it was before unlearning, for methods that compare with it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch

from collapse_llm.model.language_model import LanguageModel
from collapse_llm.model.training import token_losses
from collapse_llm.updater.batches import TrainingExample

_opened: "WeakKeyDictionary[LanguageModel, Any]" = WeakKeyDictionary()
"""Each model's module from before unlearning, which goes when its model goes."""


@contextmanager
def before_unlearning(model: LanguageModel) -> Iterator[Any]:
    """The module as it was before the run, to compute with and not to be trained.

    Of a model with adapters it is the module without them. Otherwise a second module is opened, in the
    precision that is computed in, from where the loader took the first. It is there when a run is resumed,
    too, so checkpoints need not hold it.
    """
    if hasattr(model.module, "disable_adapter"):
        with model.for_inference() as module, module.disable_adapter():
            yield module
        return
    if model not in _opened:
        _opened[model] = _open(model)
    with torch.inference_mode():
        yield _opened[model]


def _open(model: LanguageModel) -> Any:
    from transformers import AutoModelForCausalLM

    source = model.source
    where: dict[str, Any] = {"local_files_only": True} if Path(source.path).is_dir() else {}
    module = AutoModelForCausalLM.from_pretrained(
        source.path,
        dtype=model.compute,
        attn_implementation=model.module.config._attn_implementation,
        **(where or {"revision": source.revision or "main"}),
    )
    return module.to(model.device).requires_grad_(False).eval()


def nll_before(model: LanguageModel, examples: Sequence[TrainingExample]) -> list[list[float]]:
    """The negative log-likelihood of each answer of each example by the model before unlearning."""
    rows = [answer for example in examples for answer in example.answers]
    with before_unlearning(model) as module:
        found = iter([losses.sum().item() for losses in token_losses(module, rows, model.device)])
    return [[next(found) for _ in example.answers] for example in examples]
