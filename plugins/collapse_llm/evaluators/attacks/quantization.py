"""The weights of a copy, rounded to fewer bits."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from collapse_core import (
    CollapseError,
    Dataset,
    Evaluation,
    Metric,
    Model,
    derive_seed,
    load_answered,
    note,
    require,
)
from collapse_llm.evaluators.attacks import Quantization
from collapse_llm.evaluators.attacks.copying import copy_of
from collapse_llm.evaluators.attacks.remembering import remembered
from collapse_llm.model.language_model import LanguageModel

FORMATS = {8: "Q8_0", 4: "Q4_0"}
"""GGUF's formats by the bits of a weight."""


def measure_quantized(settings: Quantization, model: Model, data: Dataset, seed: int) -> Evaluation:
    """Return what a copy still knows of the forget set with fewer bits, and of as many retain rows."""
    language = require(model, LanguageModel, settings.use)
    splits = load_answered(settings, data)
    forget, retain = list(splits.found["forget"]), list(splits.found.get("retain", ()))
    source = random.Random(derive_seed(seed, "retain"))
    asked = {"forget": forget, "retain": source.sample(retain, min(len(forget), len(retain)))}
    metrics: dict[str, Metric] = {}
    examples: list[Mapping[str, Any]] = []
    for bits in dict.fromkeys(settings.bits):
        rounded = copy_of(language)
        round_weights(rounded.module, bits)
        for split in splits.found:
            found = remembered(rounded, asked[split], f"{split}, {bits} bits", settings.max_new_tokens, seed)
            metrics |= {f"quantized_{name}_{split}_{bits}": m for name, m in found.metrics.items()}
            examples += found.examples
    names = [
        f"quantized_{name}_retain_{bits}" for name in ("rouge", "strength", "loss") for bits in settings.bits
    ]
    return Evaluation(metrics, examples, splits.missing(dict.fromkeys(names, ("retain",))))


@torch.no_grad()
def round_weights(module: Any, bits: int) -> None:
    """Round the weights of all linear layers but the output's, in place.

    The embeddings and the output layer, often one matrix, stay as they are, as do norms and biases.

    Raises:
        CollapseError: There are no linear layers, or their rows cannot be cut into blocks.
    """
    output = module.get_output_embeddings()
    layers = [m for m in module.modules() if isinstance(m, torch.nn.Linear) and m is not output]
    if not layers:
        raise CollapseError(
            "the evaluator 'quantization' rounds torch's linear layers, and this model has none; leave it out"
        )
    _say_left(module, layers)
    for layer in layers:
        layer.weight.copy_(rounded_to(layer.weight, bits))


def _say_left(module: Any, layers: Sequence[torch.nn.Linear]) -> None:
    """Note that much of a model stands in weights that are not rounded, such as experts in one tensor."""
    embeddings = {
        id(one.weight) for one in (module.get_input_embeddings(), module.get_output_embeddings()) if one
    }
    matrices = [p for p in module.parameters() if p.ndim > 1 and id(p) not in embeddings]
    rounded, whole = (sum(p.numel() for p in some) for some in ([m.weight for m in layers], matrices))
    if rounded < MOST_LEFT * whole:
        note(
            f"only {rounded / whole:.0%} of the weights of the model's layers are rounded: the others are "
            "not in torch's linear layers"
        )


MOST_LEFT = 0.9
"""The share of the layers' weights that must be rounded, or it is noted."""


def rounded_to(weights: torch.Tensor, bits: int) -> torch.Tensor:
    """Return a matrix as a GGUF file of so many bits would hold it, by the gguf package.

    Each block of 32 weights of a row has a scale d, kept in half precision. With 8 bits (Q8_0) d is the
    largest magnitude / 127 and a weight becomes d round(w / d). With 4 bits (Q4_0) d is the weight of the
    largest magnitude, with its sign, / -8 and a weight becomes d (min(15, floor(w / d + 8.5)) - 8).

    Args:
        weights: Of shape (outputs, inputs).
        bits: 8 or 4.

    Returns:
        A float32 tensor of the same shape, on the CPU.

    Raises:
        CollapseError: The rows cannot be cut into blocks.
    """
    from gguf import GGMLQuantizationType, quants

    kind = GGMLQuantizationType[FORMATS[bits]]
    try:
        packed = quants.quantize(weights.detach().float().cpu().numpy(), kind)
    except quants.QuantError:
        raise CollapseError(
            f"the evaluator 'quantization' cannot cut rows of {weights.shape[-1]} weights into blocks of 32; "
            "leave it out for this model"
        ) from None
    return torch.from_numpy(quants.dequantize(packed, kind))
