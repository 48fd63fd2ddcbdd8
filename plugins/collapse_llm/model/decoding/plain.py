"""Decoding by transformers' `generate`, for models whose state the engine cannot hold.

The completions of one prompt are decoded together, so that nothing is padded; `generate` keeps the model's
state, whatever it is, and each token is chosen here.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import GenerationConfig

from collapse_core import progress
from collapse_llm.model.decoding.choosing import Choice
from collapse_llm.model.decoding.rows import Row, drop_lost, take
from collapse_llm.model.finite import not_finite


def decode_plainly(
    module: Any, groups: Sequence[Sequence[Row]], choice: Choice, end_ids: frozenset[int]
) -> None:
    """Fill in the answers of all rows; see `decode`, which has the same arguments."""
    for group in progress.track([group for group in groups if group], "answers"):
        _decode_group(module, group, choice, end_ids)


def _decode_group(module: Any, rows: Sequence[Row], choice: Choice, end_ids: frozenset[int]) -> None:
    ids = torch.tensor([row.prompt for row in rows], device=module.device)
    settings = GenerationConfig(
        max_new_tokens=max(row.room for row in rows),
        do_sample=False,
        repetition_penalty=1.0,
        no_repeat_ngram_size=0,
        pad_token_id=0,
        use_cache=True,
    )
    module.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        generation_config=settings,
        logits_processor=[_Choosing(module, rows, choice, end_ids)],
        stopping_criteria=[_stops_with(rows)],
    )


def _stops_with(rows: Sequence[Row]) -> Any:
    def stops(ids: torch.Tensor, scores: Any, **more: Any) -> torch.Tensor:
        return torch.tensor([row.ended for row in rows], device=ids.device)

    return stops


class _Choosing:
    """Chooses the next token of each row, and leaves `generate` no other."""

    def __init__(self, module: Any, rows: Sequence[Row], choice: Choice, end_ids: frozenset[int]) -> None:
        self.module, self.rows, self.choice, self.end_ids = module, rows, choice, end_ids
        self.sources = [np.random.Generator(np.random.Philox(key=row.seed)) for row in rows]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        alive = [number for number, row in enumerate(self.rows) if not row.ended]
        if not torch.isfinite(scores[alive].amax(-1)).all():
            raise not_finite(self.module)
        tokens = self.choice.choose(scores[alive], [self.sources[number] for number in alive])
        only = torch.full_like(scores, -torch.inf)
        only[:, 0] = 0.0
        only[alive, 0] = -torch.inf
        only[alive, tokens] = 0.0
        take([self.rows[number] for number in alive], tokens.tolist(), self.end_ids)
        drop_lost(self.rows)
        return only
