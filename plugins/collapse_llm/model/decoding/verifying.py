"""Checks that a module is decoded as it computes itself."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from collapse_core import CollapseError, progress
from collapse_llm.model.decoding.rows import Row
from collapse_llm.model.marks import Decoding, close, decode_by

NUM_TOKENS = 3
LENGTHS = (8, 3)
"""How many tokens the two prompts have."""
WAYS: dict[Decoding, str] = {
    "fast": "",
    "one-kernel": "in the attention kernel that they are trained in",
    "generate": "by transformers' generate, one prompt at a time",
}


class _Noting:
    """Chooses the likeliest token and notes the logits."""

    def __init__(self) -> None:
        self.seen: list[torch.Tensor] = []

    def choose(self, logits: torch.Tensor, sources: Sequence[np.random.Generator]) -> torch.Tensor:
        self.seen += list(logits.clone())
        return logits.argmax(-1)


def find_way(module: Any, decode_as: Callable[..., None]) -> Decoding:
    """Return the first way of decoding whose logits are those that the module gives for the whole text.

    Args:
        module: A causal language model in evaluation mode.
        decode_as: Decodes in a given way.

    Raises:
        CollapseError: None is.
    """
    kind = module.config.model_type
    problem = "it gives other logits"
    for way, words in WAYS.items():
        try:
            agrees = _agrees(module, way, decode_as)
        except (ValueError, RuntimeError, IndexError, TypeError, AttributeError, KeyError) as error:
            problem = f"{type(error).__name__}: {error}".splitlines()[0][:120]
            continue
        if agrees:
            decode_by(module, way)
            if words:
                progress.announce(f"models of the type '{kind}' are decoded {words}")
            return way
    raise CollapseError(
        f"models of the type '{kind}' cannot be sampled: token by token the model does not compute what it "
        f"computes for the whole text at once ({problem}); choose a causal language model"
    )


def _agrees(module: Any, way: Decoding, decode_as: Callable[..., None]) -> bool:
    """Whether greedy decoding gives the logits that the module gives for the whole text."""
    size = module.config.get_text_config().vocab_size
    rows = [Row([(7 + 31 * i + n) % size for i in range(n)], 0, NUM_TOKENS) for n in LENGTHS]
    noting = _Noting()
    decode_as(way, module, [[row] for row in rows], noting, frozenset(), len(rows))
    for number, row in enumerate(rows):
        # The engine decodes both rows at once, `generate` one after the other.
        own = noting.seen[number * NUM_TOKENS :] if way == "generate" else noting.seen[number :: len(rows)]
        ids = torch.tensor([[*row.prompt, *row.answer[:-1]]], device=module.device)
        whole = module(input_ids=ids, use_cache=False).logits[0, -NUM_TOKENS:]
        if not close(torch.stack(own[:NUM_TOKENS]), whole):
            return False
    return True
